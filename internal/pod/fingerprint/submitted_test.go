package fingerprint

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// TestOfSubmitted: what a template tells of the Pods that a real cluster made is what
// their managedFields tell.
func TestOfSubmitted(t *testing.T) {
	templates, err := filepath.Glob("../../../auditor/verdict/testdata/matrix/*/*/template.json")
	if err != nil || len(templates) == 0 {
		t.Fatal("no recorded Pods: ", err)
	}
	read := func(file string) jsontree.Node {
		document, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		root, err := jsontree.Parse(document)
		if err != nil {
			t.Fatal(err)
		}
		return root
	}
	for _, template := range templates {
		folder := filepath.Dir(template)
		switch filepath.Base(folder) {
		case "a-job", "a-statefulset-with-volumeclaimtemplates": // whose controllers add to the template
			continue
		}
		pod := read(filepath.Join(folder, "fresh.json"))
		want, err := Of(pod)
		if err != nil {
			t.Fatal(err)
		}
		got, err := OfSubmitted(pod, read(template))
		if err != nil {
			t.Fatal(err)
		}
		if got.Stamp != want.Stamp {
			t.Errorf("%s: %v, by managedFields %v", folder, got.Parts, want.Parts)
		}
	}
}
