// Command sidecar-drift finds Pods whose sidecars a re-creation would change,
// and rolls out what drifted. As kubectl-sidecar_drift on the PATH it is also
// the kubectl plugin "kubectl sidecar-drift".
package main

import (
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args, genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}))
}
