package matrix

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// recorder writes the Pods of each row that is judged by two Pods alone as a
// golden folder of auditor/verdict. Generated rows are too many, and property
// tests there make the same changes.
func (m *matrix) recorder(t *testing.T) func(audit.Comparison) {
	rows := map[string]row{}
	for n, r := range m.rows {
		if !r.generated() && r.state != verdict.Unstable {
			rows[name(n)] = r
		}
	}
	return func(c audit.Comparison) {
		id := regexp.MustCompile(`^row-\d+`).FindString(c.Workload.Name)
		r, ok := rows[id]
		if !ok || c.Verdict.State != r.state || !c.Live.Exists() {
			return
		}
		delete(rows, id) // one Pod a row
		folder := filepath.Join(*record, slug(r.group), slug(r.name))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Error(err)
			return
		}
		for file, document := range map[string]jsontree.Node{"live.json": c.Live, "fresh.json": c.Fresh, "template.json": c.Template} {
			if !document.Exists() {
				continue
			}
			if err := writeDocument(filepath.Join(folder, file), document.Raw()); err != nil {
				t.Error(err)
			}
		}
	}
}

// writeDocument writes the Pod, or template, without its status.
func writeDocument(file string, document []byte) error {
	var object map[string]any
	if err := json.Unmarshal(document, &object); err != nil {
		return err
	}
	delete(object, "status")
	if file := filepath.Base(file); file != "template.json" {
		object["apiVersion"], object["kind"] = "v1", "Pod" // which items of a list lack
	}
	b, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

var notInSlug = regexp.MustCompile(`[^a-z0-9]+`)

func slug(text string) string {
	return strings.Trim(notInSlug.ReplaceAllString(strings.ToLower(text), "-"), "-")
}
