package watch

import (
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/restless"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// A revision that was believed because of others, at a place that was seen to vary since, is
// judged again once a round, even if it cannot be asked.
func TestBehindOnceARound(t *testing.T) {
	pod := func(nonce string) jsontree.Node {
		node, err := jsontree.Parse([]byte(`{"spec":{"containers":[{"name":"app"},{"name":"agent","env":[{"name":"NONCE","value":"` + nonce + `"}]}]}}`))
		if err != nil {
			t.Fatal(err)
		}
		return node
	}
	template, err := jsontree.Parse([]byte(`{"spec":{"containers":[{"name":"app"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	in := verdict.Input{Live: pod("a"), Fresh: pod("b"), Template: template}
	seen, err := verdict.Judge(in)
	if err != nil {
		t.Fatal(err)
	}
	var varies verdict.Varying
	if differ, err := varies.Learn(in); err != nil || !differ {
		t.Fatalf("%t, %v: fresh injections differ", differ, err)
	}
	ledger, scope, key := &restless.Ledger{}, restless.Scope{Namespace: "shop"}, inventory.Key{}
	told := audit.Finding{Varies: scope, Revision: report.Revision{State: verdict.Drifted, Told: true, Changes: seen.Changes}}
	a := &Auditor{opts: audit.Options{Restless: ledger}, findings: map[inventory.Key]known{key: {Finding: told}}}
	if keys := a.behind(map[inventory.Key]bool{}); len(keys) != 0 {
		t.Errorf("%d are behind before anything is known", len(keys))
	}
	ledger.Learn(scope, &varies)
	before := map[inventory.Key]bool{}
	for n, want := range []int{1, 0, 0} {
		if keys := a.behind(before); len(keys) != want {
			t.Errorf("the %d. time %d are behind, want %d", n+1, len(keys), want)
		}
	}
}
