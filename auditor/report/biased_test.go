package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// Paths of changes are masked, as keys are anybody's; so are the same places in "biased".
func TestBiasedPlacesAreMasked(t *testing.T) {
	const secret = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
	path := "env[" + secret + "].value"
	item := Item{Namespace: "shop", Kind: "Deployment", Name: "web", State: verdict.Unknown, Pods: map[verdict.State]int{verdict.Unknown: 1},
		Revisions: []Revision{{Name: "web-1", State: verdict.Unknown, Pods: 1, Biased: []string{"container/proxy:" + path},
			Changes: []verdict.Change{{Part: "container/proxy", Path: path}}, Reason: "differs at container/proxy:" + path}}}
	var b bytes.Buffer
	shown := New(DriftReport, time.Now(), []Item{item}, 0).Masked(mask.New([]byte("key")))
	if err := shown.Write(&b, JSON, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), secret); n > 0 {
		t.Errorf("the JSON holds the secret %d times", n)
	}
}
