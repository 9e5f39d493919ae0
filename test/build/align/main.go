// Command align raises what several of the repository's modules are made of to one
// version, the highest that any of them has, so that Go compiles it once for all of them:
// its cache knows a package by its source and by all that it imports.
//
//	go run ./test/build/align . test/build/kubernetes …
//
// What a module replaces it leaves alone.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

func main() {
	if err := align(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "align:", err)
		os.Exit(1)
	}
}

// align goes on until nothing changes, as a new version may ask for newer ones of others.
func align(dirs []string) error {
	for {
		highest, used := map[string]string{}, map[string]map[string]string{}
		for _, dir := range dirs {
			versions, err := versionsIn(dir)
			if err != nil {
				return err
			}
			used[dir] = versions
			for path, version := range versions {
				if semver.Compare(version, highest[path]) > 0 {
					highest[path] = version
				}
			}
		}
		done := true
		for _, dir := range dirs {
			edit := []string{"mod", "edit"}
			for path, version := range used[dir] {
				if version != highest[path] {
					edit = append(edit, "-require="+path+"@"+highest[path])
				}
			}
			if len(edit) > 2 {
				done = false
				slices.Sort(edit[2:])
				fmt.Printf("%s: %s\n", dir, strings.ReplaceAll(strings.Join(edit[2:], " "), "-require=", ""))
				if _, err := inModule(dir, edit...); err != nil {
					return err
				}
			}
			// One that requires another has what that was raised to.
			if _, err := inModule(dir, "mod", "tidy"); err != nil {
				return err
			}
		}
		if done {
			return nil
		}
	}
}

// versionsIn are those of the modules that a module's packages and tools are made of.
func versionsIn(dir string) (map[string]string, error) {
	const format = `{{with .Module}}{{if not (or .Main .Replace)}}{{.Path}} {{.Version}}{{end}}{{end}}`
	out, err := inModule(dir, "list", "-deps", "-f", format, "./...", "tool")
	if err != nil {
		return nil, err
	}
	versions := map[string]string{}
	for line := range strings.Lines(out) {
		if path, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			versions[path] = version
		}
	}
	return versions, nil
}

func inModule(dir string, arguments ...string) (string, error) {
	cmd := exec.Command("go", arguments...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: go %s: %w\n%s", dir, strings.Join(arguments, " "), err, &errOut)
	}
	return out.String(), nil
}
