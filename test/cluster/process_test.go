package cluster_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

func run(t *testing.T, name, script string, env ...string) *cluster.Process {
	t.Helper()
	p, err := shared.Run(name, "sh", []string{"-c", script}, env)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// waitLog waits until the process has written want.
func waitLog(t *testing.T, p *cluster.Process, want string) {
	t.Helper()
	err := cluster.Poll(t.Context(), "the log to say "+want, func(context.Context) error {
		log, err := os.ReadFile(p.LogFile())
		if err == nil && !strings.Contains(string(log), want) {
			err = errors.New("it says " + string(log))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestProcessLogsAndEnds(t *testing.T) {
	p := run(t, "ends", "echo out $GREETING; echo err >&2; exit 7", "GREETING=hello")
	var exit *exec.ExitError
	if err := p.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("Wait: got %v, want exit code 7", err)
	}
	waitLog(t, p, "out hello\nerr\n")
	if err := run(t, "ends", "echo again").Wait(); err != nil {
		t.Error(err)
	}
	waitLog(t, p, "err\nagain\n")
}

func TestProcessStopsOnSIGTERM(t *testing.T) {
	p := run(t, "graceful", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
	waitLog(t, p, "ready")
	if err := p.Stop(); err != nil {
		t.Errorf("Stop: %v", err)
	}
	waitLog(t, p, "bye")
	if err := p.Stop(); err != nil {
		t.Errorf("Stop again: %v", err)
	}
}

func TestProcessIsKilled(t *testing.T) {
	p := run(t, "killed", "trap '' TERM; while :; do sleep 0.01; done")
	p.Kill()
	if err := p.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("Wait: got %v, want signal: killed", err)
	}
}

func TestPollSaysWhichProcessEnded(t *testing.T) {
	p := run(t, "broken", "echo cannot work; exit 1")
	err := cluster.Poll(t.Context(), "a wonder", func(context.Context) error { return errors.New("none yet") }, p)
	if err == nil || !strings.Contains(err.Error(), "broken ended") || !strings.Contains(err.Error(), "cannot work") {
		t.Errorf("got %v, want the process's name and the end of its log", err)
	}
}
