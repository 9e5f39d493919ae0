package cluster

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
)

// launcher starts processes from a single operating system thread that lives as
// long as the cluster does. On Linux the kernel kills a process when the thread
// that started it ends (PR_SET_PDEATHSIG), so none outlives this program, be it
// stopped by os.Exit, a panic or SIGKILL. Elsewhere only Stop ends them.
type launcher struct {
	requests chan launch
	quit     func()
	done     chan struct{}
}

type launch struct {
	cmd    *exec.Cmd
	result chan<- error
}

func newLauncher() *launcher {
	ctx, quit := context.WithCancel(context.Background())
	l := &launcher{requests: make(chan launch), quit: quit, done: make(chan struct{})}
	go l.run(ctx)
	return l
}

func (l *launcher) run(ctx context.Context) {
	defer close(l.done)
	// Never unlocked: the thread ends with this goroutine, and not before.
	runtime.LockOSThread()
	for {
		select {
		case request := <-l.requests:
			request.result <- request.cmd.Start()
		case <-ctx.Done():
			return
		}
	}
}

func (l *launcher) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = boundToLauncher()
	result := make(chan error)
	select {
	case l.requests <- launch{cmd, result}:
		return <-result
	case <-l.done:
		return errors.New("the cluster is stopped")
	}
}

// stop ends the thread; nothing can be started any more.
func (l *launcher) stop() {
	l.quit()
	<-l.done
}
