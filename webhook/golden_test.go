package webhook

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
)

// TestGolden posts each testdata/NAME.json and compares the answer, its patch
// decoded, with testdata/NAME.golden. Fixtures come from a real API server.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.json")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, input := range inputs {
		t.Run(filepath.Base(input), func(t *testing.T) {
			body, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			got := readable(t, newHarness().review(t, string(body)))
			golden := strings.TrimSuffix(input, ".json") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("-want +got:\n%s\nrefresh with: go test ./webhook -update", diff)
			}
		})
	}
}

func readable(t *testing.T, response *admissionv1.AdmissionResponse) []byte {
	t.Helper()
	patch := response.Patch
	response.Patch = nil
	head, err := json.Marshal(response)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	out.Write(append(head, '\n'))
	if len(patch) > 0 {
		if err := json.Indent(&out, patch, "", "  "); err != nil {
			t.Fatal(err)
		}
		out.WriteByte('\n')
	}
	return out.Bytes()
}
