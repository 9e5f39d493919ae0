package verdict

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// realSidecars are what Linkerd, Dapr and Istio inject.
var realSidecars = []string{"linkerd-proxy", "linkerd-init", "linkerd-debug", "daprd", "istio-proxy", "istio-init"}

// TestRealInjectors judges Pods that real injectors made before and after an upgrade:
// the places are those at which the Pods that were re-created differ.
func TestRealInjectors(t *testing.T) {
	folders, err := filepath.Glob("testdata/real/*")
	if err != nil || len(folders) == 0 {
		t.Fatal("no recorded Pods: ", err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			var want struct {
				State  State    `json:"state"`
				Places []string `json:"places"`
			}
			if err := json.Unmarshal(read(t, filepath.Join(folder, "expected.json")), &want); err != nil {
				t.Fatal(err)
			}
			v := judge(t, documents{
				Live: read(t, filepath.Join(folder, "live.json")), Fresh: read(t, filepath.Join(folder, "fresh.json")),
				SidecarNames: realSidecars,
			})
			if v.State != want.State {
				t.Errorf("state %s, want %s", v.State, want.State)
			}
			var places []string
			for _, c := range v.Changes {
				places = append(places, strings.TrimSpace(c.Part+" "+c.Path))
			}
			slices.Sort(want.Places)
			if diff := cmp.Diff(want.Places, places); diff != "" {
				t.Errorf("places (-want +got):\n%s", diff)
			}
		})
	}
}
