package acceptance

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func TestRolloutOfAWorkloadThatIsDeleted(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.deployStuck(t, "web", 600)
	deleted := false
	e.opts.Progress = func(event rollout.Event) {
		if event.Phase != rollout.Waiting || deleted {
			return
		}
		deleted = true
		if _, err := e.Kubectl(t.Context(), "", "-n", e.namespace, "delete", "deployment/web"); err != nil {
			t.Error(err)
		}
	}
	done := e.run(t.Context(), t, e.plan(t, e.item("Deployment", "web", verdict.Drifted)))
	checkResults(t, done, map[string]report.Result{"Deployment/web": report.Failed})
	if reason := done.Items[0].Rollout.Reason; reason != "was deleted meanwhile" {
		t.Errorf("reason %q", reason)
	}
	if _, err := e.Kubectl(t.Context(), "", "-n", e.namespace, "get", "deployment/web"); err == nil {
		t.Error("the workload has been created again")
	}
}

// Its owners roll it out between the audit and the rollout: all that drifted is gone.
func TestRolloutOfWhatWasReplacedSinceTheAudit(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	deployWeb(t, e.Cluster, e.namespace, 2, "web")
	plan := e.plan(t, e.drifted("Deployment", "web", podsOf(t, e.Cluster, e.namespace, "app=web")...))
	checkResults(t, plan.Report(), map[string]report.Result{"Deployment/web": report.Planned})
	restart(t, e.Cluster, e.namespace, "web")
	before := e.object(t, "deployment/web").GetGeneration()
	done := e.run(t.Context(), t, plan)
	checkResults(t, done, map[string]report.Result{"Deployment/web": report.Skipped})
	if reason := done.Items[0].Rollout.Reason; !strings.Contains(reason, "have been replaced since") {
		t.Errorf("reason %q", reason)
	}
	if after := e.object(t, "deployment/web").GetGeneration(); after != before {
		t.Error("it was restarted in vain")
	}
}

// Between the decision and the patch anything may happen: the patch holds only
// for what was decided on.
func TestRolloutLosesARace(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(context.Context, client.Client, client.Object) error
		want      report.Result
	}{
		"against an innocent change": {
			func(ctx context.Context, admin client.Client, web client.Object) error {
				return admin.Patch(ctx, web, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"note":"1"}}}`)))
			}, report.RolledOut},
		"against a pause": {
			func(ctx context.Context, admin client.Client, web client.Object) error {
				return admin.Patch(ctx, web, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"paused":true}}`)))
			}, report.Skipped},
		"against a deletion": {
			func(ctx context.Context, admin client.Client, web client.Object) error { return admin.Delete(ctx, web) },
			report.Skipped},
		"against a creation under the same name": {
			func(ctx context.Context, admin client.Client, web client.Object) error {
				if err := admin.Delete(ctx, web); err != nil {
					return err
				}
				again := newWorkload("Deployment", web.GetNamespace())
				again.SetName(web.GetName())
				return admin.Create(ctx, again)
			}, report.Skipped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t)
			deployWeb(t, e.Cluster, e.namespace, 1, "web")
			plan := e.plan(t, e.item("Deployment", "web", verdict.Drifted))
			admin, web := asAdmin(t, e.Cluster), newWorkload("Deployment", e.namespace)
			web.SetName("web")
			var patches atomic.Int64
			e.config.Wrap(func(next http.RoundTripper) http.RoundTripper {
				return roundTrip(func(r *http.Request) (*http.Response, error) {
					if r.Method == http.MethodPatch && patches.Add(1) == 1 {
						if err := test.meanwhile(r.Context(), admin, web); err != nil {
							t.Error(err)
						}
					}
					return next.RoundTrip(r)
				})
			})
			checkResults(t, e.run(t.Context(), t, plan), map[string]report.Result{"Deployment/web": test.want})
			if test.want == report.RolledOut {
				return
			}
			for _, pod := range podsOf(t, e.Cluster, e.namespace, "app=web") {
				if _, restarted := pod.Annotations["sidecarRollout.rollout.timestamp"]; restarted {
					t.Errorf("Pod %s was restarted", pod.Name)
				}
			}
		})
	}
}
