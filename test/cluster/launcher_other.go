//go:build !linux

package cluster

import "syscall"

// boundToLauncher leaves the process in this program's process group, so that a
// terminal's Ctrl-C at least stops both.
func boundToLauncher() *syscall.SysProcAttr { return nil }
