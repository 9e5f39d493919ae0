package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// TestNotCounted: what does not count is in a wide table and in JSON, masked, and in no
// other line.
func TestNotCounted(t *testing.T) {
	r := New(DriftReport, time.Unix(0, 0), []Item{{
		Namespace: "shop", Kind: "Deployment", Name: "web", State: verdict.InSync, Pods: map[verdict.State]int{verdict.InSync: 1},
		Revisions: []Revision{{
			Name: "web-1", State: verdict.InSync, Pods: 1, Undecided: []string{"pod:imagePullSecrets[mesh]"},
			Metadata: []verdict.Change{
				{Part: "metadata", Path: "annotations[mesh.test/hash]", From: json.RawMessage(`"1"`), To: json.RawMessage(`"2"`)},
				{Part: "metadata", Path: "annotations[mesh.test/password]", To: json.RawMessage(`"hunter2-hunter2"`)},
			},
			MoreMetadata: 3,
		}},
	}}, 0)
	written := map[Format]string{}
	for _, format := range []Format{Table, Wide, JSON} {
		var b bytes.Buffer
		if err := r.Masked(mask.Constant()).Write(&b, format, TextOptions{}); err != nil {
			t.Fatal(err)
		}
		written[format] = b.String()
		if strings.Contains(b.String(), "hunter2") {
			t.Errorf("%s shows a secret:\n%s", format, b.String())
		}
	}
	const want = "not counted: metadata: annotations[mesh.test/hash] 1 → 2, annotations[mesh.test/password] added (+3 more); not decided: pod:imagePullSecrets[mesh]"
	if !strings.Contains(written[Wide], want) {
		t.Errorf("wide:\n%s", written[Wide])
	}
	if strings.Contains(written[Table], "mesh.test") {
		t.Errorf("table:\n%s", written[Table])
	}
	for _, key := range []string{`"metadata"`, `"moreMetadata": 3`, `"undecided"`} {
		if !strings.Contains(written[JSON], key) {
			t.Errorf("no %s in JSON:\n%s", key, written[JSON])
		}
	}
}
