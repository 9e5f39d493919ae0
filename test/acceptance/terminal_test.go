package acceptance

import (
	"os/exec"
	"strings"
	"testing"
	"unicode"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// What a stranger wrote into Pods reaches no terminal as it is: neither its escape
// sequences, nor what turns the direction of a line, nor the secrets that an injector
// put beside it. As the installed auditor, by each command and in each format.
func TestStrangersTextOnATerminal(t *testing.T) {
	c := testCluster(t)
	cli := testProduct(t).CLI
	const wild = "\x1b]0;pwned\a\x1b[2J\u202egnp.exe\u0085\u2028"
	proxy := startInjector(t, c, "proxy", "proxy:1")
	env := func(note, token string) func() []corev1.EnvVar {
		return func() []corev1.EnvVar {
			return []corev1.EnvVar{{Name: "NOTE", Value: note}, {Name: "CONFIG", Value: `{"api_token":"` + token + `"}`}}
		}
	}
	proxy.setEnv(env("before"+wild, "hunter2-first"))
	namespace := injectedNamespace(t, c, 1)
	deployWeb(t, c, namespace, 1, "web")
	proxy.setEnv(env("after"+wild, "hunter2-second"))
	apply(t, c, namespace, `{"apiVersion": "v1", "kind": "Pod",
		"metadata": {"name": "evil", "ownerReferences": [{"apiVersion": "evil.io/v1", "kind": "K\u001b]0;pwned\u0007\u001b[31m", "name": "n\u001b[2J\u202e", "uid": "q", "controller": true}]},
		"spec": {"containers": [{"name": "app", "image": "app:1"}]}}`)
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), install.Namespace, install.AuditorAccount)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{
		"audit", "audit -o wide", "audit --diff", "audit -o yaml", "audit -o json", "audit -o csv", "audit -o markdown", "audit -o junit", "audit -o html",
		"diff deploy/web", "explain deploy/web", "rollout",
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			args := append(strings.Fields(command), "--kubeconfig", kubeconfig, "-n", namespace)
			out, _ := exec.CommandContext(t.Context(), cli, args...).CombinedOutput()
			text := string(out)
			if !strings.Contains(text, "web") || strings.HasPrefix(text, "error:") {
				t.Fatalf("prints nothing about web:\n%s", text)
			}
			if strings.Contains(text, "hunter2") {
				t.Errorf("shows a secret:\n%s", text)
			}
			for _, r := range text {
				if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028') {
					t.Errorf("%U stands in it:\n%q", r, text)
					break
				}
			}
		})
	}
}
