package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"

	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

// FuzzHostilePods: whatever text is anywhere in a Pod, no command that reads Pods
// says anything that a terminal would obey or hide, on either stream, whether it
// works or fails, and what is JSON or YAML can be read.
func FuzzHostilePods(f *testing.F) {
	for _, seed := range []string{"web", "K\x1b]0;pwned\a\x1b[31m", "n\x1b[2J", "\u202egnp", "\U000e0041", "a\nb\r", "\u009b\xff", "e\u0301\u0301\u0301\u0301\u0301", "1\u2028"} {
		f.Add(seed, "plain")
		f.Add("plain", seed)
	}
	f.Setenv("KUBECONFIG", filepath.Join(f.TempDir(), "none")) // no cluster is asked, whatever is given
	f.Fuzz(func(t *testing.T, one, other string) {
		dir := t.TempDir()
		live := writeFile(t, dir, "live.json", hostilePod(one, other))
		fresh := writeFile(t, dir, "fresh.json", hostilePod(other, one))
		object := writeFile(t, dir, "object.json", map[string]any{"kind": one, "apiVersion": other, "metadata": map[string]any{"name": other}})
		for _, args := range [][]string{
			{"fingerprint", "-f", live}, {"fingerprint", "-f", live, "-o", "json"}, {"fingerprint", "-f", object},
			{"compare", live, fresh}, {"compare", live, fresh, "-o", "json"}, {"compare", live, fresh, "-o", "yaml"},
			{"validate", "-f", object}, {"validate", "-f", live}, {one}, {"audit", "--" + one}, {"audit", one + "/" + other}, {"diff", other},
		} {
			streams, _, out, errOut := genericiooptions.NewTestIOStreams()
			Main(append([]string{"sidecar-drift"}, args...), streams)
			for _, said := range []string{out.String(), errOut.String()} {
				if printable.Lines(said) != said {
					t.Errorf("%q says %q", args, said)
				}
			}
			var value any
			var err error
			switch args[len(args)-1] {
			case "json":
				err = json.Unmarshal(out.Bytes(), &value)
			case "yaml":
				err = yaml.Unmarshal(out.Bytes(), &value)
			}
			if err != nil && out.Len() > 0 {
				t.Errorf("%q: %v: %s", args, err, out)
			}
		}
	})
}

func hostilePod(one, other string) map[string]any {
	return map[string]any{
		"kind": "Pod", "apiVersion": "v1",
		"metadata": map[string]any{
			"name": one, "namespace": other, "labels": map[string]string{one: other}, "annotations": map[string]string{other: one},
			"ownerReferences": []any{map[string]any{"kind": one, "name": other, "apiVersion": one, "uid": other, "controller": true}},
			"managedFields": []any{map[string]any{
				"manager": one, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
				"fieldsV1": map[string]any{"f:spec": map[string]any{"f:containers": map[string]any{`k:{"name":"app"}`: map[string]any{".": map[string]any{}}}}},
			}},
		},
		"spec": map[string]any{
			"containers": []any{
				map[string]any{"name": "app", "image": other},
				map[string]any{"name": one, "image": one, "args": []string{other}, "env": []any{map[string]any{"name": other, "value": one}}},
			},
			"volumes": []any{map[string]any{"name": other, "emptyDir": map[string]any{"medium": one}}},
		},
	}
}

func writeFile(t *testing.T, dir, name string, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
