// Command sidecar-drift finds Pods whose sidecars a re-creation would change,
// and rolls out what drifted. As kubectl-sidecar_drift on the PATH it is also
// the kubectl plugin "kubectl sidecar-drift".
package main

import (
	"fmt"
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/internal/cli"
	"github.com/sidecar-drift/sidecar-drift/internal/memorylimit"
)

func main() {
	if err := memorylimit.Set(os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	os.Exit(cli.Main(os.Args, genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}))
}
