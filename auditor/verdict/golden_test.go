package verdict

import (
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden is a verdict as expected.json holds it.
type golden struct {
	State    State    `json:"state"`
	Changes  []Change `json:"changes"`
	Sidecars []string `json:"sidecars"`
	Loses    []string `json:"loses"`
}

// read returns a file's content, nil if there is none.
func read(t *testing.T, path string) []byte {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return src
}

// TestGolden judges the folders of testdata: live.json and fresh.json, with
// the template.json that both were made from, if it is known.
func TestGolden(t *testing.T) {
	var folders []string
	for _, pattern := range []string{"testdata/*/live.json", "testdata/matrix/*/*/live.json", "testdata/api-upgrades/*/live.json"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no golden folders %s: %v", pattern, err)
		}
		folders = append(folders, found...)
	}
	for _, live := range folders {
		folder := filepath.Dir(live)
		t.Run(strings.TrimPrefix(folder, "testdata/"), func(t *testing.T) {
			v, err := judgeDocuments(documents{
				Live:     read(t, live),
				Fresh:    read(t, filepath.Join(folder, "fresh.json")),
				Template: read(t, filepath.Join(folder, "template.json")),
			})
			if err != nil {
				t.Fatal(err)
			}
			form, err := json.MarshalIndent(golden{v.State, v.Changes, v.Sidecars, v.Loses}, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			form = append(form, '\n')
			expected := filepath.Join(folder, "expected.json")
			if *update {
				if err := os.WriteFile(expected, form, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(read(t, expected)), string(form)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
