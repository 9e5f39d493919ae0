package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"

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
		return annotate(LastRolloutAnnotation, fmt.Sprintf(`{"digest":%q,"time":"2026-01-02T15:05:00Z","result":"RolledOut","takenBack":"2026-01-02T15:04:05Z"}`, digest))
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
	soon := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
	onDelete := func(s *appsv1.StatefulSet) { s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType }
	for name, test := range map[string]struct {
		object    runtime.Object
		item      report.Item
		namespace namespace
		want      Strategy
		why       string
		now       time.Time
	}{
		"all of a Deployment's Pods":           {deployment(2), all, budgets(1), Restart, "", soon},
		"some of a Deployment's Pods":          {deployment(5), some, budgets(1), Evict, "only 2 of its 5 Pods drifted", soon},
		"some, behind two budgets":             {deployment(5), some, budgets(2), Restart, "", soon},
		"some of a Deployment that is rolling": {deployment(5, func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 }), some, budgets(0), Restart, "", soon},
		"more than a budget allows":            {deployment(8), all, fewer, Evict, "than its PodDisruptionBudget allows", soon},
		"OnDelete":                             {statefulSet(2, onDelete), all, budgets(0), Evict, "OnDelete", soon},
		"a ReplicaSet of its own":              {replicaSet(2), all, budgets(0), Evict, "a ReplicaSet does not replace its Pods", soon},
		"taken back":                           {deployment(2, lastTime(digest)), all, budgets(0), Evict, "its restart at 2026-01-02T15:04:05Z was taken back", soon},
		"taken back, long ago":                 {deployment(2, lastTime(digest)), all, budgets(0), Restart, "", soon.AddDate(0, 4, 0)},
		"taken back, of another injection":     {deployment(2, lastTime("older")), all, budgets(0), Evict, "was taken back", soon},
		"an operator's": {deployment(2, func(d *appsv1.Deployment) {
			d.OwnerReferences = []metav1.OwnerReference{{Kind: "App", Name: "other"}, {Kind: "Prometheus", Name: "main", Controller: new(true)}}
		}), all, budgets(2), Evict, "Prometheus main controls it", soon},
	} {
		f, err := factsOf(object(t, test.object), test.namespace, test.item, Options{}.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		opts, why := Options{Strategy: Auto, Now: func() time.Time { return test.now }}.withDefaults().resolved(f)
		if opts.Strategy != test.want || (why == "") != (test.why == "") || !strings.Contains(why, test.why) {
			t.Errorf("%s: %s (%s), want %s (%s)", name, opts.Strategy, why, test.want, test.why)
		}
		if opts, why := (Options{Strategy: Restart}).resolved(f); opts.Strategy != Restart || why != "" {
			t.Errorf("%s: what was asked for is %s (%s) now", name, opts.Strategy, why)
		}
	}
}

// A restart is taken back when none of its annotations is left, or Argo's time; and who may
// have done that is named.
func TestTakenBack(t *testing.T) {
	const key, value = "sidecarRollout.rollout.timestamp", "2026-01-02T15:04:05Z"
	r := &restart{key: key, value: value}
	argo := &argoRestart{at: value}
	for name, test := range map[string]struct {
		annotations map[string]string
		restartAt   string
		want, argo  bool
	}{
		"as it was":            {map[string]string{key: value, restartedAt: value}, value, true, true},
		"kubectl's is left":    {map[string]string{restartedAt: value}, "", true, false},
		"ours is left":         {map[string]string{key: value, restartedAt: "later"}, "later", true, false},
		"none is left":         {map[string]string{"note": "mine"}, "", false, false},
		"an older one is back": {map[string]string{restartedAt: "2025-12-31T00:00:00Z"}, "2025-12-31T00:00:00Z", false, false},
	} {
		seen := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"restartAt": test.restartAt}}}
		if err := unstructured.SetNestedStringMap(seen.Object, test.annotations, "spec", "template", "metadata", "annotations"); err != nil {
			t.Fatal(err)
		}
		if got := r.stands(seen); got != test.want {
			t.Errorf("%s: the restart stands: %t", name, got)
		}
		if got := argo.stands(seen); got != test.argo {
			t.Errorf("%s: Argo's restart stands: %t", name, got)
		}
	}
}

// What auto may go on by counts from the start, as others may be under way by then.
func TestMayDisrupt(t *testing.T) {
	settled := facts{workload: workload{replicas: 10, available: 4}, kind: "Deployment"}
	for name, test := range map[string]struct {
		asked, chosen Strategy
		change        func(*facts)
		want          int
	}{
		"a restart":                         {Restart, Restart, nil, 6},
		"an eviction":                       {Evict, Evict, nil, 2},
		"a resize":                          {Resize, Resize, nil, 0},
		"a resize that may become another":  {Auto, Resize, nil, 6},
		"one that becomes an eviction":      {Auto, Resize, func(f *facts) { f.available = 10 }, 2},
		"one that cannot become a restart":  {Auto, Resize, func(f *facts) { f.onDelete = true }, 2},
		"nor of a kind without":             {Auto, Resize, func(f *facts) { f.kind = "ReplicaSet" }, 2},
		"a restart that becomes another":    {Auto, Restart, func(f *facts) { f.available = 10 }, 2},
		"an eviction that becomes no other": {Auto, Evict, nil, 2},
	} {
		f := settled
		if test.change != nil {
			test.change(&f)
		}
		asked, chosen := Options{Strategy: test.asked}.withDefaults(), Options{Strategy: test.chosen}.withDefaults()
		asked.Pace.MaxUnavailable, chosen.Pace.MaxUnavailable = 2, 2
		if got := f.mayDisrupt(asked, chosen); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestLastManager(t *testing.T) {
	begun := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	entry := func(manager string, seconds int, fields string) metav1.ManagedFieldsEntry {
		at := metav1.NewTime(begun.Add(time.Duration(seconds) * time.Second))
		return metav1.ManagedFieldsEntry{Manager: manager, FieldsV1: metav1.NewFieldsV1(fields), Time: &at}
	}
	const template = `{"f:spec":{"f:template":{}}}`
	ofStatus := entry("kube-controller-manager", 4, template)
	ofStatus.Subresource = "status"
	managers := []metav1.ManagedFieldsEntry{
		entry("kubectl-client-side-apply", -3600, template), entry("my-operator", 1, template), ofStatus,
		entry("scaler", 2, `{"f:spec":{"f:replicas":{}}}`), entry(DefaultFieldManager, 3, template),
	}
	for name, test := range map[string]struct {
		managers []metav1.ManagedFieldsEntry
		owned    bool
		want     string
		person   bool
	}{
		"a manager":              {managers, false, "the field manager my-operator", false},
		"an owner":               {managers, true, "its owner Prometheus main", false},
		"nobody left a name":     {managers[2:], false, "", false},
		"who has no time":        {[]metav1.ManagedFieldsEntry{{Manager: "argocd-controller", FieldsV1: managers[0].FieldsV1}}, false, "the field manager argocd-controller", false},
		"kubectl, before":        {managers[:1], false, "the field manager kubectl-client-side-apply", false},
		"kubectl rollout undo":   {append(managers[:2:2], entry("kubectl-rollout", 1, template)), false, "the field manager kubectl-rollout", true},
		"kubectl edit, an owner": {append(managers[:2:2], entry("kubectl-edit", 2, template)), true, "the field manager kubectl-edit", true},
	} {
		seen := &unstructured.Unstructured{Object: map[string]any{}}
		seen.SetManagedFields(test.managers)
		if test.owned {
			seen.SetOwnerReferences([]metav1.OwnerReference{{Kind: "Prometheus", Name: "main", Controller: new(true)}})
		}
		if got, person := lastManager(seen, DefaultFieldManager, begun); got != test.want || person != test.person {
			t.Errorf("%s: %q, a person %t; want %q, %t", name, got, person, test.want, test.person)
		}
	}
}

// When a workload's turn comes, the strategy of the plan holds while it works, though auto would
// choose another one by now; what it has to change to must not make more unavailable than may be.
func TestThePlansStrategyHolds(t *testing.T) {
	owned := func(d *appsv1.Deployment) {
		d.OwnerReferences = []metav1.OwnerReference{{Kind: "Main", Name: "main", Controller: new(true)}}
	}
	all := withPods(audited("Deployment", verdict.Drifted, imageChange), "a", "b", "c")
	for name, test := range map[string]struct {
		planned Strategy
		object  runtime.Object
		full    string
		want    Strategy
		reason  string
	}{
		"evict, and a restart would do": {Evict, deployment(3), "full", Evict, ""},
		"restart, and it still does":    {Restart, deployment(3), "full", Restart, ""},
		"restart, and it is owned now":  {Restart, deployment(3, owned), "full", Evict, "was planned by restart, and takes evict by now: full"},
		"whatever works":                {"", deployment(3), "full", Restart, ""},
	} {
		asked := Options{Strategy: Auto}.withDefaults()
		f, err := factsOf(object(t, test.object), namespace{name: "shop"}, all, asked)
		if err != nil {
			t.Fatal(err)
		}
		task := task{asked: asked, item: all, room: func(int) string { return test.full }}
		task.item.Rollout.Strategy = string(test.planned)
		d, err := task.choose(t.Context(), f)
		if err != nil || task.opts.Strategy != test.want || (d == proceed) != (test.reason == "") || !strings.Contains(d.reason, test.reason) {
			t.Errorf("%s: %s by %s: %q, %v", name, d.result, task.opts.Strategy, d.reason, err)
		}
	}
}
