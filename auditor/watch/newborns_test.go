package watch

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/go-logr/logr"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/cover"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/newborn"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

var inShop = newborn.Scope{Namespace: "shop", Owner: "ReplicaSet.apps", Chain: newborn.Chain{1}}

func changeAt(part, path, from, to string) verdict.Change {
	raw := func(s string) json.RawMessage {
		if s == "" {
			return nil
		}
		return json.RawMessage(fmt.Sprintf("%q", s))
	}
	return verdict.Change{Part: part, Path: path, From: raw(from), To: raw(to)}
}

func standingAuditor() *Auditor {
	return &Auditor{
		opts:     audit.Options{Log: logr.Discard()},
		ledger:   cover.New[inventory.Key, inventory.WorkloadRef](),
		findings: map[inventory.Key]known{}, shapes: shapes{},
	}
}

func numberedDigest(n byte) verdict.Digest { return verdict.Digest{n} }

func numbered(name string, digest byte, created int64) inventory.Pod {
	return inventory.Pod{Name: name, UID: "uid-" + name, Alike: inventory.Alike{Digest: numberedDigest(digest)}, Created: created}
}

// found is what an audit of the revision finds: answer fresh at a time; differs by digest.
func found(fresh byte, answered int64, pods []inventory.Pod, differs map[byte][]verdict.Change) audit.Finding {
	f := audit.Finding{
		Workload: inventory.WorkloadRef{Kind: "Deployment", Namespace: "shop", Name: "web"},
		Pods:     map[verdict.State]int{}, Fresh: numberedDigest(fresh), Answered: answered, Scope: inShop, Submitted: []byte("{}"),
		Judged: map[inventory.Alike]verdict.State{}, Differs: map[inventory.Alike][]verdict.Change{},
	}
	for _, alike := range inventory.Alikes(pods) {
		d := alike[0].Alike
		state := verdict.InSync
		if changes := differs[d.Digest[0]]; len(changes) > 0 {
			state = verdict.Drifted
			f.Differs[d] = changes
			f.Revision.Changes = append(f.Revision.Changes, changes...)
		}
		f.Judged[d] = state
		f.Count(alike, state)
	}
	f.Revision.State = verdict.WorstOf(f.Pods)
	return f
}

// round is what Auditor.round does about one revision whose Pods changed: it is asked
// about (found) unless what is known suffices.
func (a *Auditor) askRound(t *testing.T, pods []inventory.Pod, ask func() audit.Finding) report.Revision {
	t.Helper()
	live := map[inventory.Key]inventory.Group{{}: {Pods: pods}}
	a.forget(live)
	if len(a.unknown(live)) > 0 {
		a.take(live, 0)(inventory.Revision{Pods: pods, Workload: inventory.WorkloadRef{Namespace: "shop"}}, ask(), nil, shape{})
	}
	return a.withLessons(a.findings[inventory.Key{}].Finding).Revision
}

// A lesson ends when a newborn comes that is as the dry run says, be it like no Pod before.
func TestANewbornAsTheDryRunEndsALesson(t *testing.T) {
	a := standingAuditor()
	image := []verdict.Change{changeAt("container/istio-proxy", "image", "v1", "v2")}
	differs := map[byte][]verdict.Change{1: image}
	old, late, good := numbered("web-old", 1, 100), numbered("web-late", 1, 1100), numbered("web-good", 2, 2000)
	a.askRound(t, []inventory.Pod{old}, func() audit.Finding { return found(2, 1000, []inventory.Pod{old}, differs) })
	// An old replica of the injector still answers 100 s after the new one began to.
	a.askRound(t, []inventory.Pod{old, late}, func() audit.Finding { return found(2, 1103, []inventory.Pod{old, late}, differs) })
	// The upgrade is over: a newborn is just as the dry run says.
	all := []inventory.Pod{old, late, good}
	got := a.askRound(t, all, func() audit.Finding { return found(2, 2003, all, differs) })
	if got.State != verdict.Drifted {
		t.Errorf("%s (%s), want it Drifted: web-good proves that the dry run tells the truth", got.State, got.Reason)
	}
}

// A Pod that an old replica of an injector makes 100 s into an upgrade hides no drift.
func TestALatePodOfAnUpgradeTeachesNothing(t *testing.T) {
	a := standingAuditor()
	image := []verdict.Change{changeAt("container/istio-proxy", "image", "v1", "v2")}
	differs := map[byte][]verdict.Change{1: image}
	old, late := numbered("web-old", 1, 100), numbered("web-late", 1, 1100)
	first := []inventory.Pod{old}
	// Before the upgrade: in sync with v1.
	a.askRound(t, first, func() audit.Finding { return found(1, 500, first, nil) })
	// The upgrade was seen by the cover.
	live := map[inventory.Key]inventory.Group{{}: {Pods: first}}
	a.take(live, 0)(inventory.Revision{Pods: first}, found(2, 1000, first, differs), nil, shape{})
	both := []inventory.Pod{old, late}
	got := a.askRound(t, both, func() audit.Finding { return found(2, 1103, both, differs) })
	if got.State != verdict.Drifted {
		t.Errorf("%s (%s), want it Drifted: the newborn is what the LAST answer was (digest 1), an old replica's doing", got.State, got.Reason)
	}
}

// A mutator of values (an image mirror; Istio's rewriting of probes) that was down for a
// moment teaches nothing.
func TestAnOutageTeachesNothing(t *testing.T) {
	a := standingAuditor()
	drift := changeAt("container/istio-proxy", "image", "mirror/proxy:1", "mirror/proxy:2")
	gap := changeAt("container/istio-proxy", "image", "docker.io/proxy:2", "mirror/proxy:2")
	old, newborn := numbered("web-old", 1, 100), numbered("web-gap", 3, 5000)
	first, both := []inventory.Pod{old}, []inventory.Pod{old, newborn}
	a.askRound(t, first, func() audit.Finding { return found(2, 1000, first, map[byte][]verdict.Change{1: {drift}}) })
	a.askRound(t, both, func() audit.Finding { return found(2, 5003, both, map[byte][]verdict.Change{1: {drift}, 3: {gap}}) })
	a.lessons.Outage() // the round saw that the mirror's webhook was down
	got := a.withLessons(a.findings[inventory.Key{}].Finding).Revision
	if got.State != verdict.Drifted {
		t.Errorf("%s (%s), want it Drifted: an injector was seen to be down when web-gap was born", got.State, got.Reason)
	}
}

// Injection that changed while a workload could not be asked about ends a lesson, too.
func TestAnAnswerThatChangedDuringAnOutage(t *testing.T) {
	a := standingAuditor()
	old := numbered("web-old", 1, 100)
	v2 := []verdict.Change{changeAt("container/istio-proxy", "image", "v1", "v1-controller")}
	first := []inventory.Pod{old}
	a.askRound(t, first, func() audit.Finding { return found(2, 1000, first, map[byte][]verdict.Change{1: v2}) })
	a.lessons.Learn(inShop, newborn.Lesson{Pod: "x", Places: []string{"container/istio-proxy:image"}})
	// It is down; a Pod comes without the sidecar: like none before.
	both := []inventory.Pod{old, numbered("web-bare", 7, 2000)}
	a.askRound(t, both, func() audit.Finding {
		f := found(9, 2003, both, nil)
		f.Unasked = true // its scope is set whatever the state: audit.run
		f.Unjudged(both, verdict.Unknown, "injector does not answer")
		return f
	})
	// It is up again, as v3.
	v3 := []verdict.Change{changeAt("container/istio-proxy", "image", "v1", "v3")}
	live := map[inventory.Key]inventory.Group{{}: {Pods: both}}
	a.take(live, 0)(inventory.Revision{Pods: both}, found(4, 3000, both, map[byte][]verdict.Change{1: v3, 7: {changeAt("container/istio-proxy", "", "", "{}")}}), nil, shape{})
	if _, biased, _ := a.lessons.Split(inShop, v3); biased != nil {
		t.Errorf("v1 → v3 is hidden by a lesson about the answer v2: %v", biased)
	}
}

// An answer that changes where no lesson is, as an autoscaler's, or a StatefulSet's that
// is scaled, ends none.
func TestAnUnrelatedAnswerEndsNoLesson(t *testing.T) {
	const biased = "container/proxy:env[MODE].value"
	for name, answers := range map[string][2]string{
		"an autoscaler moved": {
			`{"metadata":{"name":"a"},"spec":{"containers":[{"name":"app","image":"a","resources":{"requests":{"cpu":"100m"}}},{"name":"proxy","image":"p"}]}}`,
			`{"metadata":{"name":"a"},"spec":{"containers":[{"name":"app","image":"a","resources":{"requests":{"cpu":"120m"}}},{"name":"proxy","image":"p"}]}}`,
		},
		"a StatefulSet was scaled from 3 to 4": {
			`{"metadata":{"name":"db-3"},"spec":{"containers":[{"name":"app","image":"a"},{"name":"proxy","image":"p","env":[{"name":"INDEX","value":"3"}]}]}}`,
			`{"metadata":{"name":"db-4"},"spec":{"containers":[{"name":"app","image":"a"},{"name":"proxy","image":"p","env":[{"name":"INDEX","value":"4"}]}]}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := standingAuditor()
			a.lessons.Learn(inShop, newborn.Lesson{Pod: "web-1", Places: []string{biased}})
			pods := []inventory.Pod{numbered("other", 1, 100)}
			live := map[inventory.Key]inventory.Group{{}: {Pods: pods}}
			for i, answer := range answers {
				node, err := jsontree.Parse([]byte(answer))
				if err != nil {
					t.Fatal(err)
				}
				f := found(0, int64(1000*(i+1)), pods, nil)
				if f.Fresh, err = verdict.DigestOf(node); err != nil {
					t.Fatal(err)
				}
				a.take(live, 0)(inventory.Revision{Pods: pods}, f, nil, shape{})
			}
			if _, left, _ := a.lessons.Split(inShop, []verdict.Change{changeAt("container/proxy", "env[MODE].value", "real", "dry")}); left == nil {
				t.Error("what newborns taught about MODE is forgotten, though no answer changed there")
			}
		})
	}
}

// Pods that were born apart, and are alike, teach where the dry run differs.
func TestNewbornsTeach(t *testing.T) {
	a := standingAuditor()
	mode := []verdict.Change{changeAt("container/proxy", "env[MODE].value", "real", "dry")}
	differs := map[byte][]verdict.Change{1: mode}
	old, soon, late := numbered("web-old", 1, 100), numbered("web-soon", 1, 1030), numbered("web-late", 1, 1100)
	pods := []inventory.Pod{old}
	if got := a.askRound(t, pods, func() audit.Finding { return found(2, 1000, pods, differs) }); got.State != verdict.Drifted {
		t.Errorf("nothing is known yet: %s", got.State)
	}
	pods = []inventory.Pod{old, soon}
	if got := a.askRound(t, pods, func() audit.Finding { return found(2, 1035, pods, differs) }); got.State != verdict.Drifted {
		t.Errorf("the answer was not settled: %s", got.State)
	}
	pods = []inventory.Pod{old, soon, late}
	got := a.askRound(t, pods, func() audit.Finding { return found(2, 1105, pods, differs) })
	if got.State != verdict.Unknown || len(got.Changes) > 0 || len(got.Biased) != 1 || len(got.Members[verdict.Unknown]) != 3 {
		t.Errorf("%+v", got)
	}
	if last := a.findings[inventory.Key{}]; last.Revision.State != verdict.Drifted || len(last.Revision.Members[verdict.Drifted]) != 3 {
		t.Errorf("what is kept has changed: %+v", last.Revision)
	}
}
