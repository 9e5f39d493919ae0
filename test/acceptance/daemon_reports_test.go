package acceptance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	openreports "github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// reportIn returns the Report sidecar-drift of a namespace; nil if there is none.
func reportIn(ctx context.Context, c *cluster.Cluster, namespace string) (*openreports.Report, error) {
	asked := &unstructured.Unstructured{}
	asked.SetGroupVersionKind(openreports.SchemeGroupVersion.WithKind("Report"))
	reports, err := c.Resource(asked, namespace)
	if err != nil {
		return nil, err
	}
	object, err := reports.Get(ctx, "sidecar-drift", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := &openreports.Report{}
	return found, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, found)
}

// awaitReport waits until a namespace has a Report that holds.
func awaitReport(t *testing.T, c *cluster.Cluster, namespace, what string, holds func(*openreports.Report) bool) *openreports.Report {
	t.Helper()
	var found *openreports.Report
	err := cluster.Poll(t.Context(), "a Report: "+what, func(ctx context.Context) (err error) {
		found, err = reportIn(ctx, c, namespace)
		if err == nil && !holds(found) {
			err = fmt.Errorf("it is %+v", found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func passes(r *openreports.Report) bool {
	return r != nil && r.Summary == openreports.ReportSummary{Pass: 1}
}

func fails(r *openreports.Report) bool {
	return r != nil && r.Summary == openreports.ReportSummary{Fail: 1}
}

func isGone(r *openreports.Report) bool { return r == nil }

// audits waits until a daemon has audited everything so many times more.
func audits(t *testing.T, d *daemon, times int) {
	t.Helper()
	last := -1.0
	err := cluster.Poll(t.Context(), "audits of everything", func(ctx context.Context) error {
		at, absent, err := d.value(ctx, "sidecar_drift_audit_last_success_timestamp_seconds", nil)
		switch {
		case err != nil:
			return err
		case absent || at == last:
		case last < 0:
			last = at
		default:
			last = at
			times--
		}
		if times > 0 {
			return fmt.Errorf("%d are still to come", times)
		}
		return nil
	}, d.Process)
	if err != nil {
		t.Fatal(err)
	}
}

// logged counts the lines of a daemon's log that have all of the parts.
func logged(t *testing.T, d *daemon, parts ...string) int {
	t.Helper()
	text, err := os.ReadFile(d.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(string(text)) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			lines++
		}
	}
	return lines
}

// The daemon keeps a Report in each namespace, as the overlay policy-reports runs
// it, on a cluster of its own: their definition comes late, and the installation
// goes at the end.
func TestServeKeepsPolicyReports(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, cluster.Options{})
	port, err := cluster.FreePort() // of a stamper that is not there
	if err != nil {
		t.Fatal(err)
	}
	if err := c.InstallManifests(t.Context(), withPolicyReports, port); err != nil {
		t.Fatal(err)
	}
	namespace, setImage := ownInjector(t, c)
	foreign := namespaceWith(t, c, nil)
	deployWeb(t, c, namespace, 2, "web")

	args := []string{"--policy-reports", "--lease-duration", "10s", "--interval", "5s", "--full-interval", "10s", "--include-namespace", namespace, "--include-namespace", foreign}
	d := startDaemon(t, c, args...)
	audits(t, d, 2)
	if n := logged(t, d, "does not know the kind Report"); n != 1 {
		t.Errorf("without the definition the log says so %d times, want once", n)
	}

	installKind(t, c, "reports.openreports.io", binaries.OpenReports, "config/crd/openreports.io_reports.yaml")
	apply(t, c, foreign, `
apiVersion: openreports.io/v1alpha1
kind: Report
metadata: {name: sidecar-drift}
source: another-tool
`)
	before, err := reportIn(t.Context(), c, foreign)
	if err != nil {
		t.Fatal(err)
	}
	deployWeb(t, c, foreign, 1, "web")

	first := awaitReport(t, c, namespace, "web passes", passes)
	owner, err := c.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), install.WebhookConfiguration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []metav1.OwnerReference{{
		APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration", Name: owner.Name, UID: owner.UID,
	}}
	if diff := cmp.Diff(want, first.OwnerReferences); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"app.kubernetes.io/managed-by": "sidecar-drift"}, first.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}

	// Nothing changes, for this process and for the next.
	audits(t, d, 3)
	d.Kill()
	d = startDaemon(t, c, args...)
	audits(t, d, 2)
	if now := awaitReport(t, c, namespace, "web passes", passes); now.ResourceVersion != first.ResourceVersion {
		t.Errorf("the Report was written again, though nothing has changed: version %s, before %s", now.ResourceVersion, first.ResourceVersion)
	}

	setImage("proxy:2")
	drifted := awaitReport(t, c, namespace, "web fails", fails)
	if result := drifted.Results[0]; result.Subjects[0].Name != "web" || !strings.Contains(result.Description, "Drifted: proxy: image 1 → 2") {
		t.Errorf("result %+v", result)
	}
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "delete", "reports.openreports.io", "sidecar-drift"); err != nil {
		t.Fatal(err)
	}
	awaitReport(t, c, namespace, "web fails, again", fails)
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "rollout", "restart", "deployment/web"); err != nil {
		t.Fatal(err)
	}
	awaitReport(t, c, namespace, "web passes, rolled out", passes)

	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "delete", "deployment", "web"); err != nil {
		t.Fatal(err)
	}
	awaitReport(t, c, namespace, "none without Pods", isGone)
	deployWeb(t, c, namespace, 1, "web")
	awaitReport(t, c, namespace, "web passes, created anew", passes)

	if n := logged(t, d, "somebody else's", "namespace="+foreign); n != 2 {
		t.Errorf("that somebody else's Report is left alone is logged %d times, want once a process", n)
	}
	// The product is uninstalled, the webhook configuration first.
	if _, err := c.Kubectl(t.Context(), "", "delete", "mutatingwebhookconfiguration", install.WebhookConfiguration); err != nil {
		t.Fatal(err)
	}
	awaitReport(t, c, namespace, "none without its owner", isGone)
	audits(t, d, 2)
	awaitReport(t, c, namespace, "none that is written again", isGone)
	if err := d.Stop(); err != nil {
		t.Errorf("it does not stop in an orderly way: %v", err)
	}
	after, err := reportIn(t.Context(), c, foreign)
	if err == nil && after == nil {
		err = errors.New("there is none")
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("somebody else's Report (-before +after):\n%s", diff)
	}
}
