package acceptance

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// diffCommand runs "sidecar-drift diff" as the administrator.
func diffCommand(t *testing.T, c *cluster.Cluster, exitCode int, env []string, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testProduct(t).CLI, append([]string{"diff", "--kubeconfig", c.Kubeconfig()}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != exitCode {
		t.Fatalf("diff %v: exit code %d, want %d\n%s\n%s", args, got, exitCode, &out, &errOut)
	}
	return out.String(), errOut.String()
}

// changedLines are the lines that a unified diff adds or removes.
func changedLines(diff string) []string {
	var lines []string
	for line := range strings.Lines(diff) {
		if (line[0] == '+' || line[0] == '-') && !strings.HasPrefix(line, "+++") && !strings.HasPrefix(line, "---") {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	return lines
}

func TestDiffOfAWorkload(t *testing.T) {
	c, injector := testCluster(t), testIstio(t)
	testProduct(t)
	namespace := namespaceWith(t, c, injected)
	deployWeb(t, c, namespace, 2, "web")
	if out, errOut := diffCommand(t, c, 0, nil, "-n", namespace, "deploy/web"); out != "" || errOut != "" {
		t.Errorf("in sync: %q %q", out, errOut)
	}
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	out, _ := diffCommand(t, c, 1, nil, "-n", namespace, "deploy/web")
	want := "- image: istio/proxyv2:1.27.0 + image: istio/proxyv2:1.28.0 - cpu: 100m + cpu: 150m"
	if got := strings.Join(changedLines(out), " "); got != want+" "+want {
		t.Errorf("changed lines:\n%s\nof\n%s", got, out)
	}
	for _, want := range []string{"--- live  Pod " + namespace + "/web-", " and 1 alike\n", "+++ fresh injection of revision web-"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}

	script := filepath.Join(t.TempDir(), "viewer")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$1\"; grep image: \"$2\" \"$3\"; exit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	out, _ = diffCommand(t, c, 1, []string{"KUBECTL_EXTERNAL_DIFF=" + script + " --side-by-side"}, "-n", namespace, "deploy/web")
	for _, want := range []string{"--side-by-side\n", "istio/proxyv2:1.27.0", "istio/proxyv2:1.28.0"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in what the other program printed:\n%s", want, out)
		}
	}
	if out, _ := diffCommand(t, c, 0, nil, "-n", namespace, "deploy/web", "--ignore-path", "*:image", "--ignore-path", "*:resources"); out != "" {
		t.Errorf("all is ignored: %s", out)
	}
	if _, errOut := diffCommand(t, c, 2, nil, "-n", namespace, "deploy/none"); !strings.Contains(errOut, "not found") {
		t.Errorf("stderr %q", errOut)
	}
}

// Secrets in variables are masked, and still differ where they do.
func TestDiffMasksSecrets(t *testing.T) {
	c := testCluster(t)
	testProduct(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	token := "first-token"
	proxy.setEnv(func() []corev1.EnvVar {
		return []corev1.EnvVar{{Name: "PROXY_TOKEN", Value: token}, {Name: "MODE", Value: "strict"}}
	})
	namespace := injectedNamespace(t, c, 1)
	deployWeb(t, c, namespace, 1, "web")
	proxy.setEnv(func() []corev1.EnvVar {
		return []corev1.EnvVar{{Name: "PROXY_TOKEN", Value: "second-token"}, {Name: "MODE", Value: "strict"}}
	})
	out, _ := diffCommand(t, c, 1, nil, "-n", namespace, "deploy/web")
	if strings.Contains(out, "-token") || strings.Count(out, "***") != 2 {
		t.Errorf("shows a secret:\n%s", out)
	}
	shown, _ := diffCommand(t, c, 1, nil, "-n", namespace, "deploy/web", "--show-secrets")
	if got, want := strings.Join(changedLines(shown), " "), fmt.Sprintf("- value: %s + value: second-token", token); got != want {
		t.Errorf("changed lines %q, want %q", got, want)
	}
}
