package rollout

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func digest(t *testing.T, item report.Item) string {
	t.Helper()
	d, err := digestOf(item)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func resources(to string) verdict.Change {
	return verdict.Change{Part: "container/istio-proxy", Path: "resources", To: json.RawMessage(to)}
}

func TestDigestIgnoresTheLiveSideAndOrder(t *testing.T) {
	want := digest(t, audited("Deployment", verdict.Drifted, imageChange, resources(`{"limits":{"cpu":"2"},"requests":{}}`)))
	for name, change := range map[string]func(*report.Item){
		"the revision's name": func(i *report.Item) { i.Revisions[0].Name = "web-2" },
		"a live value":        func(i *report.Item) { i.Revisions[0].Changes[0].From = json.RawMessage(`"other"`) },
		"a fresh stamp":       func(i *report.Item) { i.Revisions[0].Fresh = "v1:other" },
		"a live stamp":        func(i *report.Item) { i.Revisions[0].Stamps = []report.StampCount{{Stamp: "v1:x", Pods: 1}} },
		"the number of Pods":  func(i *report.Item) { i.Revisions[0].Pods = 7 },
		"the order of keys": func(i *report.Item) {
			i.Revisions[0].Changes[1] = resources(`{ "requests": {}, "limits": {"cpu": "2"} }`)
		},
		"the order of changes and a second revision alike": func(i *report.Item) {
			i.Revisions = append(i.Revisions, i.Revisions[0])
			rand.Shuffle(2, func(a, b int) {
				c := i.Revisions[0].Changes
				c[a], c[b] = c[b], c[a]
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			item := audited("Deployment", verdict.Drifted, imageChange, resources(`{"limits":{"cpu":"2"},"requests":{}}`))
			change(&item)
			if got := digest(t, item); got != want {
				t.Errorf("the digest changed to %s", got)
			}
		})
	}
}

// What varies from one injection to the next is in no digest: a workload that did not
// converge would be rolled out again and again.
func TestDigestOfWhatVaries(t *testing.T) {
	item := func(nonce, stamp string) report.Item {
		return with(audited("Deployment", verdict.Drifted, imageChange, verdict.Change{Part: "container/proxy", Path: "env[NONCE].value", To: json.RawMessage(nonce), Unstable: true}),
			func(r *report.Revision) { r.Fresh, r.Varies = stamp, []string{"container/proxy:env[NONCE].value"} })
	}
	if digest(t, item(`"a"`, "v1:a")) != digest(t, item(`"b"`, "v1:b")) {
		t.Error("the digest varies")
	}
	if other := item(`"a"`, "v1:a"); digest(t, with(other, func(r *report.Revision) { r.Changes[0].To = json.RawMessage(`"proxy:3"`) })) == digest(t, item(`"a"`, "v1:a")) {
		t.Error("another image has the same digest")
	}
}

func TestDigestFollowsTheFreshSide(t *testing.T) {
	old := digest(t, audited("Deployment", verdict.Drifted, imageChange))
	for name, item := range map[string]report.Item{
		"a fresh value": audited("Deployment", verdict.Drifted, verdict.Change{Part: imageChange.Part, Path: imageChange.Path, To: json.RawMessage(`"istio/proxyv2:1.29.0"`)}),
		"a removal":     audited("Deployment", verdict.Drifted, verdict.Change{Part: imageChange.Part, Path: imageChange.Path}),
		"the place":     audited("Deployment", verdict.Drifted, verdict.Change{Part: "initContainer/istio-proxy", Path: imageChange.Path, To: imageChange.To}),
	} {
		t.Run(name, func(t *testing.T) {
			if digest(t, item) == old {
				t.Error("the digest is the same")
			}
		})
	}
}

func TestLastRolloutAnnotation(t *testing.T) {
	want := lastRollout{Digest: "d1", Time: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC), Result: report.RolledOut}
	value, err := want.annotation()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"digest":"d1","time":"2026-01-02T15:04:05Z","result":"RolledOut"}`, value); diff != "" {
		t.Error(diff)
	}
	got, ok := parseLastRollout(value)
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("%v: %s", ok, diff)
	}
}

func FuzzParseLastRollout(f *testing.F) {
	f.Add(`{"digest":"d1","time":"2026-01-02T15:04:05Z","result":"RolledOut"}`)
	f.Add(`{"digest":""}`)
	for _, seed := range []string{
		`yesterday`, ``, `null`, `[]`, `{}`, `{"digest":null,"time":null}`, `{"digest":1}`, `{"digest":"a","digest":"b"}`, `{"time":"9999-12-31T23:59:59.999999999-23:59"}`,
		"{\"digest\":\"\xff\\ud800\"}", `{"digest":"` + strings.Repeat("x", 2000) + `"}`, `{"digest":"d","x":` + strings.Repeat(`[`, 300) + strings.Repeat(`]`, 300) + `}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		last, ok := parseLastRollout(value)
		if !ok {
			return
		}
		again, err := last.annotation()
		if err != nil {
			t.Fatal(err)
		}
		if same, ok := parseLastRollout(again); !ok || !same.Time.Equal(last.Time) || same.Digest != last.Digest || same.Result != last.Result {
			t.Errorf("%q reads as %+v, and written and read again as %+v", value, last, same)
		}
	})
}
