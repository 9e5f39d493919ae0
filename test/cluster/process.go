package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long Process.Stop waits between SIGTERM and SIGKILL.
const stopGrace = 30 * time.Second

// Process is a program that runs beside the cluster. It is killed when the
// cluster is stopped, and when the program that started it ends in any way.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid once done is closed
}

// Run starts binary with args, and env ("KEY=VALUE") on top of this program's
// own environment. Its output is appended to the file NAME.log in LogDir, so a
// program that is run again under its name continues the log. How often it collects its
// garbage is not this program's GOGC: products have as much memory as with their users.
func (c *Cluster) Run(name, binary string, args, env []string) (*Process, error) {
	p := &Process{
		name: name,
		log:  filepath.Join(c.LogDir(), name+".log"),
		cmd:  exec.Command(binary, args...),
		done: make(chan struct{}),
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", name, err)
	}
	defer log.Close()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "GOGC=")
	}), env...)

	if err := c.launcher.start(p.cmd); err != nil {
		return nil, fmt.Errorf("run %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.processes = append(c.processes, p)
	return p, nil
}

// Name is the name that the process was run under.
func (p *Process) Name() string { return p.name }

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// LogFile holds what the process wrote to stdout and stderr.
func (p *Process) LogFile() string { return p.log }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the process to end. It returns nil for exit code 0, otherwise
// an *exec.ExitError.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Stop asks the process to end with SIGTERM, kills it after 30 s, and returns
// what Wait does.
func (p *Process) Stop() error {
	// An error means that it has ended already.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopGrace):
		p.Kill()
	}
	return p.err
}

// Kill kills the process and waits until it is gone.
func (p *Process) Kill() {
	// An error means that it has ended already.
	_ = p.cmd.Process.Kill()
	<-p.done
}

// logTail returns the last lines of the log, for an error.
func (p *Process) logTail() string {
	const size = 2000
	log, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-size):])
}

// running returns the processes that the cluster has now.
func (c *Cluster) running() []*Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.processes)
}
