package dashboard

import (
	"fmt"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
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

var (
	audited = fmt.Sprintf(`sidecar_drift_pods{%s}`, inNamespace)
	ended   = fmt.Sprintf(`sidecar_drift_audit_last_success_timestamp_seconds{%s}`, inCluster)
)

// open are the changes that workloads differ in, by ID.
const open = "max by (cluster, change, kind, risk) (sidecar_drift_change_workloads{" + inCluster + "})"

func now() section {
	return section{"Now", []Panel{
		stat("Blocked", "Time bombs: admission refuses their Pods, so they are gone for good when their node is. Below, by name; sidecar-drift audit --state Blocked says why.",
			3, 6, style{unit: "short", steps: from(green, at(1, red))},
			query{"sum(" + workloads("Blocked") + ")" + zeroWhere(audited), "workloads"}),
		stat("Drift now", "Share of the injected Pods that would get another sidecar, or none, if they were re-created now.",
			3, 6, style{unit: "percentunit", steps: from(green, at(0.01, orange), at(0.2, red))},
			query{share(""), "of the Pods"}),
		stat("Drifted", "Workloads that are Drifted, Missing or Orphaned.",
			3, 6, style{unit: "short", steps: from(green, at(1, orange))},
			query{"sum(" + workloads(drift) + ")" + zeroWhere(audited), "workloads"}),
		stat("Oldest drift", "For how long the workload that drifted first has drifted.",
			3, 6, days(1, from(green, at(0.01, orange), at(7, red))),
			query{fmt.Sprintf("max(sidecar_drift_oldest_drift_seconds{%s}) / 86400", inNamespace) + zeroWhere(audited), "since it began"}),
		stat("Open changes", "Changes of the injection that workloads still differ in, each once however many these are, in the cluster that has most of them.",
			3, 6, style{unit: "short", steps: from(green, at(1, orange))},
			query{fmt.Sprintf("max(sum by (cluster) (max by (cluster, risk) (sidecar_drift_changes{%s})))", inCluster) + zeroWhere(ended), "not rolled out"}),
		stat("Injectors down", "Mutating webhooks for Pods that nobody answers: new Pods come without what they inject, or not at all.",
			3, 6, style{unit: "short", steps: from(green, at(1, red))},
			query{fmt.Sprintf("count(max by (cluster, webhook) (sidecar_drift_injector_down{%s}) > 0)", inCluster) + zeroWhere(ended), "webhooks"}),
		stat("Last audit", "How old the numbers are: the age of the last round that ended well, in the cluster where it is oldest.",
			3, 6, style{unit: "s", steps: from(green, at(1800, orange), at(3600, red))},
			query{fmt.Sprintf("time() - min(max by (cluster) (%s))", ended), "ago"}),
		stat("Seen within", "So soon is a change of injection known that reaches several workloads, as measured, in the cluster where it takes longest. Four intervals for half an hour raise SidecarDriftDetectionSlow.",
			3, 6, style{unit: "s", steps: from(grey)},
			query{fmt.Sprintf("max(sidecar_drift_detection_seconds{%s})", inCluster), "as measured"}),
	}}
}

// changes are of whole clusters, as one is what many namespaces have.
func changes() section {
	const (
		each = "(cluster, change, kind, risk)"
		top  = "topk(10, " + open + ")"
		// ever are those that most workloads have had, which are not there any more once none has.
		ever = "topk(10, max by " + each + " (max_over_time(sidecar_drift_change_workloads{" + inCluster + "}[$__range] @ end())))"
		run  = "topk(10, max by (injector, version) (max_over_time(sidecar_drift_versions{" + inCluster + "}[$__range] @ end())))"
	)
	started := fmt.Sprintf("max by (cluster, change, risk) (sidecar_drift_change_started_timestamp_seconds{%s})", inCluster)
	risks := map[string]string{
		string(change.Loss): red, string(change.Behaviour): orange, string(change.Version): report.StateColour(verdict.Unstable),
		string(change.Tuning): grey, string(change.Cosmetic): grey,
	}
	wave := func(metric string) string {
		return fmt.Sprintf("max by (cluster, order, wave) (sidecar_drift_wave_%s{%s})", metric, inCluster)
	}
	return section{"Changes of the injection", []Panel{
		table("Changes that are not rolled out", "What workloads differ in alike, the ten that most have; the page and sidecar-drift audit --change ID say what each one is. Graphs have a line where one began.",
			15, 8, style{unit: "short", steps: from(grey), none: "none"}, sorted{"Workloads", true},
			column{query: top, name: "Workloads", unit: "short"},
			column{query: fmt.Sprintf("max by %s (sidecar_drift_change_pods{%s})\nand on %s %s", each, inCluster, each, top), name: "Pods", unit: "short"},
			column{
				query: fmt.Sprintf("(time() - %s) / 86400\n* on (cluster, change, risk) group_right () (%s > bool 0)", started, top),
				name:  "Open for", unit: "suffix:days", decimals: 1,
			}).with("Change", link("Open it on the page", "${page}/#?change=${__value.raw:percentencode}", true)).coloured("Risk", risks),
		bars("Waves", "How much of each wave is rolled out, where the auditor rolls out in waves; of several changes, the one that has most left there.",
			9, 8, style{unit: "percentunit", most: new(1.0), steps: from(orange, at(1, green)), none: "no change in waves"},
			query{fmt.Sprintf("sort_desc(1 - %s / (%s > 0))", wave("drifted_workloads"), wave("workloads")), "{{order}} {{wave}} {{cluster}}"}),
		graph("Workloads that are left, by change", "Workloads that still differ in each change, of the ten that most have had in the chosen time: a rollout has a line fall to 0.",
			12, 8, style{unit: "short", steps: from(grey)},
			query{fmt.Sprintf("%s and %s\nor 0 * %s", open, ever, ever), "{{change}} {{kind}} {{cluster}}"}),
		graph("Pods by version of a sidecar", "Pods by what they run, of the ten versions that most have had in the chosen time: during a rollout one takes the place of another. sidecar-drift versions says what each one is.",
			12, 8, style{unit: "short", steps: from(grey), stacked: true},
			query{fmt.Sprintf("sum by (injector, version) (max by (cluster, injector, version, current) (sidecar_drift_versions{%s})) and %s\nor 0 * %s", inCluster, run, run), "{{injector}} {{version}}"}),
	}}
}

func overTime() section {
	colours := map[string]string{}
	for _, s := range verdict.States() {
		colours[string(s)] = report.StateColour(s)
	}
	// Where all namespaces are chosen, the whole cluster is just them.
	namespaces := func(selector string) string {
		return fmt.Sprintf("count by (cluster) (group by (cluster, namespace) (sidecar_drift_pods{%s}))", selector)
	}
	return section{"Over time", []Panel{
		graph("Drift over time", "Share of the injected Pods of the chosen namespaces that drifted and, where these are not all, of each whole cluster.",
			12, 9, style{unit: "percentunit", steps: from("transparent", at(0.2, red)), limit: true},
			query{share(" by (cluster)"), "drift {{cluster}}"},
			query{fmt.Sprintf("max by (cluster) (sidecar_drift_ratio{%s}) and on (cluster) (%s > %s)", inCluster, namespaces(inCluster), namespaces(inNamespace)), "whole cluster {{cluster}}"}),
		graph("Pods by state", "All audited Pods of the chosen namespaces, by what their re-creation would do.",
			12, 9, style{unit: "short", steps: from(grey), stacked: true, colours: colours},
			query{fmt.Sprintf("sum by (state) (%s)\nor 0 * max by (state) (last_over_time(sidecar_drift_pods{%s}[$__range] @ end()))", pods(".*"), inNamespace), "{{state}}"}),
	}}
}
