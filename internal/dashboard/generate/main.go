// Command generate writes the dashboard into the directory of manifests that it is given.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sidecar-drift/sidecar-drift/internal/dashboard"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate MANIFESTS")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(manifests string) error {
	text, err := dashboard.New().JSON()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(manifests, "grafana", "sidecar-drift.json"), text, 0o644)
}
