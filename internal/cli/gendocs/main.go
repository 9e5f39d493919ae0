// Command gendocs writes the command reference into a directory.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sidecar-drift/sidecar-drift/internal/cli"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gendocs DIRECTORY")
		os.Exit(2)
	}
	for name, text := range cli.Reference() {
		if err := os.WriteFile(filepath.Join(os.Args[1], name), []byte(text), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
	}
}
