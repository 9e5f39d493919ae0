package inventory

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// livePod is a Pod of one of three revisions, or of none, in one of some looks.
type livePod struct {
	uid, owner, image, stamp string
	phase                    string
}

func (p livePod) node(t *testing.T) jsontree.Node {
	t.Helper()
	owners := ""
	if p.owner != "" {
		owners = fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"ReplicaSet","name":%q,"uid":%q,"controller":true}`, p.owner, p.owner)
	}
	pod, err := jsontree.Parse(fmt.Appendf(nil,
		`{"metadata":{"name":%q,"uid":%q,"namespace":"shop","annotations":{"sidecar-drift.io/stamp":%q},"ownerReferences":[%s]},`+
			`"spec":{"containers":[{"name":"app","image":%q}]},"status":{"phase":%q}}`,
		"pod-"+p.uid, p.uid, p.stamp, owners, p.image, p.phase))
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// lines are the groups' Pods with their digests and stamps, sorted.
func lines(groups []Group) []string {
	var all []string
	for _, g := range groups {
		var pods []string
		for _, p := range g.Pods {
			pods = append(pods, fmt.Sprintf("%s %x %s", p.UID, p.Digest[:2], p.Stamp))
		}
		slices.Sort(pods)
		all = append(all, g.group.owner.Name+": "+strings.Join(pods, ", "))
	}
	slices.Sort(all)
	return all
}

// TestLiveIsWhatCameLast: whatever comes in which order, the groups are those of
// the Pods as they came last, and groups that were handed out stay as they were.
func TestLiveIsWhatCameLast(t *testing.T) {
	for seed := range uint64(30) {
		chance := rand.New(rand.NewPCG(seed, 7))
		pick := func(of ...string) string { return of[chance.IntN(len(of))] }
		l := NewLive(nil, Selection{})
		from := l.sources[0]
		model := map[string]livePod{}
		var handedOut [][]Group
		var as [][]string
		for range 300 {
			uid := fmt.Sprint(chance.IntN(20))
			switch chance.IntN(12) {
			case 0:
				delete(model, uid)
				l.remove(uid)
			case 1: // read whole, again: some have gone meanwhile
				from.read++
				for uid := range model {
					if chance.IntN(5) == 0 {
						delete(model, uid)
						continue
					}
					l.put(from, model[uid].node(t))
				}
				l.prune(from)
			default:
				p := livePod{uid, pick("", "web-1", "web-2", "api-1"), pick("a:1", "a:2"), pick("x", "y"), pick("Running", "Running", "Running", "Succeeded")}
				model[uid] = p
				l.put(from, p.node(t))
			}
			groups, notJudged := l.Groups()
			handedOut, as = append(handedOut, groups), append(as, lines(groups))
			anew := NewLive(nil, Selection{})
			finished := 0
			for _, p := range model {
				anew.put(anew.sources[0], p.node(t))
				if p.phase == "Succeeded" {
					finished++
				}
			}
			want, _ := anew.Groups()
			if diff := cmp.Diff(lines(want), lines(groups)); diff != "" || finished != notJudged {
				t.Fatalf("seed %d: %d not judged, want %d; groups (-want +got):\n%s", seed, notJudged, finished, diff)
			}
		}
		for i, groups := range handedOut {
			if diff := cmp.Diff(as[i], lines(groups)); diff != "" {
				t.Fatalf("seed %d: groups that were handed out have changed (-then +now):\n%s", seed, diff)
			}
		}
	}
}

// Nothing stays of Pods that went, however many there were.
func TestLiveForgetsWhatWent(t *testing.T) {
	l := NewLive(nil, Selection{})
	from := l.sources[0]
	const atOnce = 50
	pod := func(n int) livePod {
		return livePod{fmt.Sprint(n), []string{"", "web-1", fmt.Sprint("job-", n)}[n%3], fmt.Sprint("a:", n%5), fmt.Sprint("stamp-", n), "Running"}
	}
	for n := range 10_000 {
		l.put(from, pod(n).node(t))
		again := pod(n)
		again.stamp += "-again"
		l.put(from, again.node(t))
		if n >= atOnce {
			l.remove(fmt.Sprint(n - atOnce))
		}
		if len(l.stamps) > atOnce+1 || len(l.pods) > atOnce+1 || len(l.groups) > atOnce+1 || len(l.disowned) > 0 {
			t.Fatalf("after %d Pods: %d stamps, %d Pods, %d groups of %d that live", n, len(l.stamps), len(l.pods), len(l.groups), atOnce)
		}
	}
	from.read++
	l.prune(from)
	if len(l.stamps)+len(l.pods)+len(l.groups) > 0 {
		t.Errorf("of none, %d stamps, %d Pods, %d groups are left", len(l.stamps), len(l.pods), len(l.groups))
	}
}

// What does not count is no change to tell.
func TestLiveTellsWhatCounts(t *testing.T) {
	l := NewLive(nil, Selection{})
	told := func() bool {
		select {
		case <-l.Changed():
			return true
		default:
			return false
		}
	}
	p := livePod{"1", "web-1", "a:1", "x", "Pending"}
	for _, step := range []struct {
		name   string
		change func()
		want   bool
	}{
		{"a new Pod", func() {}, true},
		{"the same again", func() {}, false},
		{"it runs", func() { p.phase = "Running" }, false},
		{"another image", func() { p.image = "a:2" }, true},
		{"another stamp", func() { p.stamp = "y" }, true},
		{"it ends", func() { p.phase = "Failed" }, true},
	} {
		step.change()
		l.put(l.sources[0], p.node(t))
		if got := told(); got != step.want {
			t.Errorf("%s: told %t", step.name, got)
		}
	}
	l.remove("1")
	if !told() {
		t.Error("it is gone: not told")
	}
	l.remove("1")
	if told() {
		t.Error("it is gone, again: told")
	}
}
