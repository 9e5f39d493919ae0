package rollout

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func podOn(node, generation string, ready corev1.ConditionStatus) corev1.Pod {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "on-" + node, UID: types.UID("uid-" + node), Labels: map[string]string{templateGeneration: generation}}}
	pod.Spec.NodeName = node
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	return pod
}

// A DaemonSet is as it should be but for lost nodes where each Pod elsewhere is available
// and has the present template; a Deployment where no more Pods lack than are lost.
func TestLostOf(t *testing.T) {
	const yes, no = corev1.ConditionTrue, corev1.ConditionFalse
	generation := func(d *appsv1.DaemonSet) {
		metav1.SetMetaDataAnnotation(&d.ObjectMeta, appsv1.DeprecatedTemplateGeneration, "2")
	}
	unseen := func(d *appsv1.DaemonSet) { d.Generation++ }
	onDelete := func(d *appsv1.DaemonSet) { d.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType }
	lacks := func(n int32) func(*appsv1.Deployment) {
		return func(d *appsv1.Deployment) { d.Status.AvailableReplicas -= n }
	}
	misplaced := func(d *appsv1.DaemonSet) { d.Status.NumberMisscheduled = 1 }
	going := podOn("lost", "1", no)
	going.DeletionTimestamp = new(metav1.Now())
	away := map[string]bool{"lost": true, "of": true, "another": true, "pool": true, "too": true}
	for name, test := range map[string]struct {
		object runtime.Object
		pods   []corev1.Pod
		only   bool
		nodes  int
	}{
		"the lost one is old":                         {daemonSet(2, generation), []corev1.Pod{podOn("a", "2", yes), podOn("lost", "1", no)}, true, 1},
		"the lost one is not old":                     {daemonSet(2, generation), []corev1.Pod{podOn("a", "2", yes), podOn("lost", "2", no)}, true, 1},
		"the lost one is going":                       {daemonSet(2, generation), []corev1.Pod{podOn("a", "2", yes), going}, true, 1},
		"the lost one is not wanted":                  {daemonSet(1, generation, misplaced), []corev1.Pod{podOn("a", "2", yes), podOn("lost", "1", no)}, true, 1},
		"another is old":                              {daemonSet(2, generation), []corev1.Pod{podOn("a", "1", yes), podOn("lost", "2", no)}, false, 1},
		"another is old, and none minds":              {daemonSet(2, generation, onDelete), []corev1.Pod{podOn("a", "1", yes), podOn("lost", "2", no)}, true, 1},
		"another is not ready":                        {daemonSet(2, generation), []corev1.Pod{podOn("a", "2", no), podOn("lost", "1", no)}, false, 1},
		"another is missing":                          {daemonSet(3, generation), []corev1.Pod{podOn("a", "2", yes), podOn("lost", "1", no)}, false, 1},
		"others are missing, as many as are away":     {daemonSet(5, generation), []corev1.Pod{podOn("a", "2", yes), podOn("lost", "1", no)}, false, 1},
		"one is missing, and the lost one not wanted": {daemonSet(2, generation, misplaced), []corev1.Pod{podOn("a", "2", yes), podOn("lost", "1", no)}, false, 1},
		"not looked at yet":                           {daemonSet(2, generation, unseen), []corev1.Pod{podOn("a", "2", yes), podOn("lost", "1", no)}, false, 1},
		"no Pod is lost":                              {daemonSet(1, generation), []corev1.Pod{podOn("a", "2", yes)}, false, 0},
		"a Deployment lacks what is lost":             {deployment(2, lacks(1)), []corev1.Pod{podOn("a", "", yes), podOn("lost", "", no)}, true, 1},
		"a Deployment lacks more":                     {deployment(3, lacks(2)), []corev1.Pod{podOn("a", "", yes), podOn("b", "", no), podOn("lost", "", no)}, false, 1},
	} {
		l := lostOf(object(t, test.object), test.pods, away)
		if l.only != test.only || len(l.nodes) != test.nodes || len(l.pods) != test.nodes {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func TestGuardLost(t *testing.T) {
	unavailable := func(n int32) func(*appsv1.DaemonSet) {
		return func(d *appsv1.DaemonSet) {
			d.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{MaxUnavailable: new(intstr.FromInt32(n))}
			d.Status.NumberAvailable--
		}
	}
	lacks := func(d *appsv1.Deployment) { d.Status.AvailableReplicas-- }
	recreate := func(d *appsv1.Deployment) {
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	}
	all := withPods(audited("", verdict.Drifted, imageChange), "a", "b")
	for name, test := range map[string]struct {
		object runtime.Object
		lost   []string // of the Pods
		opts   Options
		reason string
	}{
		"room for one more":                    {daemonSet(3, unavailable(2)), []string{"a"}, Options{}, ""},
		"no room for one more":                 {daemonSet(3, unavailable(1)), []string{"a"}, Options{}, "a restart would hang: its Pods on node-0, which is not ready, take up all"},
		"no room, and evicted":                 {daemonSet(3, unavailable(1)), []string{"a"}, Options{Strategy: Evict}, ""},
		"nothing else to re-create":            {daemonSet(3, unavailable(2)), []string{"a", "b"}, Options{}, "the Pods that are to be re-created are on node-0"},
		"nothing else, and evicted":            {daemonSet(3, unavailable(2)), []string{"a", "b"}, Options{Strategy: Evict}, "the Pods that are to be re-created are on node-0"},
		"a Deployment restarts":                {deployment(3, lacks), nil, Options{Strategy: Restart}, ""},
		"a Deployment's evictions wait for it": {deployment(3, lacks), nil, Options{Strategy: Evict}, "it has Pods on node-0, which is not ready"},
		"one that is re-created hangs by it":   {deployment(3, lacks, recreate), nil, Options{Strategy: Restart, Guards: Guards{AllowDowntime: true}}, "it has Pods on node-0, which is not ready"},
		"a StatefulSet waits for it":           {statefulSet(3, func(s *appsv1.StatefulSet) { s.Status.AvailableReplicas-- }), []string{"a"}, Options{}, "it has Pods on node-0, which is not ready: repair the node"},
	} {
		opts := test.opts.withDefaults()
		f, err := factsOf(object(t, test.object), namespace{name: "shop"}, all, opts)
		if err != nil {
			t.Fatal(err)
		}
		f.lost = lostPods{nodes: []string{"node-0"}, only: true, live: 2, pods: map[string]bool{}}
		for _, name := range test.lost {
			for _, p := range f.targets {
				if p.Name == name {
					f.lost.pods[p.UID] = true
				}
			}
		}
		if d := check(f, opts); (d == proceed) != (test.reason == "") || !strings.Contains(d.reason, test.reason) {
			t.Errorf("%s: %s: %q, want %q", name, d.result, d.reason, test.reason)
		}
		if auto, _ := (Options{Strategy: Auto}).withDefaults().resolved(f); strings.HasPrefix(name, "no room") && auto.Strategy != Evict || name == "a Deployment restarts" && auto.Strategy != Restart {
			t.Errorf("%s: auto goes by %s", name, auto.Strategy)
		}
	}
}
