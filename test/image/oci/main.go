// Command oci writes the image as an OCI layout, without a container engine, and
// pushes it.
//
//	oci -version v0.1.0 LAYOUT
//	oci -push registry.example.com/platform/sidecar-drift:v0.1.0 LAYOUT
//
// It prints the digest of what it wrote or pushed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/sidecar-drift/sidecar-drift/test/image"
)

func main() {
	root := flag.String("root", ".", "`directory` of the checkout")
	version := flag.String("version", "", "`version` that the programs say they are")
	push := flag.String("push", "", "`reference` to push the layout to; without it one is written")
	flag.Parse()
	if flag.NArg() != 1 || (*version == "") == (*push == "") {
		fmt.Fprintln(os.Stderr, "usage: oci -version VERSION LAYOUT, or oci -push REFERENCE LAYOUT")
		os.Exit(2)
	}
	if err := run(*root, *version, *push, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(root, version, push, layout string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if push != "" {
		digest, err := image.Push(ctx, layout, push)
		if err != nil {
			return err
		}
		fmt.Println(digest)
		return nil
	}
	options := image.Options{Root: root, Version: version, Platforms: image.Platforms}
	commit, err := exec.CommandContext(ctx, "git", "-C", root, "log", "-1", "--format=%H %cI").Output()
	if err != nil {
		return fmt.Errorf("ask git for the commit: %w", err)
	}
	revision, date, _ := strings.Cut(strings.TrimSpace(string(commit)), " ")
	options.Revision = revision
	if options.Created, err = time.Parse(time.RFC3339, date); err != nil {
		return err
	}
	// Each run leaves what it made, and nothing of the one before.
	if err := os.RemoveAll(layout); err != nil {
		return err
	}
	built, err := image.Build(ctx, options)
	if err != nil {
		return err
	}
	if err := built.Write(layout, version); err != nil {
		return err
	}
	digest, err := built.Index.Digest()
	if err != nil {
		return err
	}
	fmt.Println(digest)
	return nil
}
