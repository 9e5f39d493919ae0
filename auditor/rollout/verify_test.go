package rollout

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func TestConverged(t *testing.T) {
	proxyOnly := Options{Select: Selection{SidecarNames: []string{"istio-proxy"}}}
	other := verdict.Change{Part: "container/vault-agent", Path: "image"}
	many := make([]verdict.Change, 7)
	for i := range many {
		many[i] = imageChange
	}
	const leftAlone = ": left alone until injection changes; --retry tries again"
	const image = "container/istio-proxy image"
	for name, test := range map[string]struct {
		item      report.Item
		opts      Options
		untouched []string // UIDs
		want      decision
	}{
		"in sync":      {item: audited("Deployment", verdict.InSync), want: decision{result: report.RolledOut}},
		"not injected": {item: audited("Deployment", verdict.NotInjected), want: decision{result: report.RolledOut}},
		"still drifted": {
			item: audited("Deployment", verdict.Drifted, imageChange, verdict.Change{Part: "volumes", Path: "[x]"}),
			want: decision{report.NotConverging, "rolled out, yet still Drifted at " + image + ", volumes [x]" + leftAlone}},
		"still drifted in many fields": {
			item: audited("Deployment", verdict.Drifted, many...),
			want: decision{report.NotConverging, "rolled out, yet still Drifted at " + image + ", " + image + ", " + image + ", " + image + ", " + image + ", and 2 more" + leftAlone}},
		"only another sidecar drifts": {
			item: audited("Deployment", verdict.Drifted, other), opts: proxyOnly, want: decision{result: report.RolledOut}},
		"only Pods drift that were not to be re-created": {
			item: withPods(audited("StatefulSet", verdict.Drifted, imageChange), verdict.Drifted, "db-0"), untouched: []string{"uid-db-0"},
			want: decision{report.RolledOut, "Pods that were not to be re-created still drift: left as they are"}},
		"a new Pod drifts, too": {
			item: withPods(audited("StatefulSet", verdict.Drifted, imageChange), verdict.Drifted, "db-0", "db-1"), untouched: []string{"uid-db-0"},
			want: decision{report.NotConverging, "rolled out, yet still Drifted at " + image + leftAlone}},
		"now blocked": {
			item: with(audited("Deployment", verdict.Blocked), func(r *report.Revision) { r.Reason = "denied by x" }),
			want: decision{report.Failed, "rolled out, but cannot be verified, as it is now Blocked: denied by x"}},
	} {
		t.Run(name, func(t *testing.T) {
			untouched := map[string]bool{}
			for _, uid := range test.untouched {
				untouched[uid] = true
			}
			got := converged(test.item, test.opts, untouched)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(decision{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}
