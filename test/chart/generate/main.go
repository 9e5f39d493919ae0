// Command generate makes of the chart in a directory of manifests what is made of it:
// the kustomizations' files, the README of the values, and in their schema that of the
// auditor's configuration. Given a further directory, it packages the chart into that.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/sidecar-drift/sidecar-drift/test/chart"
)

func main() {
	if len(os.Args) < 2 || len(os.Args) > 3 {
		fmt.Fprintln(os.Stderr, "usage: generate MANIFESTS [PACKAGES]")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, manifests string, packages []string) error {
	if err := chart.Generate(ctx, manifests); err != nil {
		return err
	}
	for _, dir := range packages {
		file, err := chart.Package(ctx, manifests, dir)
		if err != nil {
			return err
		}
		fmt.Println(file)
	}
	return nil
}
