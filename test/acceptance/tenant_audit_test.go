package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

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
	daemon, err := watch.New(config, audit.Options{
		Selection: n.selection(), Concurrency: 4, Log: logr.Discard(),
	}, watch.Sweep{Interval: time.Minute, Full: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { daemon.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	round := func(scope watch.Scope) *report.Report {
		t.Helper()
		r, err := daemon.Round(t.Context(), scope)
		if err != nil {
			t.Fatal(err)
		}
		return advise(t, config, r.Report)
	}

	n.injector.Inject(addsProxy("proxy:2"))
	before := of(t, n.shop, auditOf(t, n.cluster, n.selection()))
	if !strings.Contains(before, `"proxy:2"`) || !strings.Contains(before, `"StatefulSet"`) {
		t.Fatalf("nothing drifted:\n%s", before)
	}
	if diff := cmp.Diff(before, of(t, n.shop, round(watch.Everything))); diff != "" {
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
	theirs := n.create(t, n.intruders()...) + n.createDeep(t)
	check("an audit", auditOf(t, n.cluster, n.selection()), theirs)
	err = cluster.Poll(t.Context(), "the daemon to see all Pods", func(context.Context) error {
		r := round(watch.Changes)
		all := 0
		for _, here := range r.Summary.Pods {
			all += here
		}
		if all < theirs+3 {
			return fmt.Errorf("%d Pods: %v, %d not judged, notes %q", all, r.Summary.Pods, r.Summary.NotJudged, r.Notes)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	check("the daemon", round(watch.Everything), theirs)

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	theirs += n.create(t, n.random(rand.New(rand.NewPCG(seed, 13)), 40)...)
	check("an audit of random Pods", auditOf(t, n.cluster, n.selection()), theirs)
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
	applied := ""
	hiding := map[string]string{
		"plain": "", "mirror": "kubernetes.io/config.mirror: x", "vpa": "vpaUpdates: x", "observed": "vpaObservedContainers: app",
		"source": "kubernetes.io/config.source: file", "stamp": "sidecar-drift.io/stamp: v1:none", "parts": "sidecar-drift.io/parts: '{}'",
		"rollout": "sidecar-drift.io/rollout: disabled", "seen": "kubernetes.io/config.seen: x", "hash": "kubernetes.io/config.hash: x",
		"status": `sidecar.istio.io/status: '{"containers":["app"]}'`, "limits": "kubernetes.io/limit-ranger: 'LimitRanger plugin set: cpu request for container proxy'",
		"both": "vpaUpdates: 'Pod resources updated by x: container 1: cpu request', vpaObservedContainers: 'app, proxy'",
	}
	for name, annotation := range hiding {
		on := ""
		if name == "mirror" { // or the API server refuses the annotation
			on = "nodeName: node-0, "
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
	for name := range hiding {
		rolledOut(t, n.cluster, n.tenant, "deployment/"+name)
	}
	n.injector.Inject(func(injector.Request) []injector.Operation {
		return []injector.Operation{injector.AddContainer(corev1.Container{Name: "proxy", Image: "proxy:1", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("150m")},
		}})}
	})
	var want []string
	for name := range hiding {
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
	broken := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: revision.Name, Labels: revision.Labels, OwnerReferences: revision.OwnerReferences}, Revision: revision.Revision}
	broken.Data.Raw = []byte(data)
	// The controller may write it anew in between.
	err = cluster.Poll(t.Context(), "the broken revision of "+name, func(ctx context.Context) error {
		if err := revisions.Delete(ctx, revision.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		_, err := revisions.Create(ctx, broken, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		t.Fatalf("%.300v", err)
	}
}
