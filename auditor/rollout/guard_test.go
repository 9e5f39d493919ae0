package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

var podLabels = map[string]string{"app": "web"}

func template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: podLabels}}
}

// deployment is a settled one of the given size.
func deployment(replicas int32, change ...func(*appsv1.Deployment)) *appsv1.Deployment {
	d := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Generation: 3},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Template: template(), Strategy: appsv1.DeploymentStrategy{
			Type: appsv1.RollingUpdateDeploymentStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxSurge: new(intstr.FromString("25%")), MaxUnavailable: new(intstr.FromString("25%")),
			},
		}},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: replicas, UpdatedReplicas: replicas, AvailableReplicas: replicas},
	}
	for _, c := range change {
		c(d)
	}
	return d
}

func pace(surge, unavailable intstr.IntOrString) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) {
		d.Spec.Strategy.RollingUpdate.MaxSurge, d.Spec.Strategy.RollingUpdate.MaxUnavailable = &surge, &unavailable
	}
}

func statefulSet(replicas int32, change ...func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
	s := &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db", Generation: 1},
		Spec: appsv1.StatefulSetSpec{Replicas: &replicas, Template: template(), UpdateStrategy: appsv1.StatefulSetUpdateStrategy{
			Type:          appsv1.RollingUpdateStatefulSetStrategyType,
			RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32(0))},
		}},
		Status: appsv1.StatefulSetStatus{ObservedGeneration: 1, ReadyReplicas: replicas, UpdatedReplicas: replicas, AvailableReplicas: replicas},
	}
	for _, c := range change {
		c(s)
	}
	return s
}

func daemonSet(nodes int32, change ...func(*appsv1.DaemonSet)) *appsv1.DaemonSet {
	d := &appsv1.DaemonSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "agent", Generation: 1},
		Spec: appsv1.DaemonSetSpec{Template: template(), UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
			Type: appsv1.RollingUpdateDaemonSetStrategyType,
		}},
		Status: appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: nodes, UpdatedNumberScheduled: nodes, NumberAvailable: nodes},
	}
	for _, c := range change {
		c(d)
	}
	return d
}

func annotate(key, value string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { metav1.SetMetaDataAnnotation(&d.ObjectMeta, key, value) }
}

func TestGuards(t *testing.T) {
	now := metav1.Now()
	budgetOf := func(app string, allows int) namespace {
		return namespace{name: "shop", budgets: []budget{{name: "web-pdb", selector: labels.SelectorFromSet(labels.Set{"app": app}), allows: allows}}}
	}
	never := budgetOf("web", 0)
	never.budgets[0].never, never.budgets[0].wants = true, 2
	two := namespace{name: "shop", budgets: append(budgetOf("web", 1).budgets, budgetOf("web", 1).budgets...)}
	drifted := withPods(audited("", verdict.Drifted, imageChange), "db-1", "db-2")
	digest, err := digestOf(drifted)
	if err != nil {
		t.Fatal(err)
	}
	lastTime := func(digest string, result report.Result) func(*appsv1.Deployment) {
		return annotate(LastRolloutAnnotation, fmt.Sprintf(`{"digest":%q,"time":"2026-01-02T15:04:05Z","result":%q}`, digest, result))
	}
	controlled := func(d *appsv1.Deployment) {
		d.OwnerReferences = []metav1.OwnerReference{{APIVersion: "monitoring.coreos.com/v1", Kind: "Prometheus", Name: "main", Controller: new(true)}}
	}
	unhealthy := Options{Guards: Guards{AllowUnhealthy: true}}
	down := func(n int32) func(*appsv1.Deployment) {
		return func(d *appsv1.Deployment) { d.Status.AvailableReplicas -= n }
	}
	notConverging := lastTime(digest, report.NotConverging)
	restarted := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	shop := namespace{name: "shop"}
	evict := Options{Strategy: Evict}
	partition := func(p int32) func(*appsv1.StatefulSet) {
		return func(s *appsv1.StatefulSet) { s.Spec.UpdateStrategy.RollingUpdate.Partition = &p }
	}
	waitsForDeletion := func(s *appsv1.StatefulSet) {
		s.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
	}
	behind := func(s *appsv1.StatefulSet) {
		waitsForDeletion(s)
		s.Status.CurrentRevision, s.Status.UpdateRevision = "db-1", "db-2"
	}

	for name, test := range map[string]struct {
		object    runtime.Object
		namespace namespace
		opts      Options
		oldest    *time.Time
		want      report.Result // Planned if empty
		reason    string
	}{
		"a settled Deployment":  {object: deployment(1)},
		"a settled StatefulSet": {object: statefulSet(2)},
		"a settled DaemonSet":   {object: daemonSet(1)},
		"being deleted": {
			object: deployment(2, func(d *appsv1.Deployment) { d.DeletionTimestamp = &now }),
			want:   report.Skipped, reason: "being deleted"},
		"a terminating namespace": {
			object: deployment(2), namespace: namespace{name: "shop", terminating: true},
			want: report.Skipped, reason: "shop is terminating"},
		"opted out": {
			object: deployment(2, annotate(OptOutAnnotation, "disabled")),
			want:   report.Skipped, reason: "opted out by its annotation"},
		"opted in": {object: deployment(2, annotate(OptOutAnnotation, "enabled"))},
		"namespace opted out": {
			object: deployment(2), namespace: namespace{name: "shop", annotations: map[string]string{OptOutAnnotation: "disabled"}},
			want: report.Skipped, reason: "of namespace shop"},
		"paused": {
			object: deployment(2, func(d *appsv1.Deployment) { d.Spec.Paused = true }),
			want:   report.Skipped, reason: "kubectl rollout resume deployment/web -n shop"},
		"StatefulSet OnDelete":          {object: statefulSet(2, waitsForDeletion), want: report.Skipped, reason: "--strategy evict"},
		"StatefulSet OnDelete, evicted": {object: statefulSet(2, waitsForDeletion), opts: evict},
		"StatefulSet OnDelete, evicted amid an update": {
			object: statefulSet(2, behind), opts: evict,
			want: report.Skipped, reason: "an update of the workload itself"},
		"StatefulSet OnDelete, unhealthy": {
			object: statefulSet(2, waitsForDeletion, func(s *appsv1.StatefulSet) { s.Status.AvailableReplicas = 1 }), opts: evict,
			want: report.Skipped, reason: "waiting for 1 Pods to be available"},
		"a ReplicaSet":          {object: replicaSet(2), want: report.Skipped, reason: "--strategy evict"},
		"a ReplicaSet, evicted": {object: replicaSet(2), opts: evict},
		"a ReplicaSet of one, evicted": {
			object: replicaSet(1), opts: evict, want: report.Skipped, reason: "--allow-downtime"},
		"DaemonSet OnDelete": {
			object: daemonSet(2, func(d *appsv1.DaemonSet) {
				d.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
			}),
			want: report.Skipped, reason: "OnDelete"},
		"DaemonSet OnDelete, evicted amid an update": {
			object: daemonSet(2, func(d *appsv1.DaemonSet) {
				d.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
				d.Status.UpdatedNumberScheduled = 1
			}), opts: evict,
			want: report.Skipped, reason: "an update of the workload itself"},
		"a partition that holds all that drift":  {object: statefulSet(4, partition(3)), want: report.Skipped, reason: "below ordinal 3"},
		"a partition that holds some that drift": {object: statefulSet(4, partition(2))},
		"a partition, evicted":                   {object: statefulSet(4, partition(3)), opts: evict},
		"a partition counts from the first ordinal": {
			object: statefulSet(4, partition(1), func(s *appsv1.StatefulSet) {
				s.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 2}
			}),
			want: report.Skipped, reason: "below ordinal 3"},
		"scaled to zero":      {object: deployment(0), want: report.Skipped, reason: "scaled to zero"},
		"a DaemonSet nowhere": {object: daemonSet(0), want: report.Skipped, reason: "no node"},
		"rolling out": {
			object: deployment(3, func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 }),
			want:   report.Skipped, reason: "1 out of 3 new replicas have been updated"},
		"not yet looked at by its controller": {
			object: deployment(3, func(d *appsv1.Deployment) { d.Generation = 4 }),
			want:   report.Skipped, reason: "waiting for deployment spec update"},
		"unhealthy": {
			object: deployment(3, func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 2 }),
			want:   report.Skipped, reason: "2 of 3 updated replicas are available"},
		"past its progress deadline": {
			object: deployment(3, func(d *appsv1.Deployment) {
				d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Reason: "ProgressDeadlineExceeded"}}
			}),
			want: report.Skipped, reason: "progress deadline"},
		"StatefulSet unhealthy": {
			object: statefulSet(3, func(s *appsv1.StatefulSet) { s.Status.ReadyReplicas = 2 }),
			want:   report.Skipped, reason: "waiting for 1 pods to be ready"},
		"StatefulSet not available for long enough": {
			object: statefulSet(3, func(s *appsv1.StatefulSet) { s.Status.AvailableReplicas = 2 }),
			want:   report.Skipped, reason: "minReadySeconds"},
		"DaemonSet unhealthy": {
			object: daemonSet(3, func(d *appsv1.DaemonSet) { d.Status.NumberAvailable = 2 }),
			want:   report.Skipped, reason: "2 of 3 updated pods are available"},
		"unhealthy, and that is known": {
			object: deployment(3, down(2)), want: report.Skipped, reason: "--allow-unhealthy"},
		"unhealthy, allowed":                   {object: deployment(3, down(2)), opts: unhealthy},
		"unhealthy, allowed, behind a budget":  {object: deployment(4, down(1)), namespace: budgetOf("web", 0), opts: unhealthy},
		"unhealthy, allowed, one that is down": {object: statefulSet(1, func(s *appsv1.StatefulSet) { s.Status.ReadyReplicas, s.Status.AvailableReplicas = 0, 0 }), opts: unhealthy},
		"unhealthy, allowed, more than are down": {
			object: deployment(8, down(1)), namespace: budgetOf("web", 0), opts: unhealthy,
			want: report.Skipped, reason: "may make 2 of its Pods unavailable at once"},
		"rolling out, and unhealthy ones allowed": {
			object: deployment(3, func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 }), opts: unhealthy,
			want: report.Skipped, reason: "is rolling out or unhealthy already"},
		"not looked at, and unhealthy ones allowed": {
			object: deployment(3, down(1), func(d *appsv1.Deployment) { d.Generation = 9 }), opts: unhealthy,
			want: report.Skipped, reason: "is rolling out or unhealthy already"},
		"an exhausted budget": {
			object: deployment(4), namespace: budgetOf("web", 0),
			want: report.Skipped, reason: "may make 1 of its Pods unavailable at once, and PodDisruptionBudget web-pdb allows 0 now"},
		"an exhausted budget, and surge alone":   {object: deployment(2), namespace: budgetOf("web", 0)},
		"an exhausted budget, one Pod and surge": {object: deployment(1), namespace: budgetOf("web", 0)},
		"a budget of fewer than go at once": {
			object: deployment(8), namespace: budgetOf("web", 1),
			want: report.Skipped, reason: "may make 2 of its Pods unavailable at once, and PodDisruptionBudget web-pdb allows 1 now"},
		"a budget of fewer than go at once, where downtime is allowed": {
			object: deployment(8), namespace: budgetOf("web", 1), opts: Options{Guards: Guards{AllowDowntime: true}}},
		"an exhausted budget of a StatefulSet": {
			object: statefulSet(3), namespace: budgetOf("web", 0),
			want: report.Skipped, reason: "may make 1 of its Pods unavailable"},
		"an exhausted budget, evicted": {object: deployment(2), namespace: budgetOf("web", 0), opts: evict},
		"a budget that never allows, evicted": {
			object: deployment(2), namespace: never, opts: evict,
			want: report.Skipped, reason: "web-pdb can never allow an eviction: it wants 2 Pods healthy"},
		"two budgets, evicted": {
			object: deployment(2), namespace: two, opts: evict,
			want: report.Skipped, reason: "more than one PodDisruptionBudget (web-pdb, web-pdb)"},
		"two budgets":                {object: deployment(2), namespace: two},
		"a budget with room":         {object: deployment(4), namespace: budgetOf("web", 1)},
		"another's exhausted budget": {object: deployment(4), namespace: budgetOf("other", 0)},
		"one replica with surge":     {object: deployment(1)},
		"one replica, evicted": {
			object: deployment(1), opts: evict,
			want: report.Skipped, reason: "its one replica goes before its replacement is there"},
		"all evicted at once": {
			object: deployment(2), opts: Options{Strategy: Evict, Pace: Pace{MaxUnavailable: 2}},
			want: report.Skipped, reason: "--max-unavailable 2 may take all its Pods away"},
		"an Argo Rollout": {object: argoRollout(2, "Healthy")},
		"an Argo Rollout of one": {
			object: argoRollout(1, "Healthy"), want: report.Skipped, reason: "--allow-downtime"},
		"an Argo Rollout under way": {
			object: argoRollout(2, "Progressing"), want: report.Skipped, reason: "rollout is Progressing more replicas"},
		"a degraded Argo Rollout": {
			object: argoRollout(2, "Degraded"), want: report.Skipped, reason: "degraded: more replicas"},
		"an Argo Rollout behind a budget that never allows": {
			object: argoRollout(2, "Healthy"), namespace: never, want: report.Skipped, reason: "can never allow an eviction"},
		"one replica without surge": {
			object: deployment(1, pace(intstr.FromInt32(0), intstr.FromInt32(1))),
			want:   report.Skipped, reason: "its one replica goes before its replacement is there: --allow-downtime"},
		"one replica without surge, allowed": {
			object: deployment(1, pace(intstr.FromInt32(0), intstr.FromInt32(1))), opts: Options{Guards: Guards{AllowDowntime: true}}},
		"one replica with surge that may go first": {
			object: deployment(1, pace(intstr.FromInt32(1), intstr.FromInt32(1))),
			want:   report.Skipped, reason: "--allow-downtime"},
		"percentages that both round to nothing": {
			object: deployment(1, pace(intstr.FromInt32(0), intstr.FromString("10%"))),
			want:   report.Skipped, reason: "--allow-downtime"},
		"all Pods at once": {
			object: deployment(4, pace(intstr.FromInt32(0), intstr.FromString("100%"))),
			want:   report.Skipped, reason: "all its Pods away at once"},
		"Recreate": {
			object: deployment(2, func(d *appsv1.Deployment) {
				d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
			}),
			want: report.Skipped, reason: "Recreate"},
		"a StatefulSet of one": {object: statefulSet(1), want: report.Skipped, reason: "--allow-downtime"},
		"a StatefulSet replaced two at a time": {
			object: statefulSet(2, func(s *appsv1.StatefulSet) {
				s.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = new(intstr.FromInt32(2))
			}),
			want: report.Skipped, reason: "all its Pods away at once"},
		"did not converge": {object: deployment(2, notConverging), want: report.NotConverging, reason: "2026-01-02T15:04:05Z"},
		"did not converge, tried again": {
			object: deployment(2, notConverging), opts: Options{Guards: Guards{Retry: true}}},
		"taken back": {
			object: deployment(2, lastTime(digest, report.Reverted)), want: report.Reverted, reason: "--strategy evict or auto"},
		"taken back, tried again": {
			object: deployment(2, lastTime(digest, report.Reverted)), opts: Options{Guards: Guards{Retry: true}}},
		"taken back, and evicted now":   {object: deployment(2, lastTime(digest, report.Reverted)), opts: evict},
		"something else was taken back": {object: deployment(2, lastTime("older", report.Reverted))},
		"an operator's": {
			object: deployment(2, controlled), want: report.Skipped, reason: "Prometheus main controls it"},
		"an operator's, by name":    {object: deployment(2, controlled), opts: Options{Guards: Guards{RestartOwned: true}}},
		"an operator's, evicted":    {object: deployment(2, controlled), opts: evict},
		"owned, and not controlled": {object: deployment(2, func(d *appsv1.Deployment) { d.OwnerReferences = []metav1.OwnerReference{{Kind: "App", Name: "shop"}} })},
		"did not converge on something else": {
			object: deployment(2, lastTime("older", report.NotConverging))},
		"failed last time": {
			object: deployment(2, lastTime(digest, report.Failed))},
		"restarted, and the run killed": {
			object: deployment(2, lastTime(digest, report.Interrupted)), oldest: new(restarted),
			want: report.NotConverging, reason: "2026-01-02T15:04:05Z"},
		"restarted, and the run killed, tried again": {
			object: deployment(2, lastTime(digest, report.Interrupted)), oldest: new(restarted), opts: Options{Guards: Guards{Retry: true}}},
		"restarted for something else, and the run killed": {
			object: deployment(2, lastTime("older", report.Interrupted)), oldest: new(restarted)},
		"restarted, and the run killed, but old Pods were audited": {
			object: deployment(2, lastTime(digest, report.Interrupted)), oldest: new(restarted.Add(-time.Second))},
		"restarted, and the run killed, but no Pod was started yet": {
			object: deployment(2, lastTime(digest, report.Interrupted))},
		"restarted, and the run killed, while it is rolling out": {
			object: deployment(2, lastTime(digest, report.Interrupted), func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 }), oldest: new(restarted),
			want: report.Skipped, reason: "is rolling out or unhealthy already"},
		"an annotation that is not ours": {object: deployment(2, annotate(LastRolloutAnnotation, "yesterday"))},
	} {
		t.Run(name, func(t *testing.T) {
			if test.namespace.name == "" {
				test.namespace = shop
			}
			opts := test.opts.withDefaults()
			item := drifted
			item.OldestPod = test.oldest
			f, err := factsOf(object(t, test.object), test.namespace, item, opts)
			if err != nil {
				t.Fatal(err)
			}
			got := check(f, opts)
			want := test.want
			if want == "" {
				want = report.Planned
			}
			if got.result != want {
				t.Errorf("result %q (%s), want %q", got.result, got.reason, want)
			}
			if (got.reason == "") != (test.reason == "") || !strings.Contains(strings.ToLower(got.reason), strings.ToLower(test.reason)) {
				t.Errorf("reason %q, want one that contains %q", got.reason, test.reason)
			}
		})
	}
}

func replicaSet(replicas int32) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSet"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "lone", Generation: 1},
		Spec:       appsv1.ReplicaSetSpec{Replicas: &replicas, Template: template()},
		Status:     appsv1.ReplicaSetStatus{ObservedGeneration: 1, AvailableReplicas: replicas},
	}
}

func argoRollout(replicas int64, phase string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
		"metadata": map[string]any{"namespace": "shop", "name": "web"},
		"spec": map[string]any{
			"replicas": replicas,
			"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "web"}}},
			"strategy": map[string]any{"canary": map[string]any{"maxUnavailable": "25%"}},
		},
		"status": map[string]any{"phase": phase, "message": "more replicas", "availableReplicas": replicas},
	}}
}

func object(t *testing.T, typed runtime.Object) *unstructured.Unstructured {
	t.Helper()
	if untyped, ok := typed.(*unstructured.Unstructured); ok {
		return untyped
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: content}
}
