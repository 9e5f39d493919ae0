package dashboard

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

const (
	inCluster   = `cluster=~"$cluster"`
	inNamespace = inCluster + `, namespace=~"$namespace"`
)

// pods are those of the chosen namespaces in states, each series once: when
// another replica takes over, two may export it for a moment.
func pods(states string) string {
	return fmt.Sprintf(`max by (cluster, namespace, state) (sidecar_drift_pods{%s, state=~"%s"})`, inNamespace, states)
}

func workloads(states string) string {
	return fmt.Sprintf(`max by (cluster, namespace, kind, state) (sidecar_drift_workloads{%s, state=~"%s"})`, inNamespace, states)
}

var (
	drift   = regexpOf(verdict.State.Drift)
	counted = regexpOf(verdict.State.Counted)
)

// regexpOf matches the states that are so.
func regexpOf(is func(verdict.State) bool) string {
	var names []string
	for _, s := range verdict.States() {
		if is(s) {
			names = append(names, string(s))
		}
	}
	return strings.Join(names, "|")
}

// share of the injected Pods that drifted, by labels; 0 where none is injected,
// and nothing where there are no numbers.
func share(by string) string {
	return fmt.Sprintf("sum%s (%s) / (sum%s (%s) > 0)\nor sum%s (%s)", by, pods(drift), by, pods(counted), by, pods(counted))
}

// zeroWhere is an alternative to a query that has no result: 0 if the metric is
// there, and nothing where nothing is scraped.
func zeroWhere(metric string) string { return "\nor 0 * max(" + metric + ")" }

var audited = fmt.Sprintf(`sidecar_drift_pods{%s}`, inNamespace)

func now() section {
	return section{"Now", []Panel{
		stat("Blocked workloads", "Time bombs: admission refuses their Pods, so they are gone for good when their node is. Below, by namespace; sidecar-drift audit --state Blocked names them and says why.",
			5, 7, style{unit: "short", steps: from(green, at(1, red))},
			query{expr: "sum(" + workloads("Blocked") + ")" + zeroWhere(audited)}),
		stat("Drift", "Share of the injected Pods that would get another sidecar, or none, if they were re-created now.",
			4, 7, style{unit: "percentunit", steps: from(green, at(0.01, orange), at(0.2, red))},
			query{expr: share("")}),
		stat("Drifted workloads", "Workloads that are Drifted, Missing or Orphaned.",
			4, 7, style{unit: "short", steps: from(green, at(1, orange))},
			query{expr: "sum(" + workloads(drift) + ")" + zeroWhere(audited)}),
		stat("Oldest drift", "For how long the workload that drifted first has drifted.",
			4, 7, style{unit: "dtdurations", steps: from(green, at(1, orange), at(7*24*3600, red))},
			query{expr: fmt.Sprintf("max(sidecar_drift_oldest_drift_seconds{%s})", inNamespace) + zeroWhere(audited)}),
		stat("Last good audit", "How old the numbers are: the age of the last round that ended well, in the cluster where it is oldest.",
			3, 7, style{unit: "dtdurations", steps: from(green, at(1800, orange), at(3600, red))},
			query{expr: fmt.Sprintf("time() - min(max by (cluster) (sidecar_drift_audit_last_success_timestamp_seconds{%s}))", inCluster)}),
		stat("Time to detection", "So soon is a change of injection known that reaches several workloads, as measured, in the cluster where it takes longest. Four intervals for half an hour raise SidecarDriftDetectionSlow.",
			4, 7, style{unit: "dtdurations", steps: from(grey)},
			query{expr: fmt.Sprintf("max(sidecar_drift_detection_seconds{%s})", inCluster)}),
	}}
}

func overTime() section {
	colours := map[string]string{}
	for _, s := range verdict.States() {
		colours[string(s)] = report.StateColour(s)
	}
	return section{"Over time", []Panel{
		graph("Drift", "Share of the injected Pods that drifted: in the chosen namespaces, and in each whole cluster.",
			12, 9, style{unit: "percentunit", steps: from("transparent", at(0.2, red)), limit: true},
			query{share(""), "chosen namespaces"},
			query{fmt.Sprintf("max by (cluster) (sidecar_drift_ratio{%s})", inCluster), "cluster {{cluster}}"}),
		graph("Pods by state", "All audited Pods of the chosen namespaces, by what their re-creation would do.",
			12, 9, style{unit: "short", steps: from(grey), stacked: true, colours: colours},
			query{fmt.Sprintf("sum by (state) (%s)", pods(".*")), "{{state}}"}),
	}}
}

func byNamespace() section {
	const by = " by (cluster, namespace)"
	topDrifted := fmt.Sprintf("topk(10, sum%s (%s) > 0)", by, pods(drift))
	oldest := fmt.Sprintf("max%s (sidecar_drift_oldest_drift_seconds{%s})", by, inNamespace)
	return section{"By namespace", []Panel{
		table("Blocked workloads", "Workloads that cannot be re-created, by namespace and kind. Empty is good.",
			8, 9, style{unit: "short", steps: from(red), none: "none"},
			column{query: "sum by (cluster, namespace, kind) (" + workloads("Blocked") + ") > 0", name: "Blocked", unit: "short", steps: from(red)}),
		table("Top drifted namespaces", "The ten namespaces with the most Pods that drifted.",
			16, 9, style{unit: "short", steps: from(grey), none: "none"},
			column{query: topDrifted, name: "Drifted Pods", unit: "short"},
			column{query: fmt.Sprintf("(%s)\nand on (cluster, namespace) %s", share(by), topDrifted), name: "Drift", unit: "percentunit", steps: from(green, at(0.01, orange), at(0.2, red))},
			column{query: fmt.Sprintf("%s\nand on (cluster, namespace) %s", oldest, topDrifted), name: "Oldest", unit: "dtdurations"}),
		graph("Drift by namespace", "Share of each namespace's injected Pods that drifted; of many namespaces, the ten with the largest.",
			12, 9, style{unit: "percentunit", steps: from("transparent", at(0.2, red)), limit: true},
			query{"topk(10, " + share(by) + ")", "{{cluster}} {{namespace}}"}),
		bars("Oldest drift by namespace", "For how long the workload of a namespace that drifted first has drifted; the ten longest.",
			12, 9, style{unit: "dtdurations", steps: from(orange, at(7*24*3600, red)), none: "none"},
			query{"sort_desc(topk(10, " + oldest + "))", "{{cluster}} {{namespace}}"}),
	}}
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
