package wave

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

var (
	start = time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC) // the night before the clock changes in Europe
	three = []Wave{{Name: "dev", Soak: time.Hour}, {Name: "staging", Soak: 24 * time.Hour}, {Name: "prod"}}
)

func drifted(namespace, name string, to ...string) report.Item {
	item := report.Item{Namespace: namespace, Kind: "Deployment", Name: name, State: verdict.Drifted, Revisions: []report.Revision{{State: verdict.Drifted}}}
	for i, value := range to {
		text, _ := json.Marshal(value)
		item.Revisions[0].Changes = append(item.Revisions[0].Changes, verdict.Change{Part: "container/proxy", Path: fmt.Sprint("f", i), To: text})
	}
	return item
}

// members are workloads by their waves, "WAVE NUMBER VALUE,…"; the value ? is that they are
// not judged.
func members(lines ...string) []Member {
	var all []Member
	for _, line := range lines {
		fields := strings.Fields(line)
		n := 0
		if _, err := fmt.Sscan(fields[1], &n); err != nil {
			panic(err)
		}
		for i := range n {
			all = append(all, member(fields[0], drifted(fields[0], fmt.Sprintf("web-%d", i), strings.Split(fields[2], ",")...)))
		}
	}
	return all
}

func member(wave string, item report.Item) Member {
	if item.Revisions[0].Changes[0].To[1] == '?' {
		return Member{Wave: wave, Namespace: item.Namespace, Unjudged: true}
	}
	return Member{Wave: wave, Namespace: item.Namespace, Changes: changesOf(item)}
}

func changesOf(item report.Item) []Change { return Changes(item, item.Revisions[0].Changes) }

func one(wave, values string) Member { return members(wave + " 1 " + values)[0] }

// What is a workload's own name is no part of a change.
func TestChanges(t *testing.T) {
	a, b := changesOf(drifted("shop", "web", "proxy:2", "web.shop.svc")), changesOf(drifted("cart", "api", "proxy:2", "api.cart.svc"))
	if diff := cmp.Diff(a, b); diff != "" || len(a) != 2 {
		t.Errorf("(-web +api):\n%s", diff)
	}
	if c := changesOf(drifted("shop", "web", "proxy:3")); c[0].ID == a[0].ID || c[0].ID == a[1].ID {
		t.Error("another value is the same change")
	}
	cut := drifted("shop", "web", "proxy:2")
	cut.Revisions[0].MoreChanges = 3
	if got := changesOf(cut); len(got) != 2 {
		t.Errorf("what is left out counts: %v", got)
	}
	unknown := drifted("shop", "web")
	if got := changesOf(unknown); len(got) != 1 || got[0].Place != "Drifted" {
		t.Errorf("nothing is known: %v", got)
	}
	if got := Changes(drifted("shop", "web", "proxy:2"), nil); len(got) != 0 {
		t.Errorf("no reason to roll it out: %v", got)
	}
}

// A wave begins when those before it are rolled out and have soaked.
func TestWavesInTheirOrder(t *testing.T) {
	var l Ledger
	all := []string{"dev 2 new", "staging 3 new", "prod 4 new"}
	opens := func(at time.Duration, want string, left ...string) {
		t.Helper()
		now := start.Add(at)
		l.Update(three, members(left...), now)
		got := ""
		for _, w := range three {
			if l.Open(three, one(w.Name, "new"), now) {
				got += w.Name + " "
			}
		}
		if got != want {
			t.Errorf("after %s: %q is open, want %q", at, got, want)
		}
	}
	opens(0, "dev ", all...)
	opens(time.Hour, "dev ", "dev 1 new", "staging 3 new", "prod 4 new")
	opens(90*time.Minute, "dev ", "staging 3 new", "prod 4 new") // soaks since it was first seen to be done
	opens(149*time.Minute, "dev ", "staging 3 new", "prod 4 new")
	opens(150*time.Minute, "dev staging ", "staging 3 new", "prod 4 new")
	opens(3*time.Hour, "dev ", all...) // it drifts there again, as after a rollback
	opens(4*time.Hour, "dev ", "staging 3 new", "prod 4 new")
	opens(5*time.Hour, "dev staging ", "prod 4 new")
	opens(29*time.Hour-time.Minute, "dev staging ", "prod 4 new")
	opens(29*time.Hour, "dev staging prod ", "prod 4 new")
	opens(30*time.Hour, "dev staging prod ")
	opens(31*time.Hour, "dev ", all...) // taken back, and here again: another change
}

// What a change has not reached is waited for as long as it soaks: it may be seen there
// later.
func TestAWaveWithoutTheChangeIsWaitedFor(t *testing.T) {
	var l Ledger
	prod := members("prod 4 new")
	l.Update(three, prod, start)
	for after, want := range map[time.Duration]bool{0: false, 23 * time.Hour: false, 24 * time.Hour: true} {
		if got := l.Open(three, prod[0], start.Add(after)); got != want {
			t.Errorf("after %s: open %t", after, got)
		}
	}
}

// One namespace's change leaves another one's where it is, and a workload with both waits
// for both.
func TestChangesHaveWavesOfTheirOwn(t *testing.T) {
	var l Ledger
	l.Update(three, members("dev 2 new", "staging 2 new", "prod 2 new"), start)
	later := start.Add(48 * time.Hour)
	l.Update(three, members("prod 2 new"), start.Add(time.Minute))
	l.Update(three, members("dev 5 other", "prod 2 new", "prod 2 new,more", "dev 2 same,more"), later)
	for values, want := range map[string]bool{"new": true, "new,more": false, "other": false, "never-seen": false} {
		if got := l.Open(three, one("prod", values), later); got != want {
			t.Errorf("%s: open %t, want %t", values, got, want)
		}
	}
	if !l.Open(three, one("dev", "never-seen"), later) || l.Open(three, Member{Changes: one("prod", "new").Changes}, later) {
		t.Error("the first wave is open for whatever comes; what is in no wave never is")
	}
}

// A value that is another one for each workload is no change of that one alone.
func TestValuesThatDifferForEach(t *testing.T) {
	var l Ledger
	l.Update(three, members("dev 1 hash-1", "staging 1 hash-2", "prod 1 hash-3"), start)
	later := start.Add(48 * time.Hour)
	l.Update(three, members("dev 1 hash-1", "staging 1 hash-2", "prod 1 hash-3"), later)
	if l.Open(three, one("prod", "hash-3"), later) {
		t.Error("open in prod, while it is rolled out nowhere")
	}
	if got := l.Status(three, later); len(got) != 1 || got[0].Waves[0].Workloads != 1 || got[0].Waves[0].Phase != report.WaveRollingOut {
		t.Errorf("%+v, want one change", got)
	}
}

// With a bound, what cannot be rolled out keeps nobody waiting.
func TestMaxDrift(t *testing.T) {
	waves := []Wave{{Name: "dev", MaxDrift: 20}, {Name: "prod"}}
	var l Ledger
	l.Update(waves, members("dev 10 new", "prod 2 new"), start)
	for left, want := range map[int]bool{3: false, 2: true} {
		now := start.Add(time.Hour)
		l.Update(waves, members(fmt.Sprintf("dev %d new", left), "prod 2 new"), now)
		if got := l.Open(waves, one("prod", "new"), now); got != want {
			t.Errorf("%d of 10 left: open %t", left, got)
		}
	}
}

func TestStatus(t *testing.T) {
	var l Ledger
	l.Update(three, members("dev 2 new,cpu", "staging 3 new,cpu", "prod 4 new,cpu"), start)
	l.Update(three, members("staging 3 new,cpu", "prod 4 new,cpu"), start.Add(30*time.Minute))
	got := l.Status(three, start.Add(90*time.Minute))
	want := []report.Progress{{
		Places: []string{"container/proxy:f0", "container/proxy:f1"}, Since: start,
		Waves: []report.WaveProgress{
			{Name: "dev", Workloads: 2, Phase: report.WaveOver},
			{Name: "staging", Workloads: 3, Drifted: 3, Phase: report.WaveRollingOut, Namespaces: []string{"staging"}},
			{Name: "prod", Workloads: 4, Drifted: 4, Phase: report.WaveWaiting},
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l.Update(three, members("prod 4 new,cpu"), start.Add(2*time.Hour))
	got = l.Status(three, start.Add(3*time.Hour))
	if s := got[0].Waves[1]; s.Phase != report.WaveSoaking || !s.Until.Equal(start.Add(26*time.Hour)) {
		t.Errorf("%+v", s)
	}
	l.Update(three, nil, start.Add(30*time.Hour))
	if got = l.Status(three, start.Add(60*time.Hour)); len(got) != 0 {
		t.Errorf("all over: %+v", got)
	}
}

// Whatever comes and goes: a later wave is open for a change only while no earlier one has
// a workload that drifts by it, and a ledger that was kept says the same.
func TestNoWaveOvertakes(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		var l Ledger
		now := start
		for range 60 {
			now = now.Add(time.Duration(random.IntN(20*60)) * time.Minute)
			var lines []string
			drifts := map[string]bool{}
			for _, w := range three {
				for _, value := range []string{"a", "b"} {
					if n := random.IntN(3); n > 0 {
						lines = append(lines, fmt.Sprintf("%s %d %s", w.Name, n, value))
						drifts[w.Name+value] = true
					}
				}
			}
			l.Update(three, members(lines...), now)
			kept, err := json.Marshal(l)
			if err != nil {
				t.Fatal(err)
			}
			var again Ledger
			if err := json.Unmarshal(kept, &again); err != nil {
				t.Fatal(err)
			}
			for _, value := range []string{"a", "b"} {
				for i, w := range three {
					open := l.Open(three, one(w.Name, value), now)
					if open != again.Open(three, one(w.Name, value), now) {
						t.Fatalf("seed %d: another answer after it was kept", seed)
					}
					for _, before := range three[:i] {
						if open && drifts[before.Name+value] {
							t.Fatalf("seed %d: %s is open for %s, which %s has still to roll out", seed, w.Name, value, before.Name)
						}
					}
				}
			}
		}
	}
}

// What cannot be judged may have any change: neither does a wave end with it, nor does a
// change begin anew after it, as when an injector is down for a while.
func TestWhatIsNotJudged(t *testing.T) {
	var l Ledger
	l.Update(three, members("dev 1 ?", "prod 2 new"), start)
	l.Update(three, members("dev 1 ?", "prod 2 new"), start.Add(48*time.Hour))
	if l.Open(three, one("prod", "new"), start.Add(48*time.Hour)) {
		t.Error("open in prod, while dev may yet differ")
	}
	l = Ledger{}
	l.Update(three, members("dev 2 new", "staging 2 new", "prod 2 new"), start)
	l.Update(three, members("prod 2 new"), start.Add(time.Hour))
	l.Update(three, members("prod 2 ?"), start.Add(2*time.Hour))
	l.Update(three, members("prod 2 new"), start.Add(3*time.Hour))
	if !l.Open(three, one("prod", "new"), start.Add(26*time.Hour)) {
		t.Error("a short outage has the waves begin anew")
	}
}

// A rollout that took long, or a daemon that was away, is no soak.
func TestSoakBeginsWhenItIsSeenToBeDone(t *testing.T) {
	var l Ledger
	l.Update(three, members("dev 2 new", "staging 2 new"), start)
	l.Update(three, members("staging 2 new"), start.Add(10*time.Hour))
	for after, want := range map[time.Duration]bool{10 * time.Hour: false, 11 * time.Hour: true} {
		if got := l.Open(three, one("staging", "new"), start.Add(after)); got != want {
			t.Errorf("after %s: open %t", after, got)
		}
	}
}

// A value of each namespace is judged with what else differs at its place, and so is one
// that is new where something has drifted for long.
func TestPlacesJudgeWhatEarlierWavesDoNotHave(t *testing.T) {
	var l Ledger
	later := start.Add(48 * time.Hour)
	for _, now := range []time.Time{start, later} {
		l.Update(three, members("dev 3 of-dev", "staging 3 of-staging", "prod 3 of-prod"), now)
	}
	if l.Open(three, one("prod", "of-prod"), later) {
		t.Error("a namespace's own value overtakes")
	}
	waves := []Wave{{Name: "dev", MaxDrift: 20}, {Name: "prod"}}
	l = Ledger{}
	l.Update(waves, members("dev 100 old"), start)
	l.Update(waves, members("dev 1 old"), start.Add(time.Hour))
	var fresh []string
	for i := range 15 {
		fresh = append(fresh, fmt.Sprintf("dev 1 new-%d", i))
	}
	l.Update(waves, members(append(fresh, "dev 1 old", "prod 1 new-x")...), later)
	if l.Open(waves, one("prod", "new-x"), later) {
		t.Error("what drifted once makes room for another change")
	}
}

// Records are bounded; what has none of its own goes by its place, or stays.
func TestTooManyChanges(t *testing.T) {
	var l Ledger
	left := 0
	for i := range 2 * mostRecords {
		left += l.Update(three, members(fmt.Sprintf("prod 2 value-%d", i), "dev 1 mine"), start)
	}
	if len(l.Records) > mostRecords || left == 0 {
		t.Errorf("%d records, %d left out", len(l.Records), left)
	}
	late := one("prod", fmt.Sprint("value-", 2*mostRecords-1))
	if l.Open(three, late, start.Add(48*time.Hour)) {
		t.Error("overtakes what drifts in dev at its place")
	}
	elsewhere := one("prod", "a,b")
	if l.Open(three, elsewhere, start.Add(48*time.Hour)) {
		t.Error("a place that was not taken down is open in the last wave")
	}
	l.Update(three, nil, start.Add(keptFor+time.Hour))
	if len(l.Records) != 0 {
		t.Errorf("%d are kept for ever", len(l.Records))
	}
}

// What goes in waves names the changes of the report that it is of, as they are now.
func TestWavesNameTheReportsChanges(t *testing.T) {
	l := &Ledger{}
	update := func(at time.Time, items ...report.Item) (of *report.Report, named []string) {
		t.Helper()
		of = report.New(report.DriftReport, at, items, 0)
		of.Group()
		var all []Member
		for _, item := range of.Items {
			all = append(all, member("dev", item))
		}
		l.Update(three, all, at)
		for _, p := range l.Status(three, at) {
			named = append(named, strings.Join(p.Places, " ")+": "+strings.Join(p.Changes, " "))
		}
		return of, named
	}
	both, named := update(start, drifted("shop", "web", "2", "on"), drifted("shop", "api", "2", "on"))
	want := []string{"container/proxy:f0 container/proxy:f1: " + both.Changes[0].ID}
	if diff := cmp.Diff(want, named); diff != "" || len(both.Changes) != 1 {
		t.Errorf("one change (-want +got):\n%s", diff)
	}
	apart, named := update(start.Add(time.Minute), drifted("shop", "web", "2", "on"), drifted("shop", "api", "2"))
	ids := []string{apart.Changes[0].ID, apart.Changes[1].ID}
	slices.Sort(ids)
	if text := strings.Join(named, "; "); !strings.Contains(text, "container/proxy:f0: "+apart.Changes[0].ID) || len(apart.Changes) != 2 {
		t.Errorf("of the changes %v: %s", ids, text)
	}
	if _, named := update(start.Add(2 * time.Minute)); !strings.Contains(strings.Join(named, "; "), apart.Changes[0].ID) {
		t.Errorf("when nothing drifts by it any more: %s", named)
	}
}
