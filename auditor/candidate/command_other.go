//go:build !unix

package candidate

import "os/exec"

// Elsewhere a command alone is ended.
func withChildren(*exec.Cmd) {}

func endChildren(*exec.Cmd) {}
