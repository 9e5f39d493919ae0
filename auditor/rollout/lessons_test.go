package rollout

import (
	"encoding/json"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// scoped is a workload whose dry runs pass the same webhooks as another's.
func scoped(name string, changes ...verdict.Change) report.Item {
	item := with(audited("Deployment", verdict.Drifted, changes...), func(r *report.Revision) { r.Scope = "01 ReplicaSet.apps" })
	item.Name = name
	return item
}

// What came back as it was is a lesson on just that: others that differ elsewhere, too,
// are rolled out, and are not judged by it.
func TestLessonsOfARun(t *testing.T) {
	mode := verdict.Change{Part: "container/istio-proxy", Path: "env[MODE].value", From: json.RawMessage(`"real"`), To: json.RawMessage(`"dry"`)}
	first := scoped("a", imageChange, mode)
	r := run{items: []report.Item{first}}
	o := converged(first, scoped("a", mode), Options{}, nil)
	if o.result != report.NotConverging || len(o.biased) != 1 {
		t.Fatalf("%+v", o)
	}
	r.learn(first, o.biased)

	elsewhere := scoped("d", mode)
	elsewhere.Namespace = "pay"
	otherwise := with(scoped("e", mode), func(r *report.Revision) { r.Scope = "02 ReplicaSet.apps" })
	unknown := with(scoped("f", mode), func(r *report.Revision) { r.Scope = "" })
	for name, test := range map[string]struct {
		item   report.Item
		inVain bool
	}{
		"image and MODE": {scoped("b", imageChange, mode), false}, "image alone": {scoped("c", imageChange), false}, "MODE alone": {scoped("c", mode), true},
		"another namespace": {elsewhere, false}, "other webhooks": {otherwise, false}, "unknown webhooks": {unknown, false},
	} {
		if got := r.inVain(test.item) != proceed; got != test.inVain {
			t.Errorf("%s: in vain: %v", name, got)
		}
	}
	next := r.knowing(scoped("b", imageChange, mode))
	if o := converged(next, scoped("b", mode), Options{}, nil); o.result != report.RolledOut {
		t.Errorf("the next one: %+v", o)
	}
	if o := converged(next, scoped("b", imageChange), Options{}, nil); o.result != report.NotConverging {
		t.Errorf("the next one, whose image stays: %+v", o)
	}
}
