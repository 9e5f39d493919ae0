// Command notes writes the notes of a release, from CHANGELOG.md, and fails where tag,
// CHANGELOG and chart do not agree.
//
//	notes -o FILE v0.1.0
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/sidecar-drift/sidecar-drift/test/release"
)

func main() {
	root := flag.String("root", "../..", "`directory` of the checkout")
	out := flag.String("o", "/dev/stdout", "`file` to write")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: notes [-o FILE] VERSION")
		os.Exit(2)
	}
	notes, err := release.Notes(*root, flag.Arg(0))
	if err == nil {
		err = os.WriteFile(*out, []byte(notes), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
