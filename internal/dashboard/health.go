package dashboard

import (
	"fmt"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func audits() section {
	const duration = "sidecar_drift_audit_duration_seconds"
	return section{"Audits", []Panel{
		graph("Age of the last good audit", "Of everything; above an hour SidecarDriftAuditStale fires.",
			8, 8, style{unit: "s", steps: from("transparent", at(3600, red)), limit: true},
			query{fmt.Sprintf("time() - max by (cluster) (sidecar_drift_audit_last_success_timestamp_seconds{%s})", inCluster), "age {{cluster}}"}),
		graph("Time that audits take", "Audits of everything that ended well in the last hour: the mean, and what 99 % stay below.",
			8, 8, style{unit: "s", steps: from("transparent", at(600, orange)), limit: true},
			query{fmt.Sprintf("sum by (cluster) (increase(%s_sum{%s}[1h])) / (sum by (cluster) (increase(%s_count{%s}[1h])) > 0)", duration, inCluster, duration, inCluster), "mean {{cluster}}"},
			query{quantile(0.99, "cluster, le", duration, inCluster, "1h"), "99 % {{cluster}}"}),
		graph("Dry runs by result", "Pods that the API server was asked about: answered, refused by admission (Blocked), or unknown (a webhook that is down, say).",
			8, 8, style{
				unit: "ops", steps: from(grey), stacked: true,
				colours: map[string]string{"answered": green, "refused": red, "unknown": report.StateColour(verdict.Unknown)},
			},
			query{fmt.Sprintf("sum by (result) (rate(sidecar_drift_dry_runs_total{%s}[$__rate_interval]))", inCluster), "{{result}}"}),
		graph("Failed audits by reason", "Audits that failed as a whole in the last 15 minutes; each is tried again soon, and later and later.",
			12, 8, style{unit: "short", steps: from("transparent", at(1, red)), limit: true},
			query{"sum by (reason) (" + counts("sidecar_drift_audit_errors_total{"+inCluster+"}", "15m") + ")", "{{reason}}"}),
		graph("Time to detection", "The longest that a feature that workloads share, and that a workload, has not been asked for: so soon is a change known that reaches several, and whatever it reaches. Longer than --interval and --full-interval: the API server gives fewer dry runs than that takes; four times --interval raises SidecarDriftDetectionSlow.",
			12, 8, style{unit: "s", steps: from(grey)},
			query{fmt.Sprintf("max by (cluster) (sidecar_drift_detection_seconds{%s})", inCluster), "what several share {{cluster}}"},
			query{fmt.Sprintf("max by (cluster) (sidecar_drift_oldest_answer_seconds{%s})", inCluster), "any workload {{cluster}}"}),
	}}
}

func stamper() section {
	const (
		ours     = inCluster + `, name="stamp.sidecar-drift.io"`
		failOpen = `apiserver_admission_webhook_fail_open_count{` + ours + `}`
		seen     = `apiserver_admission_webhook_admission_duration_seconds`
		expiry   = `sidecar_drift_certificate_expiry_timestamp_seconds{` + inCluster + `}`
	)
	return section{"Stamper", []Panel{
		graph("Time of an answer", "What each creation of a Pod waits for: as the stamper measures itself, and as API servers do, with the network between them.",
			12, 8, style{unit: "s", steps: from("transparent", at(0.5, red)), limit: true},
			query{quantile(0.5, "le", "sidecar_drift_webhook_duration_seconds", inCluster, "$__rate_interval"), "50 %"},
			query{quantile(0.99, "le", "sidecar_drift_webhook_duration_seconds", inCluster, "$__rate_interval"), "99 %"},
			query{quantile(0.99, "le", seen, ours, "$__rate_interval"), "99 %, seen by API servers"}),
		graph("Reviews by outcome", "Stamped are Pods that carry a stamp now, also where it says that nothing was injected; skipped was no Pod's creation; error and panic left a Pod unstamped.",
			12, 8, style{
				unit: "reqps", steps: from(grey), stacked: true,
				colours: map[string]string{"stamped": green, "none": grey, "skipped": report.StateColour(verdict.Mutated), "error": orange, "panic": red},
				names:   map[string]string{"none": "stamped, nothing injected"},
			},
			query{fmt.Sprintf("sum by (outcome) (rate(sidecar_drift_webhook_reviews_total{%s}[$__rate_interval]))", inCluster), "{{outcome}}"}),
		graph("Failed open", "Pods that API servers created in 15 minutes without an answer of the stamper. Needs a scrape of the API servers.",
			9, 8, style{unit: "short", steps: from("transparent", at(1, red)), limit: true},
			query{"sum(" + counts(failOpen, "15m") + ")" + zeroWhere(seen+"_count{"+ours+"}"), "Pods"}),
		graph("Turned away", "In 15 minutes, as there were too many: reviews, whose Pods carry no stamp, and connections.",
			9, 8, style{unit: "short", steps: from("transparent", at(1, red)), limit: true},
			query{"sum(" + counts("sidecar_drift_webhook_rejected_reviews_total{"+inCluster+"}", "15m") + ")", "reviews"},
			query{"sum(" + counts("sidecar_drift_webhook_rejected_connections_total{"+inCluster+"}", "15m") + ")", "connections"}),
		stat("Certificate", "Until the stampers' certificate ends that ends first. It lasts 90 days and is renewed when 30 are left.",
			3, 8, days(0, from(red, at(14, orange), at(29, green))),
			query{expr: fmt.Sprintf("clamp_min((min(%s) - time()) / 86400, 0)", expiry)}),
		stat("Replicas", "Stampers that are scraped and have a certificate, which are those that can answer, in the cluster that has the fewest.",
			3, 8, style{unit: "short", steps: from(red, at(1, orange), at(2, green))},
			query{expr: fmt.Sprintf("min(\n  count by (cluster) (%s > 0)\n  or 0 * max by (cluster) (%s)\n  or 0 * max by (cluster) (sidecar_drift_audit_errors_total{%s})\n)", expiry, expiry, inCluster)}),
	}}
}

func rollouts() section {
	const total = "sidecar_drift_rollouts_total{" + inCluster + "}"
	colours := map[string]string{
		string(report.RolledOut): green, string(report.Resized): green, string(report.Failed): red, string(report.NotConverging): orange, string(report.Reverted): orange,
		string(report.Interrupted): report.StateColour(verdict.Unknown),
	}
	// A result that is always there, so that no rollout is a 0 and no emptiness.
	rolledOut := fmt.Sprintf("\nor label_replace(0 * max(sidecar_drift_audit_errors_total{%s}), \"result\", %q, \"\", \"\")", inCluster, string(report.RolledOut))
	results := func(window string) string {
		return "sum by (result) (" + counts(total, window) + ")" + rolledOut
	}
	return section{"Rollouts", []Panel{
		stat("Results", "Workloads that the service's rollouts ended with in the chosen time. Rollouts of the command line are not counted here.",
			6, 8, style{unit: "short", steps: from(grey), colours: colours},
			query{results("$__range"), "{{result}}"}),
		stat("Configuration", "Whether each auditor's configuration file is in force. If it is invalid, an earlier one is, and the auditor's log says what is wrong.",
			4, 8, style{unit: "short", steps: from(red, at(1, green)), words: map[string]string{"0": "invalid", "1": "in force"}},
			query{expr: fmt.Sprintf("min(sidecar_drift_config_reload_success{%s})", inCluster)}),
		graph("Rollouts by result", "Workloads that the service's rollouts ended with in the last hour. Failed, NotConverging and Reverted raise SidecarDriftRolloutFailed.",
			14, 8, style{unit: "short", steps: from("transparent", at(1, grey)), stacked: true, colours: colours},
			query{results("1h"), "{{result}}"}),
	}}
}

// counts is how much a counter grew in a window, in whole numbers: the difference of what it
// says, which increase would stretch to the window's ends. One that has appeared in it counts
// from 0, one that went counts as it was, and one that began anew counts from there.
func counts(counter, window string) string {
	last := fmt.Sprintf("last_over_time(%s[%s])", counter, window)
	return fmt.Sprintf("(%s - (%s offset %s)) >= 0 or %s", last, counter, window, last)
}

// quantile is what a share of a histogram's values stays below. Only windows with
// values have one.
func quantile(q float64, by, histogram, selector, window string) string {
	return fmt.Sprintf("histogram_quantile(%v, sum by (%s) (rate(%s_bucket{%s}[%s])))", q, by, histogram, selector, window)
}
