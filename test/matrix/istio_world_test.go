package matrix

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// realIstio is the group of the rows for which Istio runs.
const realIstio = "the real Istio"

// Namespaces of these rows, by the revision of Istio that injects into them.
const (
	istioUpgraded = "matrix-istio"
	istioCanary   = "matrix-istio-canary"
	istioMesh     = "matrix-istio-mesh"
	istioCNI      = "matrix-istio-cni"
	istioPull     = "matrix-istio-pull"
	// These are one row's each, which changes their labels.
	istioBegins = "matrix-istio-begins"
	istioEnds   = "matrix-istio-ends"
	istioMoved  = "matrix-istio-moved"
	// A ProxyConfig for all of this one comes with the change.
	istioConfigured = "matrix-istio-proxyconfig"
)

// istioLabels are the further labels of the rows' namespaces.
var istioLabels = map[string]string{
	istioUpgraded:   `, istio-injection: enabled`,
	istioEnds:       `, istio-injection: enabled`,
	istioCanary:     `, istio.io/rev: canary`,
	istioMoved:      `, istio.io/rev: canary`,
	istioConfigured: `, istio.io/rev: canary`,
	istioMesh:       `, istio.io/rev: mesh`,
	istioCNI:        `, istio.io/rev: cni`,
	istioPull:       `, istio.io/rev: pull`,
	daprMeshed:      `, istio-injection: enabled`,
}

// istioChange is what one revision of Istio is before the change and then.
type istioChange struct{ before, then istio.Options }

// istioChanges are the revisions that run. The default one is upgraded: what it
// changes reaches each of its Pods. The canary changes in ways that reach some of
// its Pods, those that a row makes for it, and no others; its webhook is called
// again after others, the stamper's too. The third changes its mesh configuration,
// and to native sidecars; the fourth has a CNI plugin redirect traffic (pilot.cni.enabled), and
// the fifth pulls its images by another Secret.
func istioChanges() []istioChange {
	const (
		templates = "values.sidecarInjectorWebhook.templates."
		rewrite   = "values.sidecarInjectorWebhook.rewriteAppHTTPProbe="
		hold      = "values.global.proxy.holdApplicationUntilProxyStarts="
		proxy     = "meshConfig.defaultConfig."
	)
	custom := func(version string) string {
		return templates + `custom={"spec":{
			"initContainers":[{"name":"istio-proxy","env":[{"name":"CUSTOM","value":"` + version + `"}]}],
			"containers":[{"name":"agent","image":"agent:` + version + `"}]}}`
	}
	app := func(name, value string) string {
		return templates + name + `={"spec":{"containers":[{"name":"app","env":[{"name":"CUSTOM","value":"` + value + `"}]}]}}`
	}
	const again = "values.sidecarInjectorWebhook.reinvocationPolicy=IfNeeded"
	return []istioChange{
		{
			before: istio.Options{Set: istio.Values("1.27.0", "100m", custom("1"))},
			then:   istio.Options{Set: istio.Values("1.28.0", "150m", custom("1"))},
		},
		{
			before: istio.Options{
				Revision: "canary", NativeSidecars: true, ProxyConfigs: proxyConfigs("1", 1, "debug"),
				Set: istio.Values("1.27.0", "100m", again, custom("1"), app("app", "1"), app("ends", "1"), rewrite+"false"),
			},
			then: istio.Options{
				NativeSidecars: true, ProxyConfigs: proxyConfigs("2", 2, "distroless") + proxyConfig(istioConfigured, "all", `environmentVariables: {FLAG: "on"}`),
				Set: istio.Values("1.27.0", "100m", again, custom("2"), app("app", "2"), templates+"ends={}", rewrite+"true", hold+"true",
					"meshConfig.enablePrometheusMerge=false", "meshConfig.accessLogFile=/dev/stdout", "meshConfig.outboundTrafficPolicy.mode=REGISTRY_ONLY"),
			},
		},
		{
			before: istio.Options{Revision: "mesh", Set: istio.Values("1.27.0", "100m", proxy+"proxyMetadata.LEVEL=low", proxy+"proxyMetadata.GONE=on")},
			then: istio.Options{NativeSidecars: true, Set: istio.Values("1.27.0", "100m", rewrite+"false",
				proxy+"holdApplicationUntilProxyStarts=true", proxy+"concurrency=4", proxy+"terminationDrainDuration=20s",
				proxy+"tracing.sampling=10", proxy+"proxyMetadata.FLAG=on", proxy+"proxyMetadata.LEVEL=high", "values.global.proxy.excludeInboundPorts=9000,9001")},
		},
		{
			before: istio.Options{Revision: "cni", Set: istio.Values("1.27.0", "100m")},
			then:   istio.Options{Set: istio.Values("1.27.0", "100m", "components.cni.enabled=true")},
		},
		{
			before: istio.Options{Revision: "pull", Set: istio.Values("1.27.0", "100m", "values.global.imagePullSecrets[0]=registry")},
			then:   istio.Options{Set: istio.Values("1.27.0", "100m", "values.global.imagePullSecrets[0]=mirror")},
		},
	}
}

// proxyConfigs select a row's Pods each, by the label proxyconfig.
func proxyConfigs(variable string, concurrency int, imageType string) string {
	return proxyConfig(istioCanary, "variables", fmt.Sprintf(`environmentVariables: {FLAG: %q}`, variable)) +
		proxyConfig(istioCanary, "concurrency", fmt.Sprintf(`concurrency: %d`, concurrency)) +
		proxyConfig(istioCanary, "image", fmt.Sprintf(`image: {imageType: %s}`, imageType))
}

func proxyConfig(namespace, name, spec string) string {
	selector := ""
	if name != "all" {
		selector = fmt.Sprintf("selector: {matchLabels: {proxyconfig: %s}}, ", name)
	}
	return fmt.Sprintf("---\napiVersion: networking.istio.io/v1beta1\nkind: ProxyConfig\nmetadata: {name: %s, namespace: %s}\nspec: {%s%s}\n",
		name, namespace, selector, spec)
}

// startIstio starts Istio if one of the rows needs it.
func (m *matrix) startIstio(t *testing.T) {
	t.Helper()
	if !slices.ContainsFunc(m.rows, func(r row) bool { return r.group == realIstio }) {
		return
	}
	changes := istioChanges()
	m.istio = make([]*istio.Injector, len(changes))
	group, ctx := errgroup.WithContext(t.Context())
	for n, change := range changes {
		group.Go(func() (err error) {
			m.istio[n], err = istio.Start(ctx, m.Cluster, change.before)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// changeIstio changes every revision that runs.
func (m *matrix) changeIstio(t *testing.T) {
	t.Helper()
	changes := istioChanges()
	group, ctx := errgroup.WithContext(t.Context())
	for n, i := range m.istio {
		group.Go(func() error { return i.Configure(ctx, changes[n].then) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// relabel changes labels of the workload's namespace, and returns when its Pods
// would be injected by that revision; empty: by none.
func relabel(revision string, labels ...string) step {
	return func(ctx context.Context, w *workload) error {
		if err := w.kubectl(ctx, append([]string{"label", "namespace", w.namespace(), "--overwrite"}, labels...)...); err != nil {
			return err
		}
		probe := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
		}
		return cluster.Poll(ctx, "the API server to see the namespace's labels", func(ctx context.Context) error {
			pod, err := w.Client().CoreV1().Pods(w.namespace()).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err == nil && pod.Annotations["istio.io/rev"] != revision {
				err = fmt.Errorf("a Pod is injected by revision %q", pod.Annotations["istio.io/rev"])
			}
			return err
		})
	}
}

// editPods sets an image, CONTAINER=IMAGE, in the Pods themselves.
func editPods(image string) step {
	return func(ctx context.Context, w *workload) error {
		live, err := w.live(ctx)
		if err != nil {
			return err
		}
		for _, pod := range live {
			if err := w.kubectl(ctx, "set", "image", "pod/"+pod.Name, image); err != nil {
				return err
			}
		}
		return nil
	}
}
