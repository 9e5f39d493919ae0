// Command generate writes cert-manager's objects into the file that it is given.
package main

import (
	"fmt"
	"os"

	"github.com/sidecar-drift/sidecar-drift/certs/certmanager"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file string) error {
	text, err := certmanager.YAML()
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
