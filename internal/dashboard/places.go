package dashboard

import (
	"fmt"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Where a cell leads: from a namespace to its workloads, and from a workload to the page.
var (
	toNamespace = link("Show this namespace alone", "/d/"+uid+"?${datasource:queryparam}&${cluster:queryparam}&${page:queryparam}&var-namespace=${__value.raw:percentencode}&${__url_time_range}", false)
	toWorkload  = link("Open it on the page", "${page}/#${__data.fields.Namespace}/${__data.fields.Kind}/${__value.raw:percentencode}", true)
)

func byNamespace() section {
	const by = " by (cluster, namespace)"
	topDrifted := fmt.Sprintf("topk(10, sum%s (%s) > 0)", by, pods(drift))
	oldest := fmt.Sprintf("max%s (sidecar_drift_oldest_drift_seconds{%s}) / 86400", by, inNamespace)
	return section{"By namespace", []Panel{
		table("Top drifted namespaces", "The ten namespaces with the most Pods that drifted. A name leads to this dashboard of that namespace alone.",
			9, 9, style{unit: "short", steps: from(grey), none: "none"},
			sorted{"Pods", true},
			column{query: topDrifted, name: "Pods", unit: "short"},
			column{query: fmt.Sprintf("(%s)\nand on (cluster, namespace) %s", share(by), topDrifted), name: "Drift", unit: "percentunit", steps: from(green, at(0.01, orange), at(0.2, red))},
			column{query: fmt.Sprintf("%s\nand on (cluster, namespace) %s", oldest, topDrifted), name: "Oldest", unit: "suffix:days", decimals: 1},
		).with("Namespace", toNamespace),
		graph("Drift by namespace", "Share of each namespace's injected Pods that drifted; of many namespaces, the ten that drifted most in the chosen time.",
			10, 9, style{unit: "percentunit", steps: from("transparent", at(0.2, red)), limit: true},
			query{fmt.Sprintf("(%s)\nand on (cluster, namespace) topk(10, %s)", share(by), shareInRange(by)), "{{namespace}} {{cluster}}"}),
		bars("Oldest drift by namespace", "For how long the workload of a namespace that drifted first has drifted; the ten longest.",
			5, 9, days(1, from(orange, at(7, red))).or("none"),
			query{"sort_desc(topk(10, " + oldest + "))", "{{namespace}} {{cluster}}"}),
	}}
}

// shareInRange ranks once, over all of the chosen time: a rank at each step has another ten
// namespaces there.
func shareInRange(by string) string {
	mean := func(states string) string {
		return fmt.Sprintf(`sum%s (max by (cluster, namespace, state) (avg_over_time(sidecar_drift_pods{%s, state=~"%s"}[$__range] @ end())))`, by, inNamespace, states)
	}
	return fmt.Sprintf("%s / (%s > 0)", mean(drift), mean(counted))
}

func byWorkload() section {
	states := map[string]string{}
	for _, s := range verdict.States() {
		if s.Drift() {
			states[string(s)] = report.StateColour(s)
		}
	}
	each := func(states string) string {
		return fmt.Sprintf(`topk(100, max by (cluster, namespace, kind, name, state) (sidecar_drift_workload_pods{%s, state=~"%s"}) > 0)`, inNamespace, states)
	}
	return section{"By workload", []Panel{
		table("Workloads that cannot be re-created", "Blocked workloads by name, 100 at most of each cluster, whether or not workloads have metrics of their own. Empty is good. A name leads to the page, which says why; a namespace to its own dashboard.",
			12, 9, style{unit: "short", steps: from(red), none: "none"},
			sorted{"Blocked Pods", true},
			column{query: "max by (cluster, namespace, kind, name) (" + each("Blocked") + ")", name: "Blocked Pods", unit: "short", steps: from(red)},
		).with("Namespace", toNamespace).with("Workload", toWorkload),
		table("Workloads that drifted", "The 100 with the most Pods that drifted, by name. It is filled where workloads have metrics of their own: workloadMetrics: true in the auditor's configuration.",
			12, 9, style{unit: "short", steps: from(grey), none: "none, or without workloadMetrics"},
			sorted{"Drifted Pods", true},
			column{query: each(drift), name: "Drifted Pods", unit: "short"},
		).with("Namespace", toNamespace).with("Workload", toWorkload).coloured("State", states),
	}}
}
