package acceptance

import (
	"context"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// What another Istio would do is what it then does, workload by workload and place by place.
func TestPreviewOfIstio(t *testing.T) {
	c := testCluster(t)
	present := testIstio(t)
	t.Cleanup(func() {
		if err := present.Configure(context.Background(), istio.Options{Set: istio.Values("1.27.0", "100m")}); err != nil {
			t.Error(err)
		}
	})
	next, err := istio.Start(t.Context(), c, istio.Options{Set: istio.Values("1.27.0", "100m"), Unregistered: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Stop() })
	config := auditorConfig(t, c)
	namespace := namespaceWith(t, c, injected)
	populate(t, c, namespace, population(12, 160))
	limited := namespaceWith(t, c, injected)
	apply(t, c, limited, `
apiVersion: v1
kind: LimitRange
metadata: {name: limits}
spec: {limits: [{type: Container, defaultRequest: {cpu: 50m, ephemeral-storage: 1Gi}, default: {cpu: "2", ephemeral-storage: 2Gi}}]}
`)
	populate(t, c, limited, population(6, 40))

	same := foresee(t, config, namespace, instead(t, webhookOfIstio, next))
	if n := same.Summary.Workloads[verdict.InSync]; n != len(same.Items) || len(same.Preview.Changes) > 0 {
		t.Errorf("with the same injector %d of %d are in sync, and it changes %v:\n%s", n, len(same.Items), same.Preview.Changes, details(same))
	}
	for _, change := range []struct {
		name string
		to   istio.Options
	}{
		{"another release", istio.Options{Set: istio.Values("1.28.0", "100m")}},
		{"a CNI plugin", istio.Options{Set: istio.Values("1.28.0", "100m", "components.cni.enabled=true", "values.pilot.cni.enabled=true")}},
		{"native sidecars", istio.Options{Set: istio.Values("1.28.0", "100m"), NativeSidecars: true}},
		{"another template", istio.Options{Set: istio.Values("1.28.0", "150m", "values.global.logging.level=default:debug",
			"values.global.imagePullSecrets[0]=registry", "meshConfig.defaultConfig.holdApplicationUntilProxyStarts=true")}},
	} {
		if err := next.Configure(t.Context(), change.to); err != nil {
			t.Fatal(err)
		}
		var previews []*report.Report
		for _, in := range []string{namespace, limited} {
			previews = append(previews, foresee(t, config, in, instead(t, webhookOfIstio, next)))
		}
		if err := present.Configure(t.Context(), change.to); err != nil {
			t.Fatal(err)
		}
		for i, in := range []string{namespace, limited} {
			p := previews[i].Preview
			t.Logf("%s: %d workloads, %d changes", change.name, len(previews[i].Items), len(p.Changes))
			sameFuture(t, previews[i], auditOf(t, c, inventory.Selection{Namespace: in}))
			if p.Previewed != len(previews[i].Items) {
				t.Errorf("%d of %d workloads could be previewed", p.Previewed, len(previews[i].Items))
			}
		}
	}
}
