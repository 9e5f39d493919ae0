// The race detector takes memory of its own.
//go:build !race

package webhook

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/memorylimit"
)

// containerLimit is limits.memory of manifests/base/webhook.yaml.
const containerLimit = 128 << 20

// TestFlood: connections that nothing comes of, and forged reviews of every
// kind, more at once than there is room for, leave the stamper within its
// container's memory.
func TestFlood(t *testing.T) {
	dir := t.TempDir()
	s := &stamper{Options: Options{BindAddress: freeAddress(t), HealthProbeBindAddress: freeAddress(t)}, authority: newAuthority(t)}
	s.authority.issue(t, dir, 1)
	process := exec.CommandContext(t.Context(), os.Args[0])
	process.Env = append(os.Environ(), "GOGC=100", // as in its container
		fmt.Sprintf("%s=%s %s %s", stamperVariable, s.BindAddress, s.HealthProbeBindAddress, dir),
		fmt.Sprintf("%s=%d", memorylimit.Variable, containerLimit))
	var said bytes.Buffer
	process.Stdout, process.Stderr = &said, &said
	must(t, process.Start())
	eventually(t, func() bool { return s.isReady(t) })

	for range maxPerAddress {
		s.connect(t, "127.0.0.2")
		s.connect(t, "127.0.0.3")
	}
	var wait sync.WaitGroup
	for _, pod := range forgedPods {
		large := pod.review()
		for _, body := range []string{large, pod.reviewOf(ordinaryBody / 2)} {
			for range 4 {
				wait.Go(func() {
					for range 5 {
						status, text, err := s.post(s.client(), strings.NewReader(body))
						if err == nil && status == http.StatusOK && !strings.Contains(text, `"allowed":true`) {
							t.Errorf("answer: %s", text)
						}
					}
				})
			}
		}
	}
	wait.Wait()
	s.wantAnswer(t)
	peak := peakMemory(t, process.Process.Pid)
	t.Logf("the stamper took up to %d MiB", peak>>20)
	if peak > containerLimit {
		t.Errorf("that is more than its container's %d MiB", containerLimit>>20)
	}
	must(t, process.Process.Signal(os.Interrupt))
	if err := process.Wait(); err != nil {
		t.Errorf("%v: %s", err, said.String())
	}
}

// peakMemory returns the most bytes of memory that a process had, without the
// pages of its program's file, which a kernel in need takes back.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	kilobytes := map[string]int{}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		if number, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB")); err == nil {
			kilobytes[name] = number
		}
	}
	if kilobytes["VmHWM"] == 0 || kilobytes["RssFile"] == 0 {
		t.Fatalf("the kernel does not say what the stamper took: %s", status)
	}
	return (kilobytes["VmHWM"] - kilobytes["RssFile"]) << 10
}
