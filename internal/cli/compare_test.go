package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// The Pods that the matrix recorded on a real cluster get the same verdict from
// compare, which knows no template: the fresh Pod's managedFields tell what was
// submitted.
func TestCompareRecordedPods(t *testing.T) {
	folders, err := filepath.Glob("../../auditor/verdict/testdata/matrix/*/*")
	if err != nil || len(folders) == 0 {
		t.Fatal("no recorded Pods: ", err)
	}
	for _, folder := range folders {
		streams, _, out, errOut := genericiooptions.NewTestIOStreams()
		code := Main([]string{"sidecar-drift", "compare", filepath.Join(folder, "live.json"), filepath.Join(folder, "fresh.json"), "-o", "json"}, streams)
		var got, want struct {
			State   string `json:"state"`
			Changes []struct {
				Part string `json:"part"`
				Path string `json:"path"`
			} `json:"changes"`
		}
		expected, err := os.ReadFile(filepath.Join(folder, "expected.json"))
		if err != nil {
			t.Fatal(err)
		}
		for document, into := range map[string]any{out.String(): &got, string(expected): &want} {
			if err := json.Unmarshal([]byte(document), into); err != nil {
				t.Fatalf("%s: %v: %s%s", folder, err, document, errOut.String())
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-audit +compare):\n%s", folder, diff)
		}
		if same := len(want.Changes) == 0 && (want.State == "InSync" || want.State == "NotInjected"); (code == 0) != same || code > 1 {
			t.Errorf("%s: exit code %d for %s", folder, code, want.State)
		}
	}
}

// Pods that real injectors made were stored without managedFields: the flag tells
// what is a sidecar.
func TestCompareRealInjectors(t *testing.T) {
	folders, err := filepath.Glob("../../auditor/verdict/testdata/real/*")
	if err != nil || len(folders) == 0 {
		t.Fatal("no recorded Pods: ", err)
	}
	for _, folder := range folders {
		streams, _, out, errOut := genericiooptions.NewTestIOStreams()
		code := Main([]string{
			"sidecar-drift", "compare", filepath.Join(folder, "live.json"), filepath.Join(folder, "fresh.json"), "-o", "json",
			"--sidecar-container-name", "linkerd-proxy,linkerd-init,linkerd-debug,daprd,istio-proxy,istio-init",
		}, streams)
		var got struct {
			State   string `json:"state"`
			Changes []struct {
				Part string `json:"part"`
				Path string `json:"path"`
			} `json:"changes"`
		}
		var want, found struct {
			State  string   `json:"state"`
			Places []string `json:"places"`
		}
		expected, err := os.ReadFile(filepath.Join(folder, "expected.json"))
		if err != nil {
			t.Fatal(err)
		}
		for document, into := range map[string]any{out.String(): &got, string(expected): &want} {
			if err := json.Unmarshal([]byte(document), into); err != nil {
				t.Fatalf("%s: %v: %s%s", folder, err, document, errOut.String())
			}
		}
		found.State = got.State
		for _, c := range got.Changes {
			found.Places = append(found.Places, c.Part+" "+c.Path)
		}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("%s (-expected +compare):\n%s", folder, diff)
		}
		if code != 1 {
			t.Errorf("%s: exit code %d", folder, code)
		}
	}
}
