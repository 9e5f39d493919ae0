package rollout

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

var imageChange = verdict.Change{
	Part: "container/istio-proxy",
	Path: "image",
	From: json.RawMessage(`"istio/proxyv2:1.27.0"`),
	To:   json.RawMessage(`"istio/proxyv2:1.28.0"`),
}

// audited is an audit's item of one revision.
func audited(kind string, state verdict.State, changes ...verdict.Change) report.Item {
	return report.Item{
		Namespace: "shop", Kind: kind, Name: "web", State: state,
		Revisions: []report.Revision{{
			Name: "web-1", State: state, Pods: 2, Fresh: "v1:fresh", Changes: changes,
			Sidecars: []string{"istio-init", "istio-proxy"},
		}},
	}
}

func with(item report.Item, change func(*report.Revision)) report.Item {
	change(&item.Revisions[0])
	return item
}

// withPods gives the item's revision these Pods, which drift.
func withPods(item report.Item, names ...string) report.Item {
	return with(item, func(r *report.Revision) {
		r.Members = map[verdict.State][]report.PodRef{}
		for _, name := range names {
			r.Members[verdict.Drifted] = append(r.Members[verdict.Drifted], report.PodRef{Name: name, UID: "uid-" + name})
		}
	})
}

// taken is a change that takes something away.
func taken(part, path string) verdict.Change {
	return verdict.Change{Part: part, Path: path, From: json.RawMessage(`"x"`)}
}

func TestChoose(t *testing.T) {
	drifted := audited("Deployment", verdict.Drifted, imageChange)
	inSync := audited("Deployment", verdict.InSync)
	lost := with(audited("Deployment", verdict.Drifted, imageChange), func(r *report.Revision) { r.Loses = []string{"vault-agent"} })
	orphaned := with(audited("Deployment", verdict.Orphaned), func(r *report.Revision) { r.Loses = []string{"istio-proxy"} })
	proxyOnly := Filter{OnlySidecars: []string{"istio-proxy"}}
	halfUnknown := audited("Deployment", verdict.Drifted, imageChange)
	halfUnknown.Revisions = append(halfUnknown.Revisions, report.Revision{Name: "web-2", State: verdict.Unknown, Reason: "webhook down"})
	sidecarless := func(state verdict.State, changes ...verdict.Change) report.Item {
		return with(audited("Deployment", state, changes...), func(r *report.Revision) { r.Sidecars, r.Injected = nil, true })
	}
	variable := verdict.Change{Part: "app/web", Path: "env[OTEL].value", From: json.RawMessage(`"a"`), To: json.RawMessage(`"b"`)}
	included := Options{Select: Filter{IncludeSidecarless: true}}
	includedAll := Options{Select: Filter{IncludeSidecarless: true, All: true}}
	appImage := verdict.Change{Part: "app/web", Path: "image", From: json.RawMessage(`"web:1"`), To: json.RawMessage(`"web:1@sha256:b"`)}
	deploys := with(audited("Deployment", verdict.Drifted, appImage, imageChange), func(r *report.Revision) { r.AppImages = []verdict.Change{appImage} })
	edited := with(audited("Deployment", verdict.InSync), func(r *report.Revision) { r.AppImages = []verdict.Change{appImage} })
	allowed := Options{Guards: Guards{AllowAppImage: true}}
	imageOfInit := verdict.Change{Part: "initContainer/istio-init", Path: "image", From: json.RawMessage(`"a:1"`), To: json.RawMessage(`"a:2"`), Spent: true}
	spent := audited("Deployment", verdict.Drifted, imageOfInit)
	moreThanSpent := with(audited("Deployment", verdict.Drifted, imageOfInit), func(r *report.Revision) { r.MoreChanges = 1 })
	initOnly := Filter{OnlySidecars: []string{"istio-init"}}
	states := func(s ...verdict.State) Options { return Options{Select: Filter{States: s}} }

	for name, test := range map[string]struct {
		item report.Item
		opts Options
		want report.Result
		// reason must contain this
		reason string
	}{
		"drifted":                     {item: drifted, want: report.Planned},
		"missing":                     {item: audited("Deployment", verdict.Missing), want: report.Planned},
		"in sync":                     {item: inSync, reason: "in sync"},
		"mutated":                     {item: audited("Deployment", verdict.Mutated), reason: "no injector's"},
		"not injected":                {item: with(audited("Deployment", verdict.NotInjected), func(r *report.Revision) { r.Sidecars = nil }), reason: "has no sidecar"},
		"blocked":                     {item: with(audited("Deployment", verdict.Blocked), func(r *report.Revision) { r.Reason = "denied by x" }), want: report.Skipped, reason: "Blocked and never rolled out: denied by x"},
		"unstable":                    {item: audited("Deployment", verdict.Unstable), want: report.Skipped, reason: "Unstable"},
		"unknown":                     {item: audited("Deployment", verdict.Unknown), want: report.Skipped, reason: "Unknown"},
		"unknown with --all":          {item: audited("Deployment", verdict.Unknown), opts: Options{Select: Filter{All: true}}, want: report.Skipped, reason: "Unknown"},
		"one revision unknown":        {item: halfUnknown, want: report.Skipped, reason: "webhook down"},
		"approximate":                 {item: with(audited("Deployment", verdict.Drifted, imageChange), func(r *report.Revision) { r.Approximate = true }), want: report.Skipped, reason: "approximate"},
		"modified":                    {item: audited("Deployment", verdict.Modified), want: report.Skipped, reason: "--state Modified"},
		"modified, named":             {item: audited("Deployment", verdict.Modified), opts: states(verdict.Modified), want: report.Planned},
		"drifted, others named":       {item: drifted, opts: states(verdict.Missing), want: report.Skipped, reason: "--state does not name"},
		"orphaned":                    {item: orphaned, want: report.Skipped, reason: "--allow-orphaned"},
		"orphaned, losing nothing":    {item: audited("Deployment", verdict.Orphaned), want: report.Skipped, reason: "--allow-orphaned"},
		"orphaned, only named":        {item: orphaned, opts: states(verdict.Orphaned), want: report.Skipped, reason: "--allow-orphaned"},
		"orphaned, allowed":           {item: orphaned, opts: Options{Guards: Guards{AllowOrphaned: true}}, want: report.Planned},
		"drifted, loses a sidecar":    {item: lost, want: report.Skipped, reason: "would lose the sidecar vault-agent"},
		"drifted, may lose a sidecar": {item: lost, opts: Options{Guards: Guards{AllowOrphaned: true}}, want: report.Planned},
		"in sync, --all":              {item: inSync, opts: Options{Select: Filter{All: true}}, want: report.Planned},
		"in sync, --all of another":   {item: inSync, opts: Options{Select: Filter{All: true, OnlySidecars: []string{"linkerd-proxy"}}}, reason: "in sync"},
		"not injected, --all":         {item: with(audited("Deployment", verdict.NotInjected), func(r *report.Revision) { r.Sidecars = nil }), opts: Options{Select: Filter{All: true}}, reason: "has no sidecar"},
		"takes variables away": {item: audited("Deployment", verdict.Drifted, taken("app/web", "env[OTEL_EXPORTER_OTLP_ENDPOINT]"), taken("volumes", "[otel]")), want: report.Skipped,
			reason: "would only take away what was injected (app/web:env[OTEL_EXPORTER_OTLP_ENDPOINT], 2 in all)"},
		"may take variables away":           {item: audited("Deployment", verdict.Drifted, taken("app/web", "env[X]")), opts: Options{Guards: Guards{AllowOrphaned: true}}, want: report.Planned},
		"takes and changes":                 {item: audited("Deployment", verdict.Drifted, taken("app/web", "env[X]"), imageChange), want: report.Planned},
		"variables alone drifted":           {item: sidecarless(verdict.Drifted, variable), want: report.Skipped, reason: "--include-sidecarless"},
		"variables alone, included":         {item: sidecarless(verdict.Drifted, variable), opts: included, want: report.Planned},
		"variables alone missing":           {item: sidecarless(verdict.Missing), want: report.Skipped, reason: "--include-sidecarless"},
		"variables alone go, included":      {item: sidecarless(verdict.Orphaned, taken("app/web", "env[X]")), opts: included, want: report.Skipped, reason: "--allow-orphaned"},
		"variables alone in sync, --all":    {item: sidecarless(verdict.InSync), opts: Options{Select: Filter{All: true}}, reason: "in sync"},
		"the same, included":                {item: sidecarless(verdict.InSync), opts: includedAll, want: report.Planned},
		"another image of the app":          {item: deploys, want: report.Skipped, reason: "another image of the app than runs (web: web:1 → web:1@sha256:b): where that is meant, --allow-app-image"},
		"another image of the app, allowed": {item: deploys, opts: allowed, want: report.Planned},
		"an edited image of the app, --all": {item: edited, opts: Options{Select: Filter{All: true}}, want: report.Skipped, reason: "--allow-app-image"},
		"an edited image of the app":        {item: edited, reason: "in sync"},
		"only spent":                        {item: spent, want: report.Skipped, reason: "how init containers ran that have ended (initContainer/istio-init image), and nothing that runs depends on that: --include-spent"},
		"only spent, included":              {item: spent, opts: Options{Select: Filter{IncludeSpent: true}}, want: report.Planned},
		"only spent, --all":                 {item: spent, opts: Options{Select: Filter{All: true}}, want: report.Planned},
		"spent, and more than is kept":      {item: moreThanSpent, want: report.Planned},
		"spent, and an image":               {item: audited("Deployment", verdict.Drifted, imageOfInit, imageChange), want: report.Planned},
		"only the named one is spent":       {item: audited("Deployment", verdict.Drifted, imageOfInit, imageChange), opts: Options{Select: initOnly}, want: report.Skipped, reason: "--include-spent"},
		"the named sidecar drifted":         {item: drifted, opts: Options{Select: proxyOnly}, want: report.Planned},
		"another sidecar drifted":           {item: audited("Deployment", verdict.Drifted, verdict.Change{Part: "container/vault-agent", Path: "image"}), opts: Options{Select: proxyOnly}, want: report.Skipped, reason: "other sidecars than istio-proxy"},
		"only volumes drifted":              {item: audited("Deployment", verdict.Drifted, verdict.Change{Part: "volumes", Path: "[x]"}), opts: Options{Select: proxyOnly}, want: report.Skipped, reason: "other sidecars"},
		"a native sidecar drifted":          {item: audited("Deployment", verdict.Drifted, verdict.Change{Part: "initContainer/istio-proxy", Path: "image"}), opts: Options{Select: proxyOnly}, want: report.Planned},
		"Deployment excluded":               {item: drifted, opts: Options{Select: Filter{ExcludeDeployment: true}}, want: report.Skipped, reason: "--exclude-deployment"},
		"DaemonSet":                         {item: audited("DaemonSet", verdict.Drifted, imageChange), want: report.Skipped, reason: "--include-daemonset"},
		"DaemonSet included":                {item: audited("DaemonSet", verdict.Drifted, imageChange), opts: Options{Select: Filter{IncludeDaemonSet: true}}, want: report.Planned},
		"StatefulSet":                       {item: audited("StatefulSet", verdict.Drifted, imageChange), want: report.Skipped, reason: "--include-statefulset"},
		"StatefulSet included":              {item: audited("StatefulSet", verdict.Drifted, imageChange), opts: Options{Select: Filter{IncludeStatefulSet: true}}, want: report.Planned},
		"a blocked DaemonSet":               {item: audited("DaemonSet", verdict.Blocked), want: report.Skipped, reason: "Blocked"},
		"Job":                               {item: audited("Job", verdict.Drifted, imageChange), want: report.Skipped, reason: "Jobs are never restarted"},
		"CronJob":                           {item: audited("CronJob", verdict.Drifted, imageChange), want: report.Skipped, reason: "next run"},
		"Pod":                               {item: audited("Pod", verdict.Drifted, imageChange), want: report.Skipped, reason: "a Pod of its own"},
		"ReplicaSet":                        {item: audited("ReplicaSet", verdict.Drifted, imageChange), want: report.Planned},
		"Argo Rollout":                      {item: audited("Rollout", verdict.Drifted, imageChange), want: report.Planned},
		"Argo Rollout excluded":             {item: audited("Rollout", verdict.Drifted, imageChange), opts: Options{Select: Filter{ExcludeDeployment: true}}, want: report.Skipped, reason: "--exclude-deployment"},
		"an owner that nobody knows":        {item: audited("GameServer", verdict.Drifted, imageChange), want: report.Skipped, reason: "GameServer"},
		"a state that nobody knows yet":     {item: audited("Deployment", "Haunted"), want: report.Skipped, reason: "Haunted"},
	} {
		t.Run(name, func(t *testing.T) {
			got := choose(test.item, test.opts)
			if got.result != test.want {
				t.Errorf("result %q (%s), want %q", got.result, got.reason, test.want)
			}
			if (got.reason == "") != (test.reason == "") || !strings.Contains(got.reason, test.reason) {
				t.Errorf("reason %q, want one that contains %q", got.reason, test.reason)
			}
		})
	}
}

func TestDriftedSidecars(t *testing.T) {
	init := verdict.Change{Part: "initContainer/istio-init", Path: "image"}
	app := verdict.Change{Part: "app/web", Path: "livenessProbe.httpGet.path"}
	for name, test := range map[string]struct {
		changes []verdict.Change
		named   []string
		want    []string
	}{
		"those that changed":         {changes: []verdict.Change{imageChange, imageChange}, want: []string{"istio-proxy"}},
		"both":                       {changes: []verdict.Change{imageChange, init}, want: []string{"istio-init", "istio-proxy"}},
		"named":                      {changes: []verdict.Change{imageChange, init}, named: []string{"istio-proxy"}, want: []string{"istio-proxy"}},
		"only their surroundings":    {changes: []verdict.Change{app}, want: []string{"istio-init", "istio-proxy"}},
		"nothing changed, all meant": {named: []string{"istio-proxy"}, want: []string{"istio-proxy"}},
	} {
		t.Run(name, func(t *testing.T) {
			sel := Filter{OnlySidecars: test.named}
			got := sel.driftedSidecars(audited("Deployment", verdict.Drifted, test.changes...))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
