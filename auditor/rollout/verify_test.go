package rollout

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func TestConverged(t *testing.T) {
	proxyOnly := Options{Select: Filter{OnlySidecars: []string{"istio-proxy"}}}
	other := verdict.Change{Part: "container/vault-agent", Path: "image"}
	many := make([]verdict.Change, 7)
	for i := range many {
		many[i] = imageChange
	}
	const leftAlone = ": left alone until injection changes; --retry tries again"
	const image = "container/istio-proxy image"
	volume := verdict.Change{Part: "volumes", Path: "[x]"}
	planned := audited("Deployment", verdict.Drifted, volume)
	asController := func(item report.Item) report.Item {
		return with(item, func(r *report.Revision) { r.AskedAs = "system:serviceaccount:kube-system:replicaset-controller" })
	}
	some := withPods(audited("Deployment", verdict.Drifted, volume), "web-1")
	some.Revisions[0].Members[verdict.InSync] = []report.PodRef{{Name: "web-2", UID: "uid-web-2"}}
	knowing := with(audited("Deployment", verdict.Drifted, imageChange), func(r *report.Revision) { r.Biased = []string{"volumes:[x]"} })
	const asBefore = "rolled out, yet its new Pods differ from a dry run where the old ones did, at "
	for name, test := range map[string]struct {
		item      report.Item
		planned   report.Item // the zero Item: differs at the volume
		opts      Options
		untouched []string // UIDs
		want      decision
		biased    bool
		late      []string
	}{
		"in sync":      {item: audited("Deployment", verdict.InSync), want: decision{result: report.RolledOut}},
		"not injected": {item: audited("Deployment", verdict.NotInjected), want: decision{result: report.RolledOut}},
		"still drifted": {
			item: audited("Deployment", verdict.Drifted, imageChange, volume),
			want: decision{report.NotConverging, "rolled out, yet still Drifted at " + image + ", volumes [x]" + leftAlone}},
		"still drifted in many fields": {
			item: audited("Deployment", verdict.Drifted, many...),
			want: decision{report.NotConverging, "rolled out, yet still Drifted at " + image + ", " + image + ", " + image + ", " + image + ", " + image + ", and 2 more" + leftAlone}},
		"only another sidecar drifts": {
			item: audited("Deployment", verdict.Drifted, other), opts: proxyOnly, want: decision{result: report.RolledOut}},
		"only Pods drift that were not to be re-created": {
			item: withPods(audited("StatefulSet", verdict.Drifted, imageChange), "db-0"), untouched: []string{"uid-db-0"},
			want: decision{report.RolledOut, "Pods that were not to be re-created still drift: left as they are"}},
		"a new Pod drifts, too": {
			item: withPods(audited("StatefulSet", verdict.Drifted, imageChange), "db-0", "db-1"), untouched: []string{"uid-db-0"},
			want: decision{report.NotConverging, "rolled out, yet still Drifted at " + image + leftAlone}},
		"differs where it did": {
			item: audited("Deployment", verdict.Drifted, volume), biased: true,
			want: decision{report.NotConverging, asBefore + "volumes [x]: a webhook answers its controller otherwise (--dry-run-as controller asks as that), or tells dry runs apart" + leftAlone}},
		"differs where it did, asked as its controller": {
			item: asController(audited("Deployment", verdict.Drifted, volume)), biased: true,
			want: decision{report.NotConverging, asBefore + "volumes [x]: a webhook tells dry runs apart" + leftAlone}},
		"some of its new Pods differ": {
			item: some, late: []string{"web-1"},
			want: decision{report.NotConverging, "rolled out, yet 1 of its new Pods differ at volumes [x], and 1 of the same revision do not: they came before something " +
				"that an injector looks at was there, and evicting them once more heals that (--strategy evict --retry)"}},
		"differs where the plan did not judge": {
			item: audited("Deployment", verdict.Drifted, volume), planned: knowing,
			want: decision{report.RolledOut, "what a dry run does not tell of was left out"}},
		"differs elsewhere, too": {
			item: audited("Deployment", verdict.Drifted, volume, imageChange), planned: knowing, biased: true,
			want: decision{report.NotConverging, asBefore + image + ": a webhook answers its controller otherwise (--dry-run-as controller asks as that), or tells dry runs apart" + leftAlone}},
		"differs only in what varies": {
			item: audited("Deployment", verdict.Unstable, verdict.Change{Part: "volumes", Path: "[y]", Unstable: true}), want: decision{result: report.RolledOut}},
		"differs where the plan saw it vary": {
			item:    audited("Deployment", verdict.Drifted, volume),
			planned: with(audited("Deployment", verdict.Drifted, imageChange), func(r *report.Revision) { r.Varies = []string{"volumes:[x]"} }),
			want:    decision{result: report.RolledOut}},
		"now blocked": {
			item: with(audited("Deployment", verdict.Blocked), func(r *report.Revision) { r.Reason = "denied by x" }),
			want: decision{report.Failed, "rolled out, but cannot be verified, as it is now Blocked: denied by x"}},
	} {
		t.Run(name, func(t *testing.T) {
			untouched := map[string]bool{}
			for _, uid := range test.untouched {
				untouched[uid] = true
			}
			before := planned
			if test.planned.Kind != "" {
				before = test.planned
			}
			got := converged(before, test.item, test.opts, untouched)
			if diff := cmp.Diff(test.want, got.decision, cmp.AllowUnexported(decision{})); diff != "" {
				t.Error(diff)
			}
			var late []string
			for _, pod := range got.late {
				late = append(late, pod.Name)
			}
			if (len(got.biased) > 0) != test.biased || !slices.Equal(late, test.late) {
				t.Errorf("biased: %v, late: %q", len(got.biased) > 0, late)
			}
		})
	}
}
