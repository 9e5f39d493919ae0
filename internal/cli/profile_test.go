package cli_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// checkProfiles checks that two files are profiles: compressed, and not empty.
func checkProfiles(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"cpu", "mem"} {
		file, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		defer file.Close()
		profile, err := gzip.NewReader(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text, err := io.ReadAll(profile)
		unit := map[string]string{"cpu": "nanoseconds", "mem": "alloc_space"}[name]
		if err != nil || !bytes.Contains(text, []byte(unit)) {
			t.Errorf("%s: no profile of %s in %d bytes: %v", name, unit, len(text), err)
		}
	}
}

// profiled is a command line that profiles, not started yet, and where to.
func profiled(t *testing.T, args ...string) (command *exec.Cmd, said *bytes.Buffer, dir string) {
	t.Helper()
	dir = t.TempDir()
	args = append(args, "--cpuprofile", filepath.Join(dir, "cpu"), "--memprofile", filepath.Join(dir, "mem"))
	command, said = exec.CommandContext(t.Context(), "sidecar-drift", args...), &bytes.Buffer{}
	command.Stderr = said
	return command, said, dir
}

func TestProfilesAreWrittenHoweverTheCommandEnds(t *testing.T) {
	for args, code := range map[string]int{
		"version": 0,
		"compare testdata/pod-live-istio-1.27.json testdata/pod-fresh-istio-1.28.json": 1,
		"audit --server http://127.0.0.1:1":                                            2,
	} {
		command, said, dir := profiled(t, strings.Fields(args)...)
		_ = command.Run()
		if got := command.ProcessState.ExitCode(); got != code {
			t.Errorf("%s: exit code %d, want %d: %s", args, got, code, said)
		}
		checkProfiles(t, dir)
	}
}

func TestProfilesAreWrittenAfterAnInterrupt(t *testing.T) {
	asked, end := make(chan struct{}, 1), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-end
	}))
	defer server.Close()
	defer close(end)
	command, said, dir := profiled(t, "audit", "--server", server.URL)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	if code := command.ProcessState.ExitCode(); code != 2 || said.String() != "error: interrupted\n" {
		t.Errorf("exit code %d, stderr %q", code, said)
	}
	checkProfiles(t, dir)
}

func TestProfilesThatCannotBeWritten(t *testing.T) {
	command := exec.CommandContext(t.Context(), "sidecar-drift", "version", "--memprofile", filepath.Join(t.TempDir(), "no", "such"))
	var said bytes.Buffer
	command.Stderr = &said
	out, _ := command.Output()
	if code := command.ProcessState.ExitCode(); code != 2 || len(out) > 0 || !strings.HasPrefix(said.String(), "error: --memprofile: open ") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, out, &said)
	}
}
