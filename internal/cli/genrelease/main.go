// Command genrelease writes what archives and packages hold beside the program:
// completions, man pages, and what makes it the kubectl plugin.
//
//	genrelease -version v0.1.0 -date 2026-11-29T12:00:00Z DIRECTORY
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/internal/cli"
	"github.com/sidecar-drift/sidecar-drift/internal/cli/plugin"
)

const name = plugin.Program

func main() {
	version := flag.String("version", "unknown", "`version` that the man pages are of")
	date := flag.String("date", "", "`time` of the commit, in RFC 3339")
	flag.Parse()
	written, err := time.Parse(time.RFC3339, *date)
	if flag.NArg() != 1 || err != nil {
		fmt.Fprintln(os.Stderr, "usage: genrelease -version VERSION -date TIME DIRECTORY")
		os.Exit(2)
	}
	if err := write(flag.Arg(0), *version, written); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func write(dir, version string, date time.Time) error {
	for _, generate := range []func() error{
		func() error { return completions(filepath.Join(dir, "completions")) },
		func() error { return manPages(filepath.Join(dir, "man"), version, date) },
		func() error { return plugins(dir) },
	} {
		if err := generate(); err != nil {
			return err
		}
	}
	return nil
}

func newCommand() *cobra.Command {
	return cli.NewCommand(name, genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard})
}

// completions are named as each shell looks for them.
func completions(dir string) error {
	root := newCommand()
	for file, generate := range map[string]func(io.Writer) error{
		name + ".bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"_" + name:     root.GenZshCompletion,
		name + ".fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
		name + ".ps1":  root.GenPowerShellCompletionWithDesc,
	} {
		var text bytes.Buffer
		if err := generate(&text); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, file), text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func manPages(dir, version string, date time.Time) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := newCommand()
	root.DisableAutoGenTag = true
	return doc.GenManTree(root, &doc.GenManHeader{
		Title: strings.ToUpper(name), Section: "1", Date: &date, Source: name + " " + version, Manual: "User Commands",
	}, dir)
}

// plugins are what kubectl finds on the PATH beside the program.
func plugins(dir string) error {
	for file, text := range plugin.Scripts() {
		if err := writeFile(filepath.Join(dir, "unix", file), []byte(text), 0o755); err != nil {
			return err
		}
	}
	for file, text := range plugin.Batches() {
		if err := writeFile(filepath.Join(dir, "windows", file), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, mode)
}
