package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/injector"
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

// of are the lines of a report on one namespace, as JSON.
func of(t *testing.T, namespace string, r *report.Report) string {
	t.Helper()
	items := []report.Item{}
	for _, item := range r.Items {
		if item.Namespace == namespace {
			items = append(items, item)
		}
	}
	text, err := json.MarshalIndent(items, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Whatever somebody writes into the Pods of one namespace, the report on another is
// byte for byte the one without them, and theirs says nothing of the other.
func TestTenantsDoNotTouchOthers(t *testing.T) {
	t.Parallel()
	n := startNeighbours(t)
	config := auditorConfig(t, n.cluster)
	daemon, err := auditor.NewAuditor(config, auditor.Options{
		Selection: n.selection(), Concurrency: 4, Log: logr.Discard(),
	}, auditor.Sweep{Interval: time.Minute, Full: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { daemon.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	round := func(scope auditor.Scope) *report.Report {
		t.Helper()
		r, err := daemon.Round(t.Context(), scope)
		if err != nil {
			t.Fatal(err)
		}
		return r.Report
	}

	n.injector.Inject(addsProxy("proxy:2"))
	before := of(t, n.shop, auditOf(t, n.cluster, n.selection()))
	if !strings.Contains(before, `"proxy:2"`) || !strings.Contains(before, `"StatefulSet"`) {
		t.Fatalf("nothing drifted:\n%s", before)
	}
	if diff := cmp.Diff(before, of(t, n.shop, round(auditor.Everything))); diff != "" {
		t.Fatalf("the daemon says otherwise (-audit +daemon):\n%s", diff)
	}
	check := func(when string, r *report.Report, pods int) {
		t.Helper()
		if diff := cmp.Diff(before, of(t, n.shop, r)); diff != "" {
			t.Errorf("%s, of the other namespace (-before +now):\n%s", when, diff)
		}
		theirs := of(t, n.tenant, r)
		if strings.Contains(theirs, "of-the-shop") {
			t.Errorf("%s, the tenant reads what is not theirs:\n%s", when, theirs)
		}
		found := 0
		for _, item := range r.Items {
			if item.Namespace == n.tenant {
				for _, here := range item.Pods {
					found += here
				}
				if item.Rollout.Eligible {
					t.Errorf("%s, %s %s would be rolled out", when, item.Kind, item.Name)
				}
			}
		}
		if found != pods {
			t.Errorf("%s: %d of the tenant's %d Pods are in the report:\n%.3000s", when, found, pods, theirs)
		}
	}
	theirs := n.create(t, n.intruders()...)
	check("an audit", auditOf(t, n.cluster, n.selection()), theirs)
	err = cluster.Poll(t.Context(), "the daemon to see all Pods", func(context.Context) error {
		r := round(auditor.Changes)
		if all := r.Summary.Pods[verdict.Unknown] + r.Summary.Pods[verdict.Drifted] + r.Summary.Pods[verdict.NotInjected] +
			r.Summary.Pods[verdict.Mutated] + r.Summary.Pods[verdict.InSync] + r.Summary.Pods[verdict.Blocked]; all < theirs+3 {
			return fmt.Errorf("%d Pods", all)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	check("the daemon", round(auditor.Everything), theirs)

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	theirs += n.create(t, n.random(rand.New(rand.NewPCG(seed, 13)), 40)...)
	check("an audit of random Pods", auditOf(t, n.cluster, n.selection()), theirs)
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

// What a tenant writes excuses none of the tenant's own drift, and ends nothing.
func TestTenantsHideNothing(t *testing.T) {
	t.Parallel()
	n := startNeighbours(t)
	const deployment = `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s, tenancy: %[2]s}, annotations: {%[3]s}}
    spec: {%[4]scontainers: [{name: app, image: "app:1"}]}
`
	nodes, err := n.cluster.Client().CoreV1().Nodes().List(t.Context(), metav1.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	applied := ""
	for name, annotation := range map[string]string{
		"plain": "", "mirror": "kubernetes.io/config.mirror: x", "vpa": "vpaUpdates: x", "observed": "vpaObservedContainers: app",
		"source": "kubernetes.io/config.source: file", "stamp": "sidecar-drift.io/stamp: v1:none",
	} {
		on := ""
		if name == "mirror" { // or the API server refuses the annotation
			on = "nodeName: " + nodes.Items[0].Name + ", "
		}
		applied += fmt.Sprintf(deployment, name, n.shop, annotation, on)
	}
	apply(t, n.cluster, n.tenant, applied)
	// A ReplicaSet says that somebody else's Deployment is its own.
	apply(t, n.cluster, n.tenant, fmt.Sprintf(`
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: evilrs
  ownerReferences: [{apiVersion: apps/v9, kind: Deployment, name: "a/b", uid: "33333333-3333-3333-3333-333333333333", controller: true}]
spec:
  replicas: 1
  selector: {matchLabels: {app: evilrs}}
  template:
    metadata: {labels: {app: evilrs, tenancy: %s}}
    spec: {containers: [{name: app, image: "app:1"}]}
`, n.shop))
	rolledOut(t, n.cluster, n.tenant, "deployment/plain", "deployment/mirror", "deployment/vpa", "deployment/observed", "deployment/source", "deployment/stamp")
	n.injector.Inject(func(injector.Request) []injector.Operation {
		return []injector.Operation{injector.AddContainer(corev1.Container{Name: "proxy", Image: "proxy:1", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("150m")},
		}})}
	})
	var want []string
	for _, name := range []string{"plain", "mirror", "vpa", "observed", "source", "stamp"} {
		want = append(want, "Deployment/"+name+" Drifted 1")
	}
	r := auditNamespace(t, n.cluster, n.tenant, append(want, "ReplicaSet/evilrs Drifted 1")...)
	if evil := itemOf(t, r, "ReplicaSet", "evilrs"); !evil.Revisions[0].Approximate || evil.Rollout.Eligible ||
		!strings.Contains(evil.Revisions[0].Reason, "does not hold") {
		t.Errorf("the ReplicaSet is %+v", evil)
	}
}

// A ControllerRevision holds anything. One that holds no template makes its own
// revision Unknown, and one that no list can be read with ends no audit.
func TestBrokenControllerRevisions(t *testing.T) {
	t.Parallel()
	n := startNeighbours(t)
	before := of(t, n.shop, auditOf(t, n.cluster, n.selection()))
	for _, name := range []string{"nested", "twice", "empty", "text"} {
		apply(t, n.cluster, n.tenant, fmt.Sprintf(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  serviceName: %[1]s
  updateStrategy: {type: OnDelete}
  template:
    metadata: {labels: {app: %[1]s, tenancy: %[2]s}}
    spec: {containers: [{name: app, image: "app:1"}]}
`, name, n.shop))
	}
	for name, data := range map[string]string{
		"nested": strings.Repeat(`{"a":`, 9_990) + "1" + strings.Repeat("}", 9_990),
		"twice":  `{"a":1,"a":2}`,
		"empty":  `{}`,
		"text":   `{"spec":{"template":"x"}}`,
	} {
		n.breakRevision(t, name, data)
	}
	r := auditOf(t, n.cluster, n.selection())
	if diff := cmp.Diff(before, of(t, n.shop, r)); diff != "" {
		t.Errorf("of the other namespace (-before +now):\n%s", diff)
	}
	for _, name := range []string{"nested", "twice", "empty", "text"} {
		item := itemOf(t, r, "StatefulSet", name)
		if revision := item.Revisions[0]; revision.State != verdict.Unknown && !revision.Approximate || item.Rollout.Eligible {
			t.Errorf("%s: %s", name, details(r))
		}
	}
}

// breakRevision replaces the ControllerRevision of a StatefulSet's Pod, as its data
// cannot be changed, by one of the same name and owner.
func (n *neighbours) breakRevision(t *testing.T, name, data string) {
	t.Helper()
	var pods []corev1.Pod
	err := cluster.Poll(t.Context(), "the Pod of "+name, func(context.Context) error {
		if pods = podsOf(t, n.cluster, n.tenant, "app="+name); len(pods) == 0 {
			return fmt.Errorf("none")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	revisions := n.cluster.Client().AppsV1().ControllerRevisions(n.tenant)
	revision, err := revisions.Get(t.Context(), pods[0].Labels["controller-revision-hash"], metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := revisions.Delete(t.Context(), revision.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	revision.ObjectMeta = metav1.ObjectMeta{Name: revision.Name, Labels: revision.Labels, OwnerReferences: revision.OwnerReferences}
	revision.Data.Raw = []byte(data)
	if _, err := revisions.Create(t.Context(), revision, metav1.CreateOptions{}); err != nil {
		t.Fatalf("%s: %.300v", name, err)
	}
}
