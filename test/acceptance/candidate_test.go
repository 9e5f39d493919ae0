package acceptance

import (
	"context"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
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
	ofAllOwners(t, c, namespace)

	same := foresee(t, config, namespace, instead(t, webhookOfIstio, next))
	for _, item := range same.Items {
		if item.State != verdict.InSync {
			t.Errorf("with the same injector %s/%s is %s:\n%s", item.Kind, item.Name, item.State, details(same))
		}
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
		preview := foresee(t, config, namespace, instead(t, webhookOfIstio, next))
		if err := present.Configure(t.Context(), change.to); err != nil {
			t.Fatal(err)
		}
		t.Log(change.name)
		sameFuture(t, preview, auditOf(t, c, inventory.Selection{Namespace: namespace}))
		if preview.Preview.Previewed != len(preview.Items) {
			t.Errorf("%d of %d workloads could be previewed", preview.Preview.Previewed, len(preview.Items))
		}
	}
}
