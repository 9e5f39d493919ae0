package rollout

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Auto restarts, and evicts where a restart does not work, or would do more than is needed.
func TestAuto(t *testing.T) {
	all := withPods(audited("", verdict.Drifted, imageChange), "web-1", "web-2")
	all.Pods = map[verdict.State]int{verdict.Drifted: 2}
	some := all
	some.Pods = map[verdict.State]int{verdict.Drifted: 2, verdict.InSync: 3}
	digest, err := digestOf(all)
	if err != nil {
		t.Fatal(err)
	}
	lastTime := func(digest string) func(*appsv1.Deployment) {
		return annotate(LastRolloutAnnotation, fmt.Sprintf(`{"digest":%q,"time":"2026-01-02T15:04:05Z","result":"Reverted"}`, digest))
	}
	budgets := func(n int) namespace {
		shop := namespace{name: "shop"}
		for range n {
			shop.budgets = append(shop.budgets, budget{name: "web", selector: labels.Everything(), allows: 2})
		}
		return shop
	}
	fewer := budgets(1)
	fewer.budgets[0].allows = 1
	onDelete := func(s *appsv1.StatefulSet) { s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType }
	for name, test := range map[string]struct {
		object    runtime.Object
		item      report.Item
		namespace namespace
		want      Strategy
		why       string
	}{
		"all of a Deployment's Pods":           {deployment(2), all, budgets(1), Restart, ""},
		"some of a Deployment's Pods":          {deployment(5), some, budgets(1), Evict, "only 2 of its 5 Pods drifted"},
		"some, behind two budgets":             {deployment(5), some, budgets(2), Restart, ""},
		"some of a Deployment that is rolling": {deployment(5, func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 }), some, budgets(0), Restart, ""},
		"more than a budget allows":            {deployment(8), all, fewer, Evict, "than its PodDisruptionBudget allows"},
		"OnDelete":                             {statefulSet(2, onDelete), all, budgets(0), Evict, "OnDelete"},
		"a ReplicaSet of its own":              {replicaSet(2), all, budgets(0), Evict, "a ReplicaSet does not replace its Pods"},
		"taken back":                           {deployment(2, lastTime(digest)), all, budgets(0), Evict, "its restart at 2026-01-02T15:04:05Z was taken back"},
		"taken back, of another injection":     {deployment(2, lastTime("older")), all, budgets(0), Restart, ""},
		"an operator's": {deployment(2, func(d *appsv1.Deployment) {
			d.OwnerReferences = []metav1.OwnerReference{{Kind: "App", Name: "other"}, {Kind: "Prometheus", Name: "main", Controller: new(true)}}
		}), all, budgets(2), Evict, "Prometheus main controls it"},
	} {
		f, err := factsOf(object(t, test.object), test.namespace, test.item, Options{}.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		opts, why := Options{Strategy: Auto}.withDefaults().resolved(f)
		if opts.Strategy != test.want || (why == "") != (test.why == "") || !strings.Contains(why, test.why) {
			t.Errorf("%s: %s (%s), want %s (%s)", name, opts.Strategy, why, test.want, test.why)
		}
		if opts, why := (Options{Strategy: Restart}).resolved(f); opts.Strategy != Restart || why != "" {
			t.Errorf("%s: what was asked for is %s (%s) now", name, opts.Strategy, why)
		}
	}
}

// A template is put back when none of the restart's annotations is left, and who may have
// done that is named.
func TestTakenBack(t *testing.T) {
	const key, value = "sidecarRollout.rollout.timestamp", "2026-01-02T15:04:05Z"
	entry := func(manager, time, fields string) metav1.ManagedFieldsEntry {
		e := metav1.ManagedFieldsEntry{Manager: manager, FieldsV1: metav1.NewFieldsV1(fields)}
		e.Time = new(metav1.Time)
		if err := e.Time.UnmarshalQueryParameter(time); err != nil {
			t.Fatal(err)
		}
		return e
	}
	const template, status = `{"f:spec":{"f:template":{}}}`, `{"f:status":{}}`
	ofStatus := entry("kube-controller-manager", "2026-01-02T15:04:09Z", template)
	ofStatus.Subresource = "status"
	managers := []metav1.ManagedFieldsEntry{
		entry("kubectl", "2026-01-01T00:00:00Z", template), entry("my-operator", "2026-01-02T15:04:06Z", template), ofStatus,
		entry("scaler", "2026-01-02T15:04:07Z", `{"f:spec":{"f:replicas":{}}}`), entry(DefaultFieldManager, "2026-01-02T15:04:05Z", template),
	}
	for name, test := range map[string]struct {
		annotations map[string]string
		managers    []metav1.ManagedFieldsEntry
		owned, gone bool
		by          string
	}{
		"as it was":                    {map[string]string{key: value, restartedAt: value}, managers, false, false, ""},
		"kubectl's is left":            {map[string]string{restartedAt: value}, managers, false, false, ""},
		"ours is left":                 {map[string]string{key: value, restartedAt: "later"}, managers, false, false, ""},
		"none is left":                 {map[string]string{"note": "mine"}, managers, false, true, "the field manager my-operator"},
		"an older one is back":         {map[string]string{restartedAt: "2025-12-31T00:00:00Z"}, managers, false, true, "the field manager my-operator"},
		"none, and an owner":           {nil, managers, true, true, "its owner Prometheus main"},
		"none, and nobody left a name": {nil, managers[2:], false, true, ""},
		"none, by who has no time":     {nil, []metav1.ManagedFieldsEntry{{Manager: "argocd-controller", FieldsV1: managers[0].FieldsV1}}, false, true, "the field manager argocd-controller"},
	} {
		seen := &unstructured.Unstructured{Object: map[string]any{}}
		if err := unstructured.SetNestedStringMap(seen.Object, test.annotations, "spec", "template", "metadata", "annotations"); err != nil {
			t.Fatal(err)
		}
		seen.SetManagedFields(test.managers)
		if test.owned {
			seen.SetOwnerReferences([]metav1.OwnerReference{{Kind: "Prometheus", Name: "main", Controller: new(true)}})
		}
		r := &restart{opts: Options{}.withDefaults(), key: key, value: value}
		r.taken.look(r, seen)
		if gone := !r.taken.at.IsZero(); gone != test.gone || r.taken.by != test.by {
			t.Errorf("%s: gone %t, by %q; want %t, by %q", name, gone, r.taken.by, test.gone, test.by)
		}
	}
}
