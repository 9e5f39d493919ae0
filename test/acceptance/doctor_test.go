package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/internal/doctor"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// The doctor, on a cluster of its own that is first bare, then well, then damaged.
func TestDoctor(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, cluster.Options{})
	p := patient{c, testProduct(t).CLI, c.Kubeconfig()}
	t.Run("nothing is installed", p.isBare)
	product, err := install.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := product.Stop(); err != nil {
			t.Error(err)
		}
	})
	rolledOut(t, c, installation, "deployment/sidecar-drift-webhook", "deployment/sidecar-drift-auditor", "deployment/sidecar-drift-certs")
	t.Run("all is well", p.isWell)
	t.Run("for somebody without rights", p.isHidden)
	t.Run("much is wrong", p.isDamaged)
	if err := product.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Run("certificates of replicas", p.servesCertificates)
	t.Run("in another namespace", p.isMoved)
}

// patient is a cluster to examine.
type patient struct {
	*cluster.Cluster
	program, kubeconfig string
}

// examine runs the command and returns its report. The exit code must be what the
// report says.
func (p patient) examine(ctx context.Context, args ...string) (*doctor.Report, error) {
	cmd := exec.CommandContext(ctx, p.program, append([]string{"doctor", "--kubeconfig", p.kubeconfig, "-o", "json"}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		return nil, err
	}
	var found doctor.Report
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, fmt.Errorf("%w; stdout %q, stderr %q", err, out, stderr.String())
	}
	code := 0
	if found.Summary[doctor.Wrong] > 0 {
		code = 1
	}
	if got := cmd.ProcessState.ExitCode(); got != code || stderr.Len() > 0 {
		return nil, fmt.Errorf("exit code %d, want %d; stderr %q", got, code, stderr.String())
	}
	return &found, nil
}

var aPort = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// states are lines "check state subject".
func states(found *doctor.Report) []string {
	var lines []string
	for _, f := range found.Items {
		lines = append(lines, fmt.Sprintf("%s %s %s", f.Check, f.State, aPort.ReplaceAllString(f.Subject, "127.0.0.1:PORT")))
	}
	return lines
}

// findings are lines "check state subject: message".
func findings(found *doctor.Report) string {
	var lines strings.Builder
	for _, f := range found.Items {
		fmt.Fprintf(&lines, "%s %s %s: %s\n", f.Check, f.State, f.Subject, f.Message)
	}
	return lines.String()
}

// eventually examines until the report has a finding for each line of parts: the
// check and its state, the subject, and parts of the message.
func (p patient) eventually(t *testing.T, args []string, want ...[]string) {
	t.Helper()
	err := cluster.Poll(t.Context(), "the doctor's findings", func(ctx context.Context) error {
		found, err := p.examine(ctx, args...)
		if err != nil {
			return err
		}
		lines := strings.Split(findings(found), "\n")
		for _, parts := range want {
			if !slices.ContainsFunc(lines, func(line string) bool { return holdsAll(line, parts) }) {
				return fmt.Errorf("no finding %q in\n%s", parts, findings(found))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func holdsAll(line string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) })
}

func (p patient) isBare(t *testing.T) {
	found, err := p.examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"api-server OK version",
		"api-server OK admissionregistration.k8s.io/v1",
		"installation NotChecked sidecar-drift",
		"injectors Warning mutating webhooks and policies",
		"answers OK mutating webhooks",
		"side-effects OK webhooks",
		"dry-run-as OK you",
		"user-info OK webhooks and policies",
		"dry-run OK namespace default",
		"access OK you",
	}
	if diff := cmp.Diff(want, states(found)); diff != "" {
		t.Errorf("findings (-want +got):\n%s%s", diff, findings(found))
	}
}

func (p patient) isWell(t *testing.T) {
	// Policies are in force, and their expressions checked, a moment after they
	// were created.
	p.eventually(t, nil, []string{"policy OK sidecar-drift-dry-run-only"}, []string{"policy OK sidecar-drift-rollout-only"},
		[]string{"policy-proof NotChecked sidecar-drift-dry-run-only: not proven"}, []string{"policy-proof NotChecked sidecar-drift-rollout-only: not proven"})
	p.eventually(t, []string{"--probe-policy"}, []string{"policy-proof OK sidecar-drift-dry-run-only, as sidecar-drift-auditor"},
		[]string{"policy-proof OK sidecar-drift-rollout-only"})
	found, err := p.examine(t.Context(), "--probe-policy")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"api-server OK version",
		"api-server OK admissionregistration.k8s.io/v1",
		"installation OK sidecar-drift",
		"versions OK installation",
		"injectors Warning mutating webhooks and policies", // there is no Istio here
		"answers OK mutating webhooks",
		"side-effects OK webhooks",
		"dry-run-as OK you",
		"dry-run-as OK sidecar-drift-auditor",
		"user-info OK webhooks and policies",
		"order OK zz-sidecar-drift",
		"webhook OK zz-sidecar-drift/stamp.sidecar-drift.io",
		"certificate OK 127.0.0.1:PORT",
		"dry-run OK namespace default",
		"stamp OK namespace default",
		"policy OK sidecar-drift-dry-run-only",
		"policy OK sidecar-drift-rollout-only",
		"policy-proof OK sidecar-drift-dry-run-only, as sidecar-drift-auditor",
		"policy-proof OK sidecar-drift-dry-run-only, as sidecar-drift-rollout",
		"policy-proof OK sidecar-drift-rollout-only, as sidecar-drift-rollout",
		"access OK you",
		"access OK sidecar-drift-auditor",
		"access OK sidecar-drift-webhook",
		"access OK sidecar-drift-rollout",
		"pod-security OK namespace sidecar-drift",
		"replicas OK Deployment sidecar-drift-webhook",
		"replicas OK Deployment sidecar-drift-auditor",
		"replicas OK Deployment sidecar-drift-certs",
		"spread OK Deployment sidecar-drift-webhook",
		"disruption OK Deployment sidecar-drift-webhook",
		"disruption OK Deployment sidecar-drift-auditor",
	}
	if diff := cmp.Diff(want, states(found)); diff != "" {
		t.Errorf("findings (-want +got):\n%s%s", diff, findings(found))
	}
	p.eventually(t, []string{"-n", "kube-system"}, []string{"stamp NotChecked namespace kube-system: the stamper is not asked"})
	p.eventually(t, []string{"-n", "nowhere"}, []string{"dry-run NotChecked namespace nowhere", "not found"}, []string{"stamp NotChecked"})
}

// isHidden: whoever may do nothing is told so, and nothing is called well.
func (p patient) isHidden(t *testing.T) {
	kubeconfig, err := p.ServiceAccountKubeconfig(t.Context(), "default", "default")
	if err != nil {
		t.Fatal(err)
	}
	found, err := patient{p.Cluster, p.program, kubeconfig}.examine(t.Context(), "--probe-policy")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found.Items {
		switch {
		case f.Check == "api-server" && f.State == doctor.OK:
		case f.Check == "access" && f.Subject == "you" && f.State == doctor.Warning:
		case f.State != doctor.NotChecked || f.Message == "":
			t.Errorf("%+v, want NotChecked with a reason", f)
		}
	}
	if !strings.Contains(findings(found), "you may not act as that identity") {
		t.Errorf("it does not say that impersonation is not allowed:\n%s", findings(found))
	}
}
