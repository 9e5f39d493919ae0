// Package plugin holds what makes the command kubectl's plugin.
package plugin

import "fmt"

// Program is the command, beside which the files are.
const Program = "sidecar-drift"

// calls are the names that kubectl looks for on the PATH, the plugin's and that of who
// completes its arguments, and what is put before those.
var calls = map[string]string{
	"kubectl-sidecar_drift":          "",
	"kubectl_complete-sidecar_drift": "__complete ",
}

// Scripts are the files, by name, for a POSIX shell. They are no symbolic links, with
// which krew refuses archives.
func Scripts() map[string]string {
	files := map[string]string{}
	for name, call := range calls {
		files[name] = fmt.Sprintf(`#!/bin/sh
program=$(dirname -- "$0")/%[1]s
[ -x "$program" ] || program=%[1]s
exec "$program" %[2]s"$@"
`, Program, call)
	}
	return files
}

// Batches are the same for Windows.
func Batches() map[string]string {
	files := map[string]string{}
	for name, call := range calls {
		files[name+".cmd"] = fmt.Sprintf("@\"%%~dp0%s.exe\" %s%%*\r\n", Program, call)
	}
	return files
}
