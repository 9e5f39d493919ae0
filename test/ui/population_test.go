package ui

import (
	"fmt"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// varied has n workloads of 300 namespaces and 40 teams, in all states, of which many share
// forty changes, and some have one of their own.
func varied(n int) *report.Report {
	shared := make([][]verdict.Change, 40)
	for i := range shared {
		shared[i] = []verdict.Change{
			change("container/istio-proxy", "image", fmt.Sprintf("registry.example.com/istio/proxyv2:1.%d.0", 20+i/4), fmt.Sprintf("registry.example.com/istio/proxyv2:1.%d.%d", 21+i/4, i%4)),
			change("container/istio-proxy", fmt.Sprintf("env[SETTING_%d].value", i), "a", fmt.Sprintf("value %d", i)),
			change("initContainer/istio-init", "resources.requests.cpu", fmt.Sprintf("%dm", 10+i), fmt.Sprintf("%dm", 20+i)),
		}
	}
	kinds := []string{"Deployment", "StatefulSet", "DaemonSet", "CronJob", "Rollout"}
	items := make([]report.Item, n)
	for i := range items {
		namespace, name := fmt.Sprintf("team-%d-services", i*7%300), fmt.Sprintf("service-%d", i)
		var item report.Item
		switch i % 20 {
		case 0, 1, 2, 3, 4, 5, 6, 7:
			item = workload(namespace, kinds[i%5], name, verdict.InSync, 1+i%9, "")
		case 8:
			item = workload(namespace, kinds[i%5], name, verdict.NotInjected, 1+i%3, "")
		case 9:
			item = workload(namespace, kinds[i%5], name, verdict.Drifted, 2, "", change("container/agent", fmt.Sprintf("args[--node-%d]", i), "x", "y"))
		case 10:
			item = workload(namespace, kinds[i%5], name, verdict.Unknown, 1, `failed calling webhook "vault.hashicorp.com": connect: connection refused`)
		case 11:
			item = workload(namespace, kinds[i%5], name, verdict.Modified, 1, "", shared[i%40][1])
		default:
			item = workload(namespace, kinds[i%5], name, verdict.Drifted, 1+i%4, "", shared[i*i%40]...)
		}
		item.Labels = map[string]string{"example.com/team": fmt.Sprintf("team-%d", i*7%40)}
		items[i] = item
	}
	items[n-1] = workload("billing", "StatefulSet", "ledger", verdict.Blocked, 3, `admission webhook "policy.example.com" denied the request: containers must not run as root`)
	return report.New(report.DriftReport, time.Now().Add(-time.Minute), items, 12)
}

// journalOf is what a daemon may know of a report's changes, and of some before them.
func journalOf(r *report.Report) []journal.Entry {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d).UTC().Truncate(time.Second) }
	var entries []journal.Entry
	for i, c := range r.Changes {
		if i == 6 {
			break
		}
		began := ago(time.Duration(1+i*i*9) * time.Hour)
		e := journal.Entry{
			ID: c.ID, Summary: c.Summary, Risk: string(c.Risk), Began: journal.Interval{After: began.Add(-time.Duration(i*20) * time.Minute), By: began},
			Reach: journal.Reach{Workloads: c.Workloads + 5*i, Pods: c.Pods + 9*i, Namespaces: c.Namespaces}, Open: c.Workloads, RolledOut: 4 * i, Gone: i,
		}
		if i%3 < 2 {
			e.By = "By helm (ConfigMap istio-system/istio-sidecar-injector, data.values), 2 s before the first answer that differs"
			r.Changes[i].By = e.By
		}
		if i%2 == 0 {
			half := began.Add(30 * time.Minute)
			e.Half = &half
		}
		entries = append(entries, e)
	}
	for i, how := range []journal.How{journal.RolledOut, journal.TakenBack, journal.Superseded} {
		began := ago(time.Duration(100+70*i) * time.Hour)
		half, ended := began.Add(2*time.Hour), began.Add(time.Duration(9+20*i)*time.Hour)
		e := journal.Entry{
			ID: fmt.Sprintf("c0ffee%02d", i), Summary: "istio-proxy image 1.26.0 → 1.27.0, cpu 100m → 150m", Risk: "version", Began: journal.Interval{After: began.Add(-8 * time.Second), By: began},
			Reach: journal.Reach{Workloads: 46, Pods: 98, Namespaces: 12}, Half: &half, Ended: &journal.End{At: ended, How: how},
		}
		switch how {
		case journal.RolledOut:
			e.RolledOut, e.Gone = 44, 2
		case journal.TakenBack:
			e.TakenBack = 46
		case journal.Superseded:
			e.Superseded = 46
		}
		entries = append(entries, e)
	}
	return entries
}
