//go:build monitoring

package pictures

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/versions"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// morning is when the day begins that is drawn, and evening when it ends.
var (
	morning = time.Date(2026, time.March, 3, 0, 0, 0, 0, time.UTC)
	evening = morning.Add(24 * time.Hour)
)

// What happened that day.
var (
	upgraded   = morning.Add(6*time.Hour + 12*time.Minute) // the injector, to another version
	bombed     = morning.Add(16*time.Hour + 30*time.Minute)
	outage     = span{morning.Add(11 * time.Hour), 20 * time.Minute} // of another injector
	handover   = morning.Add(13 * time.Hour)                         // to the other auditor
	noStamper  = span{morning.Add(17*time.Hour + 5*time.Minute), 7 * time.Minute}
	refused    = span{morning.Add(3 * time.Hour), 10 * time.Minute} // audits, by the API server
	staging    = span{morning.Add(8 * time.Hour), 90 * time.Minute} // rolled out
	production = span{morning.Add(12 * time.Hour), 8*time.Hour + 30*time.Minute}
)

// failedOpen is how many Pods were created without a stamp while there was no stamper.
const failedOpen = 63

type span struct {
	begin time.Time
	long  time.Duration
}

func (s span) contains(t time.Time) bool {
	return !t.Before(s.begin) && t.Before(s.begin.Add(s.long))
}

// workload is one of the population.
type workload struct {
	namespace, kind, name string
	pods                  int
	// rolledOut is when it gets the new sidecar; never if it is zero.
	rolledOut time.Time
}

var namespaces = []string{"accounts", "batch", "catalog", "checkout", "gateway", "internal", "labs", "media", "payments", "reports", "search", "web"}

func (w workload) staged() bool { return w.namespace == "internal" || w.namespace == "labs" }

// population is what runs in a cluster: some of it, in the first namespaces, if not all.
func population(all bool) []workload {
	var found []workload
	for n, namespace := range namespaces {
		if !all && n%3 > 0 {
			continue
		}
		for i, name := range []string{"api", "cache", "frontend", "ledger", "nightly", "worker"} {
			w := workload{namespace: namespace, kind: "Deployment", name: name, pods: 1 + (n+i)%4}
			if name == "cache" {
				w.kind = "StatefulSet"
			}
			when := production
			if w.staged() {
				when = staging
			}
			left := namespace == "reports" && i != 1 || namespace == "batch" && i == 4
			if !left {
				w.rolledOut = when.begin.Add(time.Duration((n*6+i*17)%72) * when.long / 72)
			}
			found = append(found, w)
		}
	}
	return found
}

// before and after are what Pods run, and would run, before the upgrade and after it.
var before, after = version("istio/proxyv2:1.28.0"), version("istio/proxyv2:1.29.0")

func version(image string) func() versions.Spec {
	return sync.OnceValue(func() versions.Spec {
		pod, err := jsontree.Parse(fmt.Appendf(nil, `{"spec":{"containers":[{"name":"istio-proxy","image":%q}]}}`, image))
		if err != nil {
			panic(err)
		}
		specs, err := versions.OfSidecars(pod, []string{"istio-proxy"})
		if err != nil {
			panic(err)
		}
		return specs[0]
	})
}

func differs(part, path, from, to string) verdict.Change {
	text := func(value string) json.RawMessage { return json.RawMessage(fmt.Sprintf("%q", value)) }
	return verdict.Change{Part: part, Path: path, From: text(from), To: text(to)}
}

// item is what an audit finds of the workload.
func (w workload) item(now time.Time) report.Item {
	at := w.namespace + "/" + w.name
	state, changes, drifts := verdict.InSync, []verdict.Change{}, false
	switch {
	case outage.contains(now) && w.namespace == "search":
		state = verdict.Unknown
	case w.namespace == "internal" && w.name != "api":
		state = verdict.NotInjected
	case at == "labs/nightly":
		state = verdict.Mutated
	case at == "labs/worker":
		state = verdict.Unstable
	case (at == "payments/ledger" || at == "batch/worker") && !now.Before(bombed):
		state = verdict.Blocked
	case at == "web/frontend":
		state, changes = verdict.Modified, append(changes, differs("app/app", "env[HTTP_PROXY].value", "proxy:1", "proxy:2"))
	case at == "web/cache" && !now.Before(upgraded):
		state, drifts = verdict.Missing, true
	case !now.Before(upgraded) && (w.rolledOut.IsZero() || now.Before(w.rolledOut)):
		state, drifts = verdict.Drifted, true
		changes = append(changes, differs("container/istio-proxy", "image", "istio/proxyv2:1.28.0", "istio/proxyv2:1.29.0"))
		if w.kind == "Deployment" {
			changes = append(changes, differs("container/istio-proxy", "resources.requests.cpu", "150m", "200m"))
		}
	}
	if w.namespace == "reports" && w.name < "d" {
		state, drifts = verdict.Drifted, true
		changes = append(changes, differs("container/istio-proxy", "env[PROXY_CONFIG].value", "warn", "info"))
	}
	r := report.Revision{Name: w.name + "-1", State: state, Pods: w.pods, Changes: changes, Sidecars: []string{"istio-proxy"}}
	if state != verdict.NotInjected && state != verdict.Missing {
		runs, fresh := before, after
		if now.Before(upgraded) {
			fresh = before
		} else if state != verdict.Drifted || w.namespace == "reports" && len(changes) == 1 {
			runs = after
		}
		r.Running, r.Wanted = []versions.Running{{Spec: runs(), Pods: w.pods}}, []versions.Spec{fresh()}
	}
	if !drifts && state != verdict.Modified {
		r.Changes = nil
	}
	return report.Item{
		Namespace: w.namespace, Kind: w.kind, Name: w.name, State: state,
		Pods: map[verdict.State]int{state: w.pods}, Revisions: []report.Revision{r},
	}
}

// found is what an audit finds of them all, since when what drifts does, by namespace, and
// how far its changes are.
func found(all []workload, now time.Time) (*report.Report, map[string]time.Time) {
	oldest := map[string]time.Time{}
	var items []report.Item
	waves := []report.WaveProgress{{Name: "staging", Phase: report.WaveOver}, {Name: "production", Phase: report.WaveWaiting}}
	for _, w := range all {
		item := w.item(now)
		items = append(items, item)
		if !item.State.Drift() {
			continue
		}
		oldest[w.namespace] = upgraded
		if w.namespace == "reports" {
			oldest[w.namespace] = morning.Add(-71 * 24 * time.Hour)
		}
	}
	r := report.New(report.DriftReport, now, items, 0)
	r.Group()
	since := map[string]journal.Interval{}
	for _, c := range r.Changes {
		since[c.ID] = journal.Interval{By: upgraded}
		if c.Kind == "env" {
			since[c.ID] = journal.Interval{By: morning.Add(-71 * 24 * time.Hour)}
		}
	}
	r.Began(since)
	if outage.contains(now) {
		r.Outages = []report.Outage{{Webhook: "opentelemetry/mpod.kb.io"}}
	}
	if now.Before(upgraded) {
		return r, oldest
	}
	for _, w := range all {
		if w.namespace == "internal" && w.name != "api" {
			continue
		}
		wave := &waves[1]
		if w.staged() {
			wave = &waves[0]
		}
		wave.Workloads++
		if w.item(now).State.Drift() {
			wave.Drifted++
		}
	}
	for i, when := range []span{staging, production} {
		if when.contains(now) {
			waves[i].Phase = report.WaveRollingOut
		}
	}
	r.Waves = []report.Progress{{Places: []string{"container/istio-proxy:image"}, Since: upgraded, Waves: waves}}
	return r, oldest
}

// ended are the rollouts of the service that ended since the last look.
func ended(all []workload, since, now time.Time) *report.Report {
	r := &report.Report{}
	for _, w := range all {
		if w.rolledOut.After(since) && !w.rolledOut.After(now) && w.item(upgraded).State == verdict.Drifted {
			r.Items = append(r.Items, report.Item{Kind: w.kind, Rollout: report.Rollout{Strategy: "restart", Result: report.RolledOut, StartedAt: &now}})
		}
	}
	if at := production.begin.Add(2 * time.Hour); at.After(since) && !at.After(now) {
		r.Items = append(r.Items, slices.Repeat([]report.Item{{Kind: "Deployment", Rollout: report.Rollout{Strategy: "restart", Result: report.Failed}}}, 2)...)
	}
	return r
}
