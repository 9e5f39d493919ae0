package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// replaceCommand puts a command in the place of the one with its name.
func replaceCommand(root, command *cobra.Command) {
	for _, old := range root.Commands() {
		if old.Name() == command.Name() {
			root.RemoveCommand(old)
		}
	}
	root.AddCommand(command)
}

func execute(t *testing.T, root *cobra.Command, streams genericiooptions.IOStreams, out, errOut *bytes.Buffer, args []string) ran {
	t.Helper()
	root.SetArgs(args)
	called, err := root.ExecuteContextC(t.Context())
	code := exitCode(err, called.CommandPath(), streams)
	return ran{out.String(), errOut.String(), code}
}

// rolledOut records what the steps of a rollout were given. Planning gives
// each item the planned result, running the final one.
type rolledOut struct {
	planned, final report.Result

	audited    auditor.Options
	planOption rollout.Options
	ran        bool
	again      *report.Item
}

func (r *rolledOut) steps(items ...report.Item) rolloutSteps {
	with := func(rep *report.Report, result report.Result) *report.Report {
		changed := *rep
		changed.Kind = report.RolloutReport
		changed.Items = append([]report.Item{}, rep.Items...)
		for i := range changed.Items {
			changed.Items[i].Rollout.Result = result
		}
		return &changed
	}
	return rolloutSteps{
		audit: foundBy(&r.audited, items...),
		plan: func(_ context.Context, _ *rest.Config, rep *report.Report, options rollout.Options) (*report.Report, error) {
			r.planOption = options
			options.Log.Info("planned")
			return with(rep, r.planned), nil
		},
		run: func(ctx context.Context, _ *rest.Config, plan *report.Report, options rollout.Options, audit rollout.AuditFunc) (*report.Report, error) {
			r.ran = true
			options.Log.Info("finished")
			var err error
			r.again, err = audit(ctx, inventory.WorkloadRef{Kind: "Deployment", Namespace: "cart", Name: "web"})
			return with(plan, r.final), err
		},
	}
}

func (r *rolledOut) run(t *testing.T, items []report.Item, args ...string) ran {
	t.Helper()
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	root := NewCommand("sidecar-drift", streams)
	replaceCommand(root, newRolloutCommandWith("sidecar-drift", streams, r.steps(items...)))
	return execute(t, root, streams, out, errOut, append([]string{"rollout"}, args...))
}

var driftedWeb = []report.Item{workload("Deployment", "web", verdict.Drifted, newImage)}

func TestRolloutWithoutConfirmOnlyPlans(t *testing.T) {
	kubeconfig(t)
	for _, args := range [][]string{{"-n", "shop"}, {"-n", "shop", "--confirm=false"}, {"-n", "shop", "--confirm=False"}} {
		r := rolledOut{planned: report.Planned}
		got := r.run(t, driftedWeb, args...)
		want := ran{
			out: `NAMESPACE  KIND        NAME  STATE    PODS  RESULT   DETAILS
shop       Deployment  web   Drifted  1     Planned  istio-proxy: image 1.27.0 → 1.28.0

1 workload: 1 Planned
`,
			errOut: `
Nothing was changed. To roll out this workload:
  sidecar-drift rollout --namespace shop --confirm
`,
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(ran{})); diff != "" {
			t.Errorf("%v (-want +got):\n%s", args, diff)
		}
		if r.ran {
			t.Errorf("%v has been carried out", args)
		}
	}
}

func TestRolloutWithConfirmRuns(t *testing.T) {
	kubeconfig(t)
	for _, confirm := range []string{"--confirm", "--confirm=true", "--confirm=True"} {
		r := rolledOut{planned: report.Planned, final: report.RolledOut}
		got := r.run(t, driftedWeb, confirm)
		if got.code != 0 || !r.ran || !strings.Contains(got.out, "RolledOut") {
			t.Errorf("%s: carried out: %v, %+v", confirm, r.ran, got)
		}
		if strings.Contains(got.errOut, "planned") || !strings.Contains(got.errOut, "finished") {
			t.Errorf("%s: by default the rollout is logged, not the plan: %s", confirm, got.errOut)
		}
		wantAgain := inventory.Selection{Namespace: "cart", Workloads: []inventory.WorkloadRef{{Kind: "Deployment", Namespace: "cart", Name: "web"}}}
		if diff := cmp.Diff(wantAgain, r.audited.Selection); diff != "" || r.again == nil || r.again.Name != "web" {
			t.Errorf("%s: audited again %v (-want +got):\n%s", confirm, r.again, diff)
		}
	}
}

func TestRolloutExitCode(t *testing.T) {
	kubeconfig(t)
	for _, tt := range []struct {
		final report.Result
		args  []string
		want  int
	}{
		{report.RolledOut, []string{"--confirm"}, 0},
		{report.RolledOut, []string{"--confirm", "--strict"}, 0},
		{report.Skipped, []string{"--confirm"}, 0},
		{report.Skipped, []string{"--confirm", "--strict"}, 1},
		{report.Failed, []string{"--confirm"}, 1},
		{report.NotConverging, []string{"--confirm"}, 1},
		{report.Interrupted, []string{"--confirm"}, 1},
		{report.Failed, []string{"--strict"}, 0},
	} {
		r := rolledOut{planned: tt.final, final: tt.final}
		if got := r.run(t, driftedWeb, tt.args...); got.code != tt.want {
			t.Errorf("%s with %v: exit code %d, want %d", tt.final, tt.args, got.code, tt.want)
		}
	}
}

func TestRolloutLogsThePlanOnRequest(t *testing.T) {
	kubeconfig(t)
	r := rolledOut{planned: report.Planned}
	if got := r.run(t, driftedWeb, "--log-level=info", "--log-format=json"); !strings.Contains(got.errOut, `"msg":"planned"`) {
		t.Errorf("stderr %q", got.errOut)
	}
}

// The documented command line of the script that this tool replaces.
func TestRolloutTakesTheOriginalScriptsCommandLine(t *testing.T) {
	kubeconfig(t)
	r := rolledOut{planned: report.Planned, final: report.RolledOut}
	got := r.run(t, driftedWeb, "--sidecar-container-name=istio-proxy", "--include-daemonset=true",
		"--annotation-prefix=myCompany", "--parallel-rollouts", "10", "--only-started-before=2022-05-01 13:00",
		"--exclude-namespace=kube-system", "--confirm=true")
	if got.code != 0 || !r.ran {
		t.Fatalf("carried out: %v, %+v", r.ran, got)
	}
	want := rollout.Options{
		Select: rollout.Selection{IncludeDaemonSet: true, SidecarNames: []string{"istio-proxy"}},
		Pace:   rollout.Pace{Parallel: 10, MaxFailures: 1, Timeout: 300 * time.Second},
		Mark:   rollout.Mark{AnnotationPrefix: "myCompany", FieldManager: "sidecar-drift"},
	}
	if diff := cmp.Diff(want, r.planOption, cmpopts.IgnoreFields(rollout.Options{}, "Now", "Log", "Progress")); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func TestRolloutSelection(t *testing.T) {
	kubeconfig(t)
	r := rolledOut{planned: report.Planned}
	got := r.run(t, driftedWeb, "--only-started-before=2022-05-01 13:00", "--sidecar-container-name=istio-proxy", "sts/db", "ds/agent")
	if got.code != 0 {
		t.Fatalf("%+v", got)
	}
	want := inventory.Selection{
		Namespace:     "shop",
		SidecarNames:  []string{"istio-proxy"},
		StartedBefore: time.Date(2022, 5, 1, 13, 0, 0, 0, time.UTC),
		Workloads: []inventory.WorkloadRef{
			{Kind: "StatefulSet", Namespace: "shop", Name: "db"},
			{Kind: "DaemonSet", Namespace: "shop", Name: "agent"},
		},
	}
	if diff := cmp.Diff(want, r.audited.Selection); diff != "" {
		t.Errorf("selection (-want +got):\n%s", diff)
	}
	if !r.planOption.Select.IncludeDaemonSet || !r.planOption.Select.IncludeStatefulSet {
		t.Error("kinds that are named must be included")
	}
}

func TestHintsHoldNoSecretsAndAreQuoted(t *testing.T) {
	kubeconfig(t)
	r := rolledOut{planned: report.Planned}
	got := r.run(t, driftedWeb, "--token", "geheim", "--rollout-reason", "it's time", "--all=false", "-o", "table")
	want := "\nNothing was changed. To roll out this workload:\n" +
		`  sidecar-drift rollout --rollout-reason 'it'\''s time' --all=false --confirm` + "\n"
	if diff := cmp.Diff(want, got.errOut); diff != "" {
		t.Errorf("hint (-want +got):\n%s", diff)
	}
}

func TestErrorsCannotObeyTheTerminal(t *testing.T) {
	streams, _, _, errOut := genericiooptions.NewTestIOStreams()
	code := exitCode(errors.New("one\x1b[2J\ntwo"), "sidecar-drift", streams)
	if want := "error: one\\x1b[2J\ntwo\n"; errOut.String() != want || code != 2 {
		t.Errorf("wrote %q and exit code %d, want %q and 2", errOut.String(), code, want)
	}
}
