//go:build unix

package candidate

import (
	"os/exec"
	"syscall"
)

// withChildren has a command that is cancelled end with all that it has started: a shell leaves
// the programs of a pipeline behind.
func withChildren(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// endChildren ends what a command that has ended has left running.
func endChildren(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // mostly there is nothing left
	}
}
