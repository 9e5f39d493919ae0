package acceptance

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// editor is a person with the role edit in the namespace, and nothing else, by a
// token of their own.
func editor(t *testing.T, c *cluster.Cluster, namespace string) *rest.Config {
	t.Helper()
	apply(t, c, namespace, fmt.Sprintf(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: tenant}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tenant}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{kind: ServiceAccount, name: tenant, namespace: %s}]
`, namespace))
	config, err := c.ServiceAccountConfig(t.Context(), namespace, "tenant")
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// neighbours are two namespaces of one cluster with an injector, one of which
// belongs to a tenant.
type neighbours struct {
	cluster  *cluster.Cluster
	shop     string // somebody else's
	tenant   string
	injector *injector.Injector
	client   kubernetes.Interface // the tenant's
	tag      map[string]string    // a label that all Pods of the test have
	owners   []metav1.OwnerReference
}

func startNeighbours(t *testing.T) *neighbours {
	t.Helper()
	c := fenced(t)
	n := &neighbours{cluster: c}
	n.shop, n.injector = startOwnInjector(t, c, addsProxy("proxy:1"))
	n.tag = map[string]string{"tenancy": n.shop}
	n.tenant = namespaceWith(t, c, map[string]string{injector.NamespaceLabel: n.shop})
	client, err := kubernetes.NewForConfig(editor(t, c, n.tenant))
	if err != nil {
		t.Fatal(err)
	}
	n.client = client
	apply(t, c, n.shop, fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, tenancy: %[1]s}}
    spec: {containers: [{name: web, image: "nginx:1.27", env: [{name: DB_PASSWORD, value: of-the-shop}]}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  selector: {matchLabels: {app: db}}
  serviceName: db
  template:
    metadata: {labels: {app: db, tenancy: %[1]s}}
    spec: {containers: [{name: db, image: "db:1"}]}
`, n.shop))
	rolledOut(t, c, n.shop, "deployment/web", "statefulset/db")
	for _, label := range []string{"app=web", "app=db"} {
		for _, pod := range podsOf(t, c, n.shop, label) {
			n.owners = append(n.owners, pod.OwnerReferences...)
		}
	}
	web, err := c.Client().AppsV1().Deployments(n.shop).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n.owners = append(n.owners, metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: web.UID})
	return n
}

// selection is of all Pods of the test, in a list over all namespaces.
func (n *neighbours) selection() inventory.Selection {
	return inventory.Selection{LabelSelector: "tenancy=" + n.shop}
}

// pod is the tenant's, with an owner of the tenant's invention. Its version is one
// that Kubernetes' garbage collector does not know: it deletes Pods whose owner it
// finds not to exist.
func (n *neighbours) pod(name string, owner *metav1.OwnerReference) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: maps.Clone(n.tag), Annotations: map[string]string{}},
		Spec: corev1.PodSpec{SchedulerName: "nobody", Containers: []corev1.Container{{
			Name: "web", Image: "nginx:1.27", Env: []corev1.EnvVar{{Name: "DB_PASSWORD", Value: "x"}, {Name: "FROM_TENANT", Value: "yes"}},
		}}},
	}
	if owner != nil {
		owner.Controller = new(true)
		pod.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	return pod
}

// create creates the Pods as the tenant, and numbers those that the API server
// takes.
func (n *neighbours) create(t *testing.T, pods ...*corev1.Pod) int {
	t.Helper()
	created := 0
	for _, pod := range pods {
		_, err := n.client.CoreV1().Pods(n.tenant).Create(t.Context(), pod, metav1.CreateOptions{})
		switch {
		case err == nil:
			created++
		case !apierrors.IsInvalid(err):
			t.Fatalf("%s: %.500v", pod.Name, err)
		}
	}
	if created < len(pods)/2 {
		t.Fatalf("only %d of %d Pods could be created", created, len(pods))
	}
	return created
}

// intruders are Pods with every owner of the other namespace, as it is and in
// disguise, and with owners that nobody has.
func (n *neighbours) intruders() []*corev1.Pod {
	var pods []*corev1.Pod
	add := func(apiVersion, kind, name string, uid types.UID) {
		pods = append(pods, n.pod(fmt.Sprintf("intruder-%02d", len(pods)), &metav1.OwnerReference{APIVersion: apiVersion, Kind: kind, Name: name, UID: uid}))
	}
	for _, o := range n.owners {
		plural := strings.ToLower(o.Kind) + "s"
		add("apps/v9", o.Kind, o.Name, o.UID)
		add("apps/v9", o.Kind, "whatever", o.UID)
		add("apps/v9", o.Kind, "../../"+n.shop+"/"+plural+"/"+o.Name, o.UID)
		add("evil.io/v1", o.Kind, o.Name, o.UID)
		add("evil.io/v1", "Foo "+n.shop+"/"+o.Name, o.Name, o.UID)
	}
	for _, name := range []string{"a/b", "..", ".", "%2e%2e", "a?b=c", "a#b", "n\x1b[2J\u202e", strings.Repeat("x", 254), strings.Repeat("y", 690_000)} {
		add("apps/v9", "ReplicaSet", name, "11111111-1111-1111-1111-111111111111")
		add("evil.io/v1", "Deployment", name, "22222222-2222-2222-2222-222222222222")
	}
	for _, kind := range []string{"K\x1b]0;pwned\a\x1b[31m", "Foo payments/x", strings.Repeat("K", 300_000), "Deployment", "Pod", "Node", "CronJob"} {
		add("evil.io/v1", kind, "web", "33333333-3333-3333-3333-333333333333")
	}
	for _, version := range []string{"a/b/c", "/v1", "apps/", "../../v1", "batch/v9"} {
		add(version, "Job", "web", "44444444-4444-4444-4444-444444444444")
	}
	return pods
}

// createDeep creates a Pod, and owners of Pods, with managedFields that are nested as
// deeply as can be stored: what holds them, a list or an event, is nested more deeply
// than encoding/json goes. It returns the number of Pods.
func (n *neighbours) createDeep(t *testing.T) int {
	t.Helper()
	const levels = 9_994 // 10,000 less those around them
	fields := strings.Repeat(`{"f:a":`, levels) + "{}" + strings.Repeat("}", levels)
	const pod = `{"schedulerName":"nobody","restartPolicy":"Never","containers":[{"name":"app","image":"app:1"}]}`
	workload := `{"replicas":0,"selector":{"matchLabels":{"app":"deep"}},"template":{"metadata":{"labels":{"app":"deep"}},"spec":` +
		strings.Replace(pod, "Never", "Always", 1) + `}}`
	for _, object := range []struct{ api, plural, kind, spec string }{
		{"/api/v1", "pods", "Pod", pod},
		{"/apis/apps/v1", "deployments", "Deployment", workload},
		{"/apis/apps/v1", "replicasets", "ReplicaSet", workload},
		{"/apis/batch/v1", "cronjobs", "CronJob", `{"schedule":"0 0 1 1 *","suspend":true,"jobTemplate":{"spec":{"template":{"spec":` + pod + `}}}}`},
	} {
		version := strings.TrimPrefix(strings.TrimPrefix(object.api, "/apis/"), "/api/")
		body := fmt.Sprintf(`{"apiVersion":%[1]q,"kind":%[2]q,"metadata":{"name":"deep","labels":{"tenancy":%[3]q},"managedFields":[
			{"manager":"x","operation":"Update","apiVersion":%[1]q,"time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":%[4]s}]},"spec":%[5]s}`,
			version, object.kind, n.shop, fields, object.spec)
		// Neither kubectl nor a typed client would read the answer.
		err := n.client.CoreV1().RESTClient().Post().AbsPath(object.api).Namespace(n.tenant).Resource(object.plural).
			SetHeader("Content-Type", "application/json").Body([]byte(body)).Do(t.Context()).Error()
		if err != nil {
			t.Fatalf("%s: %.500v", object.kind, err)
		}
		t.Cleanup(func() { // others' lists of these are not to fail for long
			err := n.cluster.Client().CoreV1().RESTClient().Delete().AbsPath(object.api).Namespace(n.tenant).Resource(object.plural).Name("deep").
				Body([]byte(`{"gracePeriodSeconds":0}`)).SetHeader("Content-Type", "application/json").Do(context.Background()).Error()
			if err != nil {
				t.Errorf("%s: %v", object.kind, err)
			}
		})
	}
	return 1
}

// random are Pods with owner references, labels, annotations and sizes that are
// drawn from what is there, what is not, and what cannot be.
func (n *neighbours) random(chance *rand.Rand, count int) []*corev1.Pod {
	pick := func(of ...string) string { return of[chance.IntN(len(of))] }
	var pods []*corev1.Pod
	for i := range count {
		var owner *metav1.OwnerReference
		if chance.IntN(5) > 0 {
			there := n.owners[chance.IntN(len(n.owners))]
			owner = &metav1.OwnerReference{
				APIVersion: pick("apps/v9", "evil.io/v1", "batch/v9", "argoproj.io/v9", "x/y/z"),
				Kind:       pick(there.Kind, "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "Deployment", "Rollout", "Foo "+n.shop+"/x"),
				Name:       pick(there.Name, "web", "../"+there.Name, "a/b", strings.Repeat("n", chance.IntN(300)+1)),
				UID:        types.UID(pick(string(there.UID), "q", strings.Repeat("u", chance.IntN(100)+1))),
			}
		}
		pod := n.pod(fmt.Sprintf("random-%02d", i), owner)
		if chance.IntN(2) == 0 {
			pod.Labels["controller-revision-hash"] = pick("db-1", "x", "")
			pod.Labels["app"] = pick("web", "db")
		}
		for range chance.IntN(4) {
			pod.Annotations[pick("kubernetes.io/config.mirror", "sidecar-drift.io/stamp", "sidecar-drift.io/parts", "vpaUpdates",
				"sidecar-drift.io/last-rollout", "sidecar-drift.io/rollout", "sidecar.istio.io/status")] =
				pick("x", "disabled", "{}", "v1:none", strings.Repeat("z", chance.IntN(60_000)))
		}
		if chance.IntN(4) == 0 {
			pod.Spec.Containers[0].Env[0].Value = strings.Repeat("v", chance.IntN(200_000))
		}
		pods = append(pods, pod)
	}
	return pods
}
