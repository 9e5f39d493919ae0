package month

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// world is a script's cluster, on which what drifted is rolled out.
type world struct {
	*cluster.Cluster
	config *rest.Config
	// reader asks in protobuf and not often, as there is much to read.
	reader kubernetes.Interface
	script script
	istio  [2]*istio.Injector
	mesh   mesh
	// fresh is what a Pod of each workload gets now.
	fresh []injection
	// live are the Pods that there are, by UID.
	live map[types.UID]livePod
	// replicas of each workload.
	replicas []int
	tags     atomic.Int64 // of images of the app, that were used
	// audits that were compared with the truth, and verdicts on a Pod in them.
	audits, verdicts int
}

// livePod is a Pod and what was injected when it was created.
type livePod struct {
	slot
	injection
	name, namespace string
}

func newWorld(t *testing.T, s script) *world {
	t.Helper()
	c := clustertest.New(t, cluster.Options{Nodes: nodes})
	w := &world{Cluster: c, script: s, mesh: firstMesh(), live: map[types.UID]livePod{}, replicas: s.replicas()}
	group, ctx := errgroup.WithContext(t.Context())
	for n, opts := range w.mesh.options() {
		group.Go(func() (err error) {
			w.istio[n], err = istio.Start(ctx, c, opts)
			return err
		})
	}
	group.Go(func() error {
		product, err := install.Start(ctx, c)
		if err != nil {
			return err
		}
		t.Cleanup(func() {
			if err := product.Stop(); err != nil {
				t.Error(err)
			}
		})
		return nil
	})
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	var err error
	reading := c.RESTConfig()
	reading.ContentType, reading.QPS, reading.Burst = runtime.ContentTypeProtobuf, 20, 20
	if w.reader, err = kubernetes.NewForConfig(reading); err != nil {
		t.Fatal(err)
	}
	if w.config, err = c.ServiceAccountConfig(t.Context(), install.Namespace, install.RolloutAccount); err != nil {
		t.Fatal(err)
	}
	if err := w.populate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.fresh, err = w.injections(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.settled(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// populate creates the workloads.
func (w *world) populate(ctx context.Context) error {
	var manifests strings.Builder
	for _, namespace := range namespaces {
		fmt.Fprintf(&manifests, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {%s}}\n", namespace.value, revisions[namespace.value])
	}
	if err := w.Apply(ctx, manifests.String()); err != nil {
		return err
	}
	err := cluster.Poll(ctx, "the ServiceAccounts", func(ctx context.Context) error {
		for _, namespace := range namespaces {
			if _, err := w.Client().CoreV1().ServiceAccounts(namespace.value).Get(ctx, "default", metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	manifests.Reset()
	for _, of := range w.script.workloads {
		manifests.WriteString(of.manifest())
	}
	return w.Apply(ctx, manifests.String())
}

// change changes the mesh and asks what Pods get from now on. What they got until
// now must not have changed by itself.
func (w *world) change(t *testing.T, c *change) {
	t.Helper()
	before, err := w.injections(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range before {
		if before[n] != w.fresh[n] {
			t.Fatalf("%s is injected in another way, and nothing was changed:\n%s", w.script.workloads[n].name, cmp.Diff(w.fresh[n].spec, before[n].spec))
		}
	}
	c.apply(&w.mesh)
	group, ctx := errgroup.WithContext(t.Context())
	for n, opts := range w.mesh.options() {
		group.Go(func() error { return w.istio[n].Configure(ctx, opts) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if w.fresh, err = w.injections(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// events are the day's: deploys and scaling, and then the node that crashes.
func (w *world) events(t *testing.T, d day) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(8)
	want := []slot{}
	for _, n := range d.deploys {
		want = append(want, slotsOf(n, w.replicas[n])...)
		group.Go(func() error { return w.deploy(ctx, w.script.workloads[n]) })
	}
	for _, s := range d.scales {
		for n := s.to; n < s.from; n++ {
			want = append(want, slot{s.workload, n})
		}
		group.Go(func() error { return w.scale(ctx, s) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	w.replicas = d.replicas
	w.expectGone(t, want)
	if len(d.crashed) > 0 {
		if err := w.crash(t.Context(), d.crashed); err != nil {
			t.Fatal(err)
		}
		w.expectGone(t, d.crashed)
	}
}

// expectGone waits for the cluster to settle. The Pods that are gone must be those.
func (w *world) expectGone(t *testing.T, want []slot) {
	t.Helper()
	gone, err := w.settled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sorted(want), gone); diff != "" {
		t.Fatalf("Pods that are gone (-script +cluster):\n%s", diff)
	}
}

// deploy gives the workload's app another image.
func (w *world) deploy(ctx context.Context, of workload) error {
	return w.patch(ctx, of, fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"app:%d"}]}}}}`, 1+w.tags.Add(1)))
}

func (w *world) scale(ctx context.Context, s scale) error {
	of := w.script.workloads[s.workload]
	if s.to < s.from {
		// A ReplicaSet takes those of the lowest cost first.
		cheap := []byte(`{"metadata":{"annotations":{"controller.kubernetes.io/pod-deletion-cost":"-1"}}}`)
		for _, p := range w.live {
			if p.Workload != s.workload || p.N < s.to {
				continue
			}
			if _, err := w.Client().CoreV1().Pods(p.namespace).Patch(ctx, p.name, types.MergePatchType, cheap, metav1.PatchOptions{}); err != nil {
				return err
			}
		}
	}
	return w.patch(ctx, of, fmt.Sprintf(`{"spec":{"replicas":%d}}`, s.to))
}

func (w *world) patch(ctx context.Context, of workload, patch string) error {
	return w.Client().AppsV1().RESTClient().Patch(types.StrategicMergePatchType).
		Namespace(of.namespace).Resource(strings.ToLower(of.kind) + "s").Name(of.name).Body([]byte(patch)).Do(ctx).Error()
}

// crash deletes Pods at once, as the loss of their node does in the end.
func (w *world) crash(ctx context.Context, slots []slot) error {
	crashed := map[slot]bool{}
	for _, s := range slots {
		crashed[s] = true
	}
	now := int64(0)
	for uid, p := range w.live {
		if !crashed[p.slot] {
			continue
		}
		err := w.Client().CoreV1().Pods(p.namespace).Delete(ctx, p.name, metav1.DeleteOptions{
			GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &uid},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
