package cluster_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

func TestNoProcessOutlivesItsOwner(t *testing.T) {
	controlPlane := []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "tail"}
	for _, test := range []struct {
		end    string
		signal os.Signal
		env    []string
		want   []string
	}{
		{end: "SIGKILL", signal: syscall.SIGKILL, want: controlPlane},
		{end: "SIGINT", signal: syscall.SIGINT, env: onShared(), want: []string{"tail"}},
		{end: "os.Exit", env: onShared(), want: []string{"tail"}},
		{end: "panic", env: onShared(), want: []string{"tail"}},
	} {
		t.Run(test.end, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(append(os.Environ(), endVariable+"="+test.end), test.env...)
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(stdout).ReadString('\n')
			if err != nil {
				t.Fatalf("the owner printed no directory: %v", err)
			}
			dir := strings.TrimSpace(line)
			t.Cleanup(func() { os.RemoveAll(dir) })
			if got := processesOf(t, dir); len(got) != len(test.want) {
				t.Errorf("while the owner lives there are %v, want %v", got, test.want)
			}

			if test.signal != nil {
				if err := cmd.Process.Signal(test.signal); err != nil {
					t.Fatal(err)
				}
			}
			stdin.Close()
			if err := cmd.Wait(); err == nil {
				t.Error("the owner ended with exit code 0")
			}
			err = cluster.Poll(t.Context(), "the owner's processes to end", func(context.Context) error {
				if left := processesOf(t, dir); len(left) > 0 {
					return fmt.Errorf("%v are left", left)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// onShared is the environment of an owner that starts no control plane.
func onShared() []string {
	return []string{
		cluster.ExternalKubeconfigVariable + "=" + shared.Kubeconfig(),
		"PATH=" + filepath.Dir(shared.KubectlPath()) + ":" + os.Getenv("PATH"),
	}
}

// processesOf returns the names of the processes that have a file in dir among
// their arguments, as each process of a cluster has. A zombie has no arguments.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatalf("list processes: %d found, %v", len(files), err)
	}
	var names []string
	for _, file := range files {
		arguments, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(arguments), dir+"/") {
			continue
		}
		binary, _, _ := strings.Cut(string(arguments), "\x00")
		names = append(names, filepath.Base(binary))
	}
	return names
}
