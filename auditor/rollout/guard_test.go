package rollout

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
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
	budgetOf := func(app string, exhausted bool) namespace {
		return namespace{name: "shop", budgets: []budget{{name: "web-pdb", selector: labels.SelectorFromSet(labels.Set{"app": app}), exhausted: exhausted}}}
	}
	notConverging := annotate(LastRolloutAnnotation, `{"digest":"fresh","time":"2026-01-02T15:04:05Z","result":"NotConverging"}`)
	shop := namespace{name: "shop"}

	for name, test := range map[string]struct {
		object    runtime.Object
		namespace namespace
		lifted    Guards
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
		"StatefulSet OnDelete": {
			object: statefulSet(2, func(s *appsv1.StatefulSet) {
				s.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
			}),
			want: report.Skipped, reason: "OnDelete"},
		"DaemonSet OnDelete": {
			object: daemonSet(2, func(d *appsv1.DaemonSet) {
				d.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
			}),
			want: report.Skipped, reason: "OnDelete"},
		"partitioned": {
			object: statefulSet(3, func(s *appsv1.StatefulSet) { s.Spec.UpdateStrategy.RollingUpdate.Partition = new(int32(2)) }),
			want:   report.Skipped, reason: "below ordinal 2"},
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
		"an exhausted budget": {
			object: deployment(2), namespace: budgetOf("web", true),
			want: report.Skipped, reason: "PodDisruptionBudget web-pdb allows no disruption"},
		"a budget with room":         {object: deployment(2), namespace: budgetOf("web", false)},
		"another's exhausted budget": {object: deployment(2), namespace: budgetOf("other", true)},
		"one replica with surge":     {object: deployment(1)},
		"one replica without surge": {
			object: deployment(1, pace(intstr.FromInt32(0), intstr.FromInt32(1))),
			want:   report.Skipped, reason: "its one replica goes before its replacement is there: --allow-downtime"},
		"one replica without surge, allowed": {
			object: deployment(1, pace(intstr.FromInt32(0), intstr.FromInt32(1))), lifted: Guards{AllowDowntime: true}},
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
			object: deployment(2, notConverging), lifted: Guards{Retry: true}},
		"did not converge on something else": {
			object: deployment(2, annotate(LastRolloutAnnotation, `{"digest":"older","time":"2026-01-02T15:04:05Z","result":"NotConverging"}`))},
		"failed last time": {
			object: deployment(2, annotate(LastRolloutAnnotation, `{"digest":"fresh","time":"2026-01-02T15:04:05Z","result":"Failed"}`))},
		"an annotation that is not ours": {object: deployment(2, annotate(LastRolloutAnnotation, "yesterday"))},
	} {
		t.Run(name, func(t *testing.T) {
			if test.namespace.name == "" {
				test.namespace = shop
			}
			f, err := factsOf(object(t, test.object), test.namespace, "fresh")
			if err != nil {
				t.Fatal(err)
			}
			got := check(f, test.lifted)
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

func object(t *testing.T, typed runtime.Object) *unstructured.Unstructured {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: content}
}
