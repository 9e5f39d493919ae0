package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/cli/plugin"
)

// What the shell completes is what the cluster has, for the command and as kubectl's
// plugin, which kubectl completes by a program of its own.
func TestCompletion(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	startInjector(t, c, "mesh-agent", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	deployWeb(t, c, namespace, 1, "web")
	plugins := t.TempDir()
	if err := os.Symlink(testProduct(t).CLI, filepath.Join(plugins, plugin.Program)); err != nil {
		t.Fatal(err)
	}
	for name, text := range plugin.Scripts() {
		if err := os.WriteFile(filepath.Join(plugins, name), []byte(text), 0o755); err != nil { //nolint:gosec // it is run
			t.Fatal(err)
		}
	}
	path := "PATH=" + strings.Join([]string{plugins, filepath.Dir(c.KubectlPath()), os.Getenv("PATH")}, string(os.PathListSeparator))
	for _, test := range []struct {
		line string // the last word is completed
		want []string
	}{
		{"audit -n " + namespace[:len(namespace)-1], []string{namespace}},
		{"audit --include-namespace default," + namespace, []string{"default," + namespace}},
		{"rollout -n " + namespace + " deployment/w", []string{"deployment/web"}},
		{"rollout -n " + namespace + " deploy/", []string{"deploy/web"}},
		{"rollout -n " + namespace + " deploy/web deploy/", nil},
		{"rollout -n " + namespace + " job/", nil},
		{"explain -n " + namespace + " replicaset/nothing", nil},
		{"audit -n " + namespace + " --sidecar-container-name mesh", []string{"mesh-agent"}},
		{"audit --context ", []string{"sidecar-drift-test"}},
	} {
		words := slices.Insert(strings.Split(test.line, " "), 1, "--kubeconfig="+c.Kubeconfig())
		for how, args := range map[string][]string{
			"the command": append([]string{testProduct(t).CLI, "__complete"}, words...),
			"the plugin":  append([]string{c.KubectlPath(), "__complete", "sidecar-drift"}, words...),
		} {
			command := exec.CommandContext(t.Context(), args[0], args[1:]...)
			command.Env = append(os.Environ(), path)
			out, err := command.Output()
			if err != nil {
				t.Errorf("%s: %q: %v", how, test.line, err)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if got := lines[:len(lines)-1]; !slices.Equal(got, test.want) { // the last is for the shell
				t.Errorf("%s: %q is completed to %q, want %q", how, test.line, got, test.want)
			}
		}
	}
}
