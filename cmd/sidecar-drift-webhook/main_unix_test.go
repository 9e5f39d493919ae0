//go:build unix

package main

import (
	"bufio"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestSignals: the program starts without a certificate, logs as it was told,
// and ends with code 0 when it is asked to.
func TestSignals(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "sidecar-drift-webhook", "--bind-address", "127.0.0.1:1", "--cert-dir", t.TempDir(),
				"--metrics-bind-address", "0", "--health-probe-bind-address", "0", "--log-format", "json")
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(stderr)
			for lines.Scan() {
				if !strings.HasPrefix(lines.Text(), `{"time":`) {
					t.Errorf("no line of JSON: %s", lines.Text())
				}
				if strings.Contains(lines.Text(), "Waiting for the serving certificate") {
					if err := cmd.Process.Signal(signal); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("exit: %v", err)
			}
		})
	}
}

func TestMisuseExitsWith2(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sidecar-drift-webhook", "--no-such-flag")
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 2 {
		t.Errorf("exit code %d", code)
	}
}
