package acceptance

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	openreports "github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// auditAs runs "sidecar-drift audit --exit-code" of a namespace as the
// administrator, and returns the report in this format.
func auditAs(t *testing.T, c *cluster.Cluster, namespace, format string, exitCode int) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testProduct(t).CLI,
		"audit", "--kubeconfig", c.Kubeconfig(), "-n", namespace, "--exit-code", "-o", format)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != exitCode || errOut.Len() > 0 {
		t.Fatalf("audit -o %s: exit code %d, want %d: %s", format, got, exitCode, &errOut)
	}
	return out.String()
}

func TestAuditOutputsForPipelines(t *testing.T) {
	c, injector := testCluster(t), testIstio(t)
	installKind(t, c, "reports.openreports.io", binaries.OpenReports, "config/crd/openreports.io_reports.yaml")
	namespace := namespaceWith(t, c, injected)
	deployWeb(t, c, namespace, 2, "web")
	apply(t, c, namespace, `
apiVersion: v1
kind: Pod
metadata: {name: debug, annotations: {sidecar.istio.io/inject: "false"}, labels: {sidecar.istio.io/inject: "false"}}
spec: {containers: [{name: app, image: "app:1"}]}
`)
	checkOutputs(t, c, namespace, 0, "InSync", openreports.ReportSummary{Pass: 1, Skip: 1})
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	checkOutputs(t, c, namespace, 1, "Drifted", openreports.ReportSummary{Fail: 1, Skip: 1})
}

// checkOutputs audits a namespace that holds Deployment web, in this state, and
// Pod debug, without a sidecar.
func checkOutputs(t *testing.T, c *cluster.Cluster, namespace string, exitCode int, state string, summary openreports.ReportSummary) {
	t.Helper()
	checkPolicyReport(t, c, auditAs(t, c, namespace, "policyreport", exitCode), namespace, state, summary)

	records, err := csv.NewReader(strings.NewReader(auditAs(t, c, namespace, "csv", exitCode))).ReadAll()
	if err != nil || len(records) != 3 {
		t.Fatalf("csv: %d lines, want 3: %v", len(records), err)
	}
	for _, record := range records[1:] {
		if got, want := record[4], map[string]string{"web": state, "debug": "NotInjected"}[record[3]]; got != want {
			t.Errorf("csv: %s is %s, want %s", record[3], got, want)
		}
	}

	var suites struct {
		Suites []struct {
			Name     string `xml:"name,attr"`
			Tests    int    `xml:"tests,attr"`
			Failures int    `xml:"failures,attr"`
			Skipped  int    `xml:"skipped,attr"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(auditAs(t, c, namespace, "junit", exitCode)), &suites); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(suites.Suites), fmt.Sprintf("[{%s 2 %d 1}]", namespace, summary.Fail); got != want {
		t.Errorf("junit: suites %s, want %s", got, want)
	}

	comment := auditAs(t, c, namespace, "markdown", exitCode)
	row := fmt.Sprintf("| %s | Deployment | web | %s | 2 | ", namespace, state)
	if exitCode == 1 {
		row = fmt.Sprintf("| %s | Deployment | web | **%s** | 2 | istio-proxy: image 1.27.0 → 1.28.0, ", namespace, state)
	}
	if !strings.Contains(comment, row) || strings.Count(comment, "<details>") != summary.Fail {
		t.Errorf("markdown: no %q, or not %d <details>, in\n%s", row, summary.Fail, comment)
	}
}

// checkPolicyReport applies a policyreport as its users do, and compares what is
// stored then.
func checkPolicyReport(t *testing.T, c *cluster.Cluster, text, namespace, state string, summary openreports.ReportSummary) {
	t.Helper()
	for _, args := range [][]string{
		{"apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"},
		{"apply", "--server-side", "--validate=strict", "-f", "-"},
		{"apply", "--dry-run=server", "--validate=strict", "-f", "-"},
	} {
		if _, err := c.Kubectl(t.Context(), text, args...); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := c.Kubectl(t.Context(), "", "-n", namespace, "get", "reports.openreports.io", "sidecar-drift", "-o", "yaml")
	if err != nil {
		t.Fatal(err)
	}
	var applied, got openreports.Report
	for text, into := range map[string]*openreports.Report{text: &applied, stored: &got} {
		if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(applied.Results, got.Results); diff != "" {
		t.Errorf("results (-applied +stored):\n%s", diff)
	}
	if diff := cmp.Diff(summary, got.Summary); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	want := []corev1.ObjectReference{{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: "web"}}
	web := got.Results[0]
	if diff := cmp.Diff(want, web.Subjects); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
	if web.Properties["state"] != state {
		t.Errorf("web is %s, want %s: %s", web.Properties["state"], state, web.Description)
	}
}
