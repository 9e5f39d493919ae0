package cli

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// The paragraph that one forwards says what differs, since when, whose change it is, what
// happens at the next restart, and what to do.
func TestParagraph(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	item := func(state verdict.State, reason string, rollout report.Rollout, loses ...string) report.Item {
		return report.Item{
			Kind: "Deployment", Namespace: "shop", Name: "web", State: state, Pods: map[verdict.State]int{state: 3},
			Revisions: []report.Revision{{State: state, Pods: 3, Reason: reason, Loses: loses}}, Rollout: rollout,
		}
	}
	eligible := report.Rollout{Eligible: true}
	image := report.ChangeSummary{ID: "a", Summary: "istio-proxy image 1.27.0 → 1.28.0", Risk: "version", RiskReason: "another minor version", By: "helm updated ConfigMap istio-system/istio, 2s before it was seen"}
	port := report.ChangeSummary{ID: "b", Summary: "istio-proxy ports[15021] added", Risk: "behaviour", RiskReason: "ports", By: "not known: nothing that may be read changed then"}
	began := map[string]journal.Interval{"a": {After: noon, By: time.Now()}, "b": {By: noon}}
	for want, s := range map[string]story{
		`3 Pods of Deployment shop/web differ from what admission gives a new one today: istio-proxy image 1.27.0 → 1.28.0. This began after 2026-01-02 12:00 UTC, when the last of these Pods was created. Whose change it is: helm updated ConfigMap istio-system/istio, 2s before it was seen. Whatever re-creates a Pod, a rollout, an eviction or the loss of its node, gets it as it is today; the risk is version (another minor version). To have that happen at a time of your choice: "sidecar-drift rollout deployment/web --namespace shop" plans it, and does it with --confirm; "sidecar-drift diff deployment/web --namespace shop" shows all of it.`: {
			item: item(verdict.Drifted, "", eligible), changes: []report.ChangeSummary{image}, began: began,
		},
		`3 Pods of Deployment shop/web differ from what admission gives a new one today: istio-proxy image 1.27.0 → 1.28.0; istio-proxy ports[15021] added. Change 1 began after 2026-01-02 12:00 UTC, when the last of these Pods was created. Change 2 began before 2026-01-02 12:00 UTC. Whose change it is: helm updated ConfigMap istio-system/istio, 2s before it was seen. Whose change it is: not known: nothing that may be read changed then. Whatever re-creates a Pod, a rollout, an eviction or the loss of its node, gets it as it is today; the risk is behaviour (ports). A rollout leaves it alone: it is opted out. "sidecar-drift diff deployment/web --namespace shop" shows all that would change.`: {
			item: item(verdict.Drifted, "", report.Rollout{Reason: "it is opted out."}), changes: []report.ChangeSummary{image, port}, began: began,
		},
		`3 Pods of Deployment shop/web have what admission gives a new one no more: istio-proxy goes. This began at 2026-01-02 12:00 UTC. Whose change it is: kubectl-label updated Namespace shop. Whatever re-creates a Pod, a rollout, an eviction or the loss of its node, does without: istio-proxy is lost; the risk is loss (what was injected is lost). A rollout leaves it alone: would lose sidecar istio-proxy. "sidecar-drift diff deployment/web --namespace shop" shows all that would change.`: {
			item:    item(verdict.Orphaned, "", report.Rollout{Reason: "would lose sidecar istio-proxy"}, "istio-proxy"),
			changes: []report.ChangeSummary{{ID: "a", Summary: "istio-proxy goes", Risk: "loss", RiskReason: "what was injected is lost"}},
			known:   []journal.Entry{{ID: "a", Began: journal.Interval{After: noon.Add(-time.Second), By: noon}, By: "kubectl-label updated Namespace shop"}},
		},
		`3 Pods of Deployment shop/web lack what admission gives a new one today: see below. Whose change it is could not be looked for: forbidden. Whatever re-creates a Pod, a rollout, an eviction or the loss of its node, gets it as it is today. To have that happen at a time of your choice: "sidecar-drift rollout deployment/web --namespace shop" plans it, and does it with --confirm; "sidecar-drift diff deployment/web --namespace shop" shows all of it.`: {
			item: item(verdict.Missing, "", eligible), unseen: errors.New("forbidden"),
		},
		`Deployment shop/web runs, but its Pods cannot be re-created: admission refuses a new one: no root. At the next restart, eviction or loss of a node it lacks Pods. Have that mended first; "sidecar-drift explain deployment/web --namespace shop" shows which webhooks and policies a new Pod passes.`: {
			item: item(verdict.Blocked, "no root.", report.Rollout{}),
		},
		`It is not known whether a restart would change the sidecars of Deployment shop/web: timeout. Once that is mended, "sidecar-drift audit deployment/web --namespace shop" says it.`: {
			item: item(verdict.Unknown, "timeout", report.Rollout{}),
		},
		`Deployment shop/web has what admission gives a new Pod of it today: a restart changes nothing that is injected, and nothing is to be done.`: {
			item: item(verdict.InSync, "", report.Rollout{}),
		},
	} {
		if diff := cmp.Diff(want, s.paragraph()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.item.State, diff)
		}
	}
}

func TestCausesContradict(t *testing.T) {
	for args, want := range map[string]string{
		"--causes --with-label a=b": "the change is yours",
		"--causes --contexts eu,us": "so audit them one by one",
	} {
		if _, err := runAuditOf(t, nil, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("audit %s: %v, want %s", args, err, want)
		}
	}
}
