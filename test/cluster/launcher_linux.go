package cluster

import "syscall"

// boundToLauncher makes the kernel kill the process when the thread that starts
// it ends. A process group of its own keeps a terminal's Ctrl-C from it: who
// started the cluster decides when to stop.
func boundToLauncher() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
