package acceptance

import (
	"context"
	"fmt"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// Istio is previewed between an injector that is asked before it and one that is asked
// afterwards, and again: these are asked once more where the API server validates what Istio
// would make.
func TestPreviewOfIstioAmongOthers(t *testing.T) {
	c := testCluster(t)
	present := testIstio(t)
	next, err := istio.Start(t.Context(), c, istio.Options{Set: istio.Values("1.28.0", "150m"), Unregistered: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Stop() })
	for i, configuration := range []string{"a-preview-among", "preview-among"} {
		name := fmt.Sprintf("among-%d", i)
		other, err := injector.Start(t.Context(), c, injector.Options{Name: name, Namespaces: "among", Configuration: configuration, Reinvoke: i == 0})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := other.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		other.Inject(knows(name, name+":1"))
	}
	namespace := namespaceWith(t, c, map[string]string{"istio-injection": "enabled", injector.NamespaceLabel: "among"})
	waitInjected(t, c, namespace, "among-1")
	waitInjected(t, c, namespace, "among-0")
	ofAllOwners(t, c, namespace)
	preview := foresee(t, auditorConfig(t, c), namespace, instead(t, webhookOfIstio, next))
	if err := present.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	sameFuture(t, preview, auditOf(t, c, inventory.Selection{Namespace: namespace}))
	if p := preview.Preview; p.Previewed != len(preview.Items) || len(p.Changes) == 0 {
		t.Errorf("%d of %d workloads previewed, %d changes:\n%s", p.Previewed, len(preview.Items), len(p.Changes), details(preview))
	}
}
