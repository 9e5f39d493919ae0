package change_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// population makes workloads of a pool of differences: each byte pair says which a workload
// has, and the first bit of the second that it is not known whole.
func population(data []byte) []change.Workload {
	pool := []verdict.Change{
		image, initImage, cpu, port,
		differs("app/web", "env[A].value", `"1"`, `"2"`),
		differs("container/istio-proxy", "env[TOKEN].value", `"s3cret"`, `"s4cret"`),
		differs("container/istio-proxy", "livenessProbe.periodSeconds", "1", "2"),
		differs("volumes", "[data]", "", `{"name":"data","hostPath":{"path":"/"}}`),
		differs("container/agent", "", `{"name":"agent"}`, ""),
		{Part: "container/agent", Path: "env[NONCE].value", Unstable: true},
		differs("pod", "dnsPolicy", `"ClusterFirst"`, `"None"`),
		differs("order", "", `["web","istio-proxy"]`, `["istio-proxy","web"]`),
	}
	var all []change.Workload
	for len(data) > 1 && len(all) < 60 {
		bits := binary.BigEndian.Uint16(data)
		data = data[2:]
		r := change.Revision{Pods: 1 + int(bits%5), Sidecars: []string{"istio-proxy"}, More: int(bits >> 15)}
		for i, c := range pool {
			if bits&(1<<i) != 0 {
				r.Changes = append(r.Changes, c)
			}
		}
		if bits&(1<<14) != 0 {
			r.Loses = []string{"agent"}
		}
		w := change.Workload{Namespace: fmt.Sprint("ns", len(all)%3), Name: fmt.Sprint("w", len(all)), Revisions: []change.Revision{r}}
		if bits&(1<<13) != 0 {
			w.Revisions = append(w.Revisions, change.Revision{Pods: 1, Changes: slices.Clone(r.Changes[:len(r.Changes)/2])})
		}
		all = append(all, w)
	}
	return all
}

func shuffled(random *rand.Rand, of []change.Workload) []change.Workload {
	all := slices.Clone(of)
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i := range all {
		all[i].Revisions = slices.Clone(all[i].Revisions)
		random.Shuffle(len(all[i].Revisions), func(a, b int) {
			all[i].Revisions[a], all[i].Revisions[b] = all[i].Revisions[b], all[i].Revisions[a]
		})
		for j := range all[i].Revisions {
			changes := slices.Clone(all[i].Revisions[j].Changes)
			random.Shuffle(len(changes), func(a, b int) { changes[a], changes[b] = changes[b], changes[a] })
			all[i].Revisions[j].Changes = changes
		}
	}
	return all
}

// sums are of each workload the IDs of its changes.
func idsOf(g change.Grouping, workloads []change.Workload) [][]change.ID {
	all := make([][]change.ID, len(workloads))
	for w, workload := range workloads {
		for r, revision := range workload.Revisions {
			for c := range revision.Changes {
				if at := g.Of(w, r, c); at >= 0 && !slices.Contains(all[w], g.Changes[at].ID) {
					all[w] = append(all[w], g.Changes[at].ID)
				}
			}
		}
	}
	return all
}

// checkGrouping holds grouping to what it promises.
func checkGrouping(t *testing.T, data []byte, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	workloads := population(data)
	g := change.Group(workloads)
	if diff := cmp.Diff(g.Changes, change.Group(shuffled(random, workloads)).Changes, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("in another order (-want +got):\n%s", diff)
	}
	ids := idsOf(g, workloads)
	reach := map[change.ID]int{}
	for w, of := range ids {
		for _, id := range of {
			reach[id]++
		}
		whole := !slices.ContainsFunc(workloads[w].Revisions, func(r change.Revision) bool {
			return r.More > 0 || len(verdict.Stable(r.Changes)) < len(r.Changes)
		})
		named := of[:min(len(of), change.MostNamed)]
		if got := change.Name(named...).Covers(workloads[w]); got != (whole && len(of) > 0) {
			t.Fatalf("workload %d has %v, and they cover it: %v", w, of, got)
		}
		if len(of) > 1 && change.Name(of[1:]...).Covers(workloads[w]) {
			t.Fatalf("workload %d is covered by %v, and has %v", w, of[1:], of)
		}
	}
	for _, c := range g.Changes {
		if reach[c.ID] != c.Workloads {
			t.Fatalf("%s has %d workloads, and says %d", c.ID, reach[c.ID], c.Workloads)
		}
		if c.Summary() == "" || !slices.Contains(change.Risks(), c.Risk) || !slices.Contains(change.Kinds(), c.Kind) || c.Reason == "" {
			t.Fatalf("not told whole: %+v", c)
		}
	}

	// Where workloads go, as they are rolled out one after the other, changes merge or go,
	// and none is parted.
	left := slices.DeleteFunc(slices.Clone(workloads), func(change.Workload) bool { return random.IntN(2) == 0 })
	if slices.ContainsFunc(workloads, func(w change.Workload) bool { return w.Revisions[0].More > 0 }) {
		return // what is not known whole may have kept places together
	}
	before := map[string]change.ID{} // of places
	for _, c := range g.Changes {
		for _, place := range c.Places {
			before[place.Place()] = c.ID
		}
	}
	after := map[change.ID]change.ID{}
	for _, c := range change.Group(left).Changes {
		for _, place := range c.Places {
			was, known := before[place.Place()]
			if !known {
				continue // an image that another part has now
			}
			if is, seen := after[was]; seen && is != c.ID {
				t.Fatalf("%s was parted", was)
			}
			after[was] = c.ID
		}
	}
}

func TestGroupingOfManyPopulations(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		data := make([]byte, 2*random.IntN(40))
		mask := byte(random.IntN(256))
		for i := range data {
			data[i] = byte(random.IntN(256)) & mask
		}
		checkGrouping(t, data, random.Uint64())
	}
}

func FuzzGroupingKeepsItsPromises(f *testing.F) {
	f.Add([]byte{0, 1, 0, 3, 0, 7}, uint64(1))
	f.Add([]byte{0x80, 1, 0x20, 0xff, 0x0f, 0xff}, uint64(2))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) { checkGrouping(t, data, seed) })
}

// Whatever a stranger may have written into a Pod is grouped, and told in one line.
func FuzzGroupTakesAnything(f *testing.F) {
	f.Add("container/istio-proxy", "image", `"a:1"`, `"a:2"`, "web", "shop")
	f.Add("app/web", "env[X].value", `"web.shop.svc"`, "", "web", "default")
	f.Add("order", "", `["a"]`, "\xff", "a.b", "")
	f.Add("initContainer/x", "", "", `{"restartPolicy":"Always"}`, "100", "true")
	f.Add("volumes", "[x].emptyDir", "{", `{"a":`, "", "\x1b[2J")
	f.Fuzz(func(t *testing.T, part, path, from, to, name, namespace string) {
		one := workload(namespace, name, differs(part, path, from, to), differs("container/x", "", from, ""))
		two := workload(namespace, name+"-2", differs(part, path, to, from))
		g := change.Group([]change.Workload{one, two})
		if diff := cmp.Diff(g.Changes, change.Group([]change.Workload{two, one}).Changes); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, c := range g.Changes {
			if summary := c.Summary(); summary == "" || len(summary) > 10_000 {
				t.Errorf("summary %q", summary)
			}
		}
		if risk, reason := change.Assess(one); !slices.Contains(change.Risks(), risk) || reason == "" {
			t.Errorf("risk %q: %q", risk, reason)
		}
	})
}
