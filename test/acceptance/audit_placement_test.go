package acceptance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// Whose a pull secret is follows from the ServiceAccount. Where that cannot be read nothing
// is said, and counted how often; annotations count if they are named.
func TestAuditOfPlacement(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	gives := func(secret, redirect string) {
		proxy.setMore(func() []injector.Operation {
			return []injector.Operation{
				{Op: "add", Path: "/spec/imagePullSecrets", Value: []any{map[string]string{"name": secret}}},
				{Op: "add", Path: "/metadata/annotations", Value: map[string]string{"mesh.test/redirect": redirect}},
			}
		})
	}
	gives("mesh-1", "80")
	namespace := injectedNamespace(t, c, 1)
	deployWeb(t, c, namespace, 2, "web")

	installed, stranger := auditorConfig(t, c), account(t, c, namespace, readPods, readReplicaSets, createPods)
	check := func(when string, config *rest.Config, annotations []string, state verdict.State, changes, undecided []string, note string) {
		t.Helper()
		r, err := audit.Run(t.Context(), config, audit.Options{
			Selection: inventory.Selection{Namespace: namespace}, CompareAnnotations: annotations, Log: logr.Discard(),
		})
		if err != nil {
			t.Fatal(err)
		}
		web := itemOf(t, r, "Deployment", "web").Revisions[0]
		if web.State != state {
			t.Errorf("%s: %s, want %s", when, web.State, state)
		}
		if diff := cmp.Diff(changes, changeLines(web.Changes)); diff != "" {
			t.Errorf("%s: changes (-want +got):\n%s", when, diff)
		}
		if diff := cmp.Diff(undecided, web.Undecided); diff != "" {
			t.Errorf("%s: undecided (-want +got):\n%s", when, diff)
		}
		if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, note) {
			t.Errorf("%s: notes %q, want %q", when, notes, note)
		}
	}
	check("nothing changes", installed, nil, verdict.InSync, []string{}, nil, "")

	gives("mesh-2", "80,443")
	secrets := []string{`pod imagePullSecrets[mesh-1]: {"name":"mesh-1"} → none`, `pod imagePullSecrets[mesh-2]: none → {"name":"mesh-2"}`}
	places := []string{"pod:imagePullSecrets[mesh-1]", "pod:imagePullSecrets[mesh-2]"}
	redirect := `metadata annotations[mesh.test/redirect]: "80" → "80,443"`
	check("another one", installed, nil, verdict.Drifted, secrets, nil, "")
	check("another one, and annotations", installed, []string{"mesh.test/redirect"}, verdict.Drifted, slices.Concat([]string{redirect}, secrets), nil, "")
	check("not readable", stranger, nil, verdict.InSync, []string{}, places, "cannot get resource \"serviceaccounts\"")
	check("not readable, counted", stranger, nil, verdict.InSync, []string{}, places, "does not count (undecided in JSON): 1")
	check("not readable, and annotations", stranger, []string{"mesh.test/redirect"}, verdict.Drifted, []string{redirect}, places, "")

	out, _ := diffCommand(t, c, 1, nil, "-n", namespace, "deploy/web", "--compare-annotation", "mesh.test/redirect")
	want := []string{"-annotations[mesh.test/redirect]: \"80\"", "-imagePullSecrets[mesh-1]:", "- name: mesh-1", "+annotations[mesh.test/redirect]: 80,443", "+imagePullSecrets[mesh-2]:", "+ name: mesh-2"}
	if diff := cmp.Diff(want, changedLines(out)); diff != "" {
		t.Errorf("diff (-want +got):\n%s\nof\n%s", diff, out)
	}
	if got := metadataOf(t, auditOf(t, c, inventory.Selection{Namespace: namespace})); !strings.Contains(got, redirect) {
		t.Errorf("metadata is %s", got)
	}

	// The account's own take the injector's place, which it gives no more.
	apply(t, c, namespace, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\nimagePullSecrets: [{name: own}]\n")
	proxy.setMore(nil)
	check("the account's own", installed, nil, verdict.InSync, []string{}, []string{"pod:imagePullSecrets[mesh-1]"}, "does not count")
	checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "deploy/web"), map[string]report.Result{})
}

func metadataOf(t *testing.T, r *report.Report) string {
	t.Helper()
	return fmt.Sprint(changeLines(itemOf(t, r, "Deployment", "web").Revisions[0].Metadata))
}
