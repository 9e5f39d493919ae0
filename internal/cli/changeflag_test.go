package cli

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

var (
	newCPU  = verdict.Change{Part: "container/p", Path: "resources.requests.cpu", From: json.RawMessage(`"1"`), To: json.RawMessage(`"2"`)}
	newPort = verdict.Change{Part: "container/p", Path: "ports[80]", To: json.RawMessage(`{"containerPort":80}`)}
)

// twoChanges are three workloads with a CPU request, of which one has a port, too.
func twoChanges() []report.Item {
	return []report.Item{
		workload("Deployment", "web", verdict.Drifted, newCPU), workload("Deployment", "api", verdict.Drifted, newCPU),
		workload("Deployment", "db", verdict.Drifted, newCPU, newPort), workload("Deployment", "cart", verdict.InSync),
	}
}

// idOf is that of the change that a difference is part of.
func idOf(t *testing.T, of verdict.Change, items ...report.Item) string {
	t.Helper()
	found := report.New(report.DriftReport, time.Unix(0, 0), items, 0)
	found.Group()
	for _, item := range found.Items {
		for _, c := range item.Revisions[0].Changes {
			if c.Place() == of.Place() {
				return c.ID
			}
		}
	}
	t.Fatalf("no %s", of.Place())
	return ""
}

func runAuditOf(t *testing.T, items []report.Item, args ...string) (out string, err error) {
	t.Helper()
	kubeconfig(t)
	streams, _, stdout, _ := genericiooptions.NewTestIOStreams()
	var asked audit.Options
	cmd := newAuditCommandWith("sidecar-drift", streams, foundBy(&asked, items...))
	cmd.SetArgs(args)
	err = cmd.Execute()
	return stdout.String(), err
}

func TestAuditSelectsByChange(t *testing.T) {
	cpu, port := idOf(t, newCPU, twoChanges()...), idOf(t, newPort, twoChanges()...)
	for name, test := range map[string]struct {
		args []string
		has  []string
		not  []string
	}{
		"everything":          {nil, []string{"#1  p cpu 1 → 2  3 workloads  3 Pods  1 namespace  tuning  " + cpu, "db    Drifted  1     #1; p: ports[80] added", "cart"}, nil},
		"a change":            {[]string{"--change", port}, []string{"#1  p cpu", "db ", "Not shown: 2 Drifted, 1 InSync"}, []string{"web ", "cart"}},
		"either of two":       {[]string{"--change", port + "," + cpu}, []string{"db ", "web ", "api "}, []string{"cart"}},
		"one that is no more": {[]string{"--change", "0123456789"}, []string{"No change found has the ID 0123456789"}, []string{"#1", "web "}},
	} {
		out, err := runAuditOf(t, twoChanges(), test.args...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, text := range test.has {
			if !strings.Contains(out, text) {
				t.Errorf("%s: no %q in\n%s", name, text, out)
			}
		}
		for _, text := range test.not {
			if strings.Contains(out, text) {
				t.Errorf("%s: %q in\n%s", name, text, out)
			}
		}
	}
}

func TestAuditFailsOnRisk(t *testing.T) {
	for failOn, want := range map[string]bool{
		"behaviour": true, "tuning": true, "cosmetic": true, "version": true, "Loss": false, "loss,Blocked": false, "loss,drifted": true, "InSync": true,
	} {
		_, err := runAuditOf(t, twoChanges(), "--fail-on", failOn)
		failed, isOutcome := errors.AsType[*outcome](err)
		if got := isOutcome && failed.code == codeFound; got != want || err != nil && !got {
			t.Errorf("--fail-on %s: %v, want a failure: %v", failOn, err, want)
		}
	}
	if _, err := runAuditOf(t, twoChanges()[:1], "--fail-on", "behaviour"); err != nil {
		t.Errorf("nothing but tuning, --fail-on behaviour: %v", err)
	}
}

// What is given is checked before any cluster is asked.
func TestChangesAndRisksAreChecked(t *testing.T) {
	for args, want := range map[string]string{
		"--change #1":            `"#1" is no change's ID, which has 10 hexadecimal digits`,
		"--change 0123456789,xy": `"xy" is no change's ID`,
		"--change " + strings.Repeat("0123456789,", 3) + "0": `"0" is no change's ID`,
		"--fail-on risky": `unknown state "risky": choose from Blocked, `,
	} {
		if _, err := runAuditOf(t, nil, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("audit %s: %v, want %s", args, err, want)
		}
	}
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	for args, want := range map[string]string{
		"--max-risk low":            "choose cosmetic, tuning, version, behaviour or loss",
		"--change 0123456789 --all": "--all and --change contradict each other",
	} {
		cmd := newRolloutCommand("sidecar-drift", streams)
		cmd.SetArgs(strings.Fields(args))
		if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("rollout %s: %v, want %s", args, err, want)
		}
	}
}
