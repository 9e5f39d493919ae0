package cli

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/change"
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
	return ran{onServer(out.String()), onServer(errOut.String()), code}
}

var testServer = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// onServer is what was written, with a name in the place of the server's address of a test.
func onServer(text string) string { return testServer.ReplaceAllString(text, "http://server") }

// rolledOut records what the steps of a rollout were given. Planning gives
// each item the planned result, running the final one.
type rolledOut struct {
	planned, final report.Result

	audited    audit.Options
	verified   inventory.WorkloadRef
	planOption rollout.Options
	ran        bool
	again      *report.Item
	events     []rollout.Event // told while it runs
	held       error           // of the lock
	locked     string          // the namespace of the lock
	released   bool
}

func (r *rolledOut) Lost() <-chan struct{} { return nil }

func (r *rolledOut) Release(context.Context) error {
	r.released = true
	return nil
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
		lock: func(_ context.Context, _ *rest.Config, claim rollout.Claim) (rolloutLock, error) {
			r.locked = claim.Namespace
			if held, ok := errors.AsType[*rollout.HeldError](r.held); ok && held.Waited > 0 {
				claim.Waiting(held, nil)
				claim.Waiting(held, []string{"Deployment shop/web", "2 more"})
			} else if ok {
				claim.Watching(held)
			}
			return r, r.held
		},
		audit: foundBy(&r.audited, items...),
		verify: func(_ context.Context, _ *rest.Config, _ audit.Options, w inventory.WorkloadRef, _ []byte) (*report.Item, error) {
			r.verified = w
			return &items[0], nil
		},
		plan: func(_ context.Context, _ *rest.Config, rep *report.Report, options rollout.Options) (*rollout.Plan, error) {
			r.planOption = options
			options.Log.Info("planned")
			plan := &rollout.Plan{Audited: rep}
			for _, item := range rep.Items {
				plan.Steps = append(plan.Steps, rollout.Step{Item: item, Strategy: options.Strategy, Result: r.planned})
			}
			return plan, nil
		},
		run: func(ctx context.Context, _ *rest.Config, plan *rollout.Plan, options rollout.Options, audit rollout.AuditFunc) (*report.Report, error) {
			r.ran = true
			options.Log.Info("finished")
			for _, event := range r.events {
				options.Progress(event)
			}
			var err error
			r.again, err = audit(ctx, inventory.WorkloadRef{Kind: "Deployment", Namespace: "cart", Name: "web"}, nil)
			done := plan.Report()
			for i, s := range plan.Steps {
				done.Items[i].Rollout = s.Item.Rollout
			}
			return with(done, r.final), err
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

Cluster c (http://server)
1 workload: 1 Planned
`,
			errOut: `
Nothing was changed. To roll out this workload in cluster c (http://server):
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
		if strings.Contains(got.errOut, "planned") || strings.Contains(got.errOut, "finished") || !strings.Contains(got.errOut, "1 Planned") {
			t.Errorf("%s: by default the plan is shown and nothing is logged: %s", confirm, got.errOut)
		}
		if !r.released {
			t.Errorf("%s: the Lease is still held", confirm)
		}
		wantAgain := inventory.WorkloadRef{Kind: "Deployment", Namespace: "cart", Name: "web"}
		if diff := cmp.Diff(wantAgain, r.verified); diff != "" || r.again == nil || r.again.Name != "web" {
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
		Strategy: rollout.Restart,
		Select:   rollout.Filter{IncludeDaemonSet: true, OnlySidecars: []string{"istio-proxy"}, MaxRisk: change.Loss},
		Pace:     rollout.Pace{Parallel: 10, Order: rollout.ByName, MaxFailures: 1, MaxUnavailable: 1, Timeout: 300 * time.Second},
		Mark:     rollout.Mark{AnnotationPrefix: "myCompany", FieldManager: "sidecar-drift"},
	}
	if diff := cmp.Diff(want, r.planOption, cmpopts.IgnoreFields(rollout.Options{}, "Now", "Log", "Progress")); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

// Elsewhere than on a terminal there is a line for each workload that starts
// or finishes, and what went wrong comes with what to do.
func TestRolloutTellsWhatHappens(t *testing.T) {
	kubeconfig(t)
	web := inventory.WorkloadRef{Kind: "Deployment", Namespace: "shop", Name: "web"}
	items := []report.Item{workload("Deployment", "web", verdict.Drifted, newImage)}
	items[0].Rollout.Strategy, items[0].Rollout.StartedAt = string(rollout.Restart), new(time.Now())
	r := rolledOut{planned: report.Planned, final: report.Failed, events: []rollout.Event{
		{Workload: web, Phase: rollout.Started, Total: 1},
		{Workload: web, Phase: rollout.Waiting, Message: "1 of 3", Total: 1},
		{Workload: web, Phase: rollout.Verifying, Total: 1},
		{Workload: web, Phase: rollout.Finished, Result: report.Failed, Message: "container istio-proxy\x1b[2J crashes", Done: 1, Total: 1},
	}}
	got := r.run(t, items, "-n", "shop", "--confirm")
	want := ran{
		out: `NAMESPACE  KIND        NAME  STATE    PODS  RESULT  DETAILS
shop       Deployment  web   Drifted  1     Failed  istio-proxy: image 1.27.0 → 1.28.0

Cluster c (http://server)
1 workload: 1 Failed
`,
		errOut: `NAMESPACE  KIND        NAME  STATE    PODS  RESULT   DETAILS
shop       Deployment  web   Drifted  1     Planned  istio-proxy: image 1.27.0 → 1.28.0

Cluster c (http://server)
1 workload: 1 Planned

Rolling out 1 workload in cluster c (http://server).

Deployment shop/web: started
Deployment shop/web: Failed after 0s: container istio-proxy\x1b[2J crashes


To take a failed restart back (this brings back the old template, not the old sidecar, which
injection decides; a StatefulSet whose Pod is stuck also needs that Pod deleted):
  kubectl rollout undo deployment/web -n shop
`,
		code: 1,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(ran{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRolloutSaysHowToGoOn(t *testing.T) {
	kubeconfig(t)
	r := rolledOut{planned: report.Planned, final: report.Interrupted}
	got := r.run(t, driftedWeb, "-n", "shop", "--confirm", "-o", "json")
	want := `
1 workload is left. To go on with what still drifts:
  sidecar-drift rollout --namespace shop --confirm
`
	if got.code != 1 || got.errOut != want {
		t.Errorf("exit code %d, stderr %q", got.code, got.errOut)
	}
}

func TestRolloutWhileAnotherRuns(t *testing.T) {
	kubeconfig(t)
	r := rolledOut{planned: report.Planned, held: &rollout.HeldError{Holder: "ann@laptop, process 7", Lease: "kube-system/sidecar-drift-rollout"}}
	got := r.run(t, driftedWeb, "--confirm", "--lock-namespace", "ops")
	if got.code != 1 || r.ran || got.out != "" || !strings.Contains(got.errOut, "error: ann@laptop, process 7 rolls out in this cluster since") ||
		!strings.Contains(got.errOut, "is held by ann@laptop, process 7: watching for at most 20s whether it is renewed") || r.locked != "ops" {
		t.Errorf("%+v, locked %q", got, r.locked)
	}
	if got := r.run(t, driftedWeb); got.code != 0 {
		t.Errorf("a plan needs no Lease: %+v", got)
	}
}

func TestRolloutWaitsForAutomaticOnes(t *testing.T) {
	kubeconfig(t)
	r := rolledOut{planned: report.Planned, held: &rollout.HeldError{Holder: "sidecar-drift serve as x", Lease: "ops/sidecar-drift-rollout", Waited: time.Minute}}
	got := r.run(t, driftedWeb, "--confirm", "--lock-timeout", "1m")
	const begin = "Automatic rollouts are under way (sidecar-drift serve as x, Lease ops/sidecar-drift-rollout): waiting for them to finish "
	want := begin + "what runs, for at most 1m0s in all; then this run goes first …\n" +
		begin + "Deployment shop/web, 2 more, for at most 1m0s in all; then this run goes first …\n" +
		"error: sidecar-drift serve as x has not finished what it rolls out in this cluster (Lease ops/sidecar-drift-rollout) after 1m0s: try again when it has, or wait longer with --lock-timeout\n"
	if got.code != 1 || r.ran || got.out != "" || got.errOut != want {
		t.Errorf("%+v, want %q", got, want)
	}
}

// Those who select by start time, as the original script does, are told what
// that would have restarted for nothing.
func TestRolloutSaysWhatTheScriptWouldDo(t *testing.T) {
	kubeconfig(t)
	items := append([]report.Item{workload("Deployment", "api", verdict.InSync)}, driftedWeb...)
	r := rolledOut{planned: report.Planned}
	got := r.run(t, items, "--only-started-before=2026-05-01")
	if want := "\n1 selected workload is in sync and left alone (k8s-sidecar-rollout would restart them, too: --all).\n"; !strings.Contains(got.errOut, want) {
		t.Errorf("stderr %q, want %q in it", got.errOut, want)
	}
	if got := r.run(t, items); strings.Contains(got.errOut, "would restart") {
		t.Errorf("stderr %q", got.errOut)
	}
}

// What the script's documentation names beyond that command line.
func TestRolloutTakesTheOriginalScriptsOptions(t *testing.T) {
	kubeconfig(t)
	r := rolledOut{planned: report.Planned}
	got := r.run(t, driftedWeb, "--sidecar-container-name=istio-proxy", "--sidecar-container-name=my-other-sidecar",
		"--include-daemonset=true", "--include-statefulset=true", "--exclude-deployments=true", "--timeout=600s",
		"--include-namespace=my-first-app", "--include-namespace=my-other-app", "--log-level=critical", "--log-format=json")
	if got.code != 0 || r.ran {
		t.Fatalf("carried out: %v, %+v", r.ran, got)
	}
	want := rollout.Filter{
		IncludeDaemonSet: true, IncludeStatefulSet: true, ExcludeDeployment: true,
		OnlySidecars: []string{"istio-proxy", "my-other-sidecar"}, MaxRisk: change.Loss,
	}
	if diff := cmp.Diff(want, r.planOption.Select); diff != "" || r.planOption.Pace.Timeout != 600*time.Second {
		t.Errorf("timeout %s, selection (-want +got):\n%s", r.planOption.Pace.Timeout, diff)
	}
	if diff := cmp.Diff([]string{"my-first-app", "my-other-app"}, r.audited.Selection.IncludeNamespaces); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
	for _, level := range []string{"debug", "info", "warning", "error", "critical"} {
		if got := r.run(t, driftedWeb, "--log-level", level); got.code != 0 {
			t.Errorf("--log-level %s: %+v", level, got)
		}
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
		Namespace:      "shop",
		WithContainers: []string{"istio-proxy"},
		StartedBefore:  time.Date(2022, 5, 1, 13, 0, 0, 0, time.UTC),
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
	want := "\nNothing was changed. To roll out this workload in cluster c (http://server):\n" +
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
