// Command sbom writes the bill of materials of a program that Go built, as CycloneDX.
//
//	sbom -version v0.1.0 -date 2026-11-29T12:00:00Z -o FILE PROGRAM
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/sidecar-drift/sidecar-drift/test/image"
)

func main() {
	version := flag.String("version", "", "`version` of the program")
	date := flag.String("date", "", "`time` of the commit, in RFC 3339")
	out := flag.String("o", "", "`file` to write")
	flag.Parse()
	created, err := time.Parse(time.RFC3339, *date)
	if flag.NArg() != 1 || *out == "" || *version == "" || err != nil {
		fmt.Fprintln(os.Stderr, "usage: sbom -version VERSION -date TIME -o FILE PROGRAM")
		os.Exit(2)
	}
	if err := write(*out, *version, created, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func write(out, version string, created time.Time, program string) error {
	bom, err := image.Bill(cdx.ComponentTypeApplication, version, created, program)
	if err != nil {
		return err
	}
	file, err := os.Create(out)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := image.EncodeBill(file, bom); err != nil {
		return err
	}
	return file.Close()
}
