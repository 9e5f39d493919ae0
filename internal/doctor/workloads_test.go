package doctor

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func deployment(wanted, available int32) read[appsv1.Deployment] {
	labels := map[string]string{"app": "it"}
	d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: &wanted, Selector: &metav1.LabelSelector{MatchLabels: labels}}}
	d.Spec.Template.Labels = labels
	d.Status.AvailableReplicas = available
	return there(d)
}

func TestReplicas(t *testing.T) {
	for _, tt := range []struct {
		name        string
		deployment  string
		read        read[appsv1.Deployment]
		certManager bool
		want        expected
	}{
		{"all", stamper, deployment(2, 2), false, expected{state: OK, message: "2 of 2"}},
		{"some", stamper, deployment(2, 1), false, expected{state: Warning, message: "1 of 2"}},
		{"none", auditor, deployment(2, 0), false, expected{state: Wrong, message: "no Pod is available, of 2"}},
		{"none wanted", auditor, deployment(0, 0), false, expected{state: Wrong, message: "no Pod is available, of 0"}},
		{"one stamper", stamper, deployment(1, 1), false, expected{Warning, stamper, "one Pod only", "--replicas=2"}},
		{"one controller", certificate, deployment(1, 1), false, expected{state: OK}},
		{"no stamper", stamper, notThere[appsv1.Deployment](), false, expected{state: Wrong, message: "does not exist"}},
		{"no auditor", auditor, notThere[appsv1.Deployment](), false, expected{state: NotChecked, message: "by hand only"}},
		{"no controller", certificate, notThere[appsv1.Deployment](), false, expected{state: Warning, message: "nobody renews"}},
		{"cert-manager instead", certificate, notThere[appsv1.Deployment](), true, expected{state: OK, message: "cert-manager"}},
		{"unread", stamper, notAllowed[appsv1.Deployment](), false, expected{state: NotChecked, message: "you may not"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check(t, []Finding{judgeReplicas(tt.deployment, tt.read, tt.certManager)}, tt.want)
		})
	}
}

// place is a Pod's node.
func place(node string) corev1.Pod {
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "it"}}, Spec: corev1.PodSpec{NodeName: node}}
}

// node is a node, in a zone if there is one.
func node(name, zone string) corev1.Node {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if zone != "" {
		n.Labels = map[string]string{corev1.LabelTopologyZone: zone}
	}
	return n
}

func TestSpread(t *testing.T) {
	other := place("b")
	other.Labels = nil
	leaving := place("b")
	leaving.DeletionTimestamp = &metav1.Time{}
	tainted := node("b", "")
	tainted.Spec.Taints = []corev1.Taint{{Key: "control-plane"}}
	cordoned := node("b", "")
	cordoned.Spec.Unschedulable = true
	for _, tt := range []struct {
		name  string
		pods  []corev1.Pod
		nodes []corev1.Node
		want  expected
	}{
		{"two nodes", []corev1.Pod{place("a"), place("b"), other}, []corev1.Node{node("a", ""), node("b", "")}, expected{state: OK, message: "2 Pods are on 2 nodes"}},
		{"two zones", []corev1.Pod{place("a"), place("b")}, []corev1.Node{node("a", "x"), node("b", "y")}, expected{state: OK}},
		{"one node of two", []corev1.Pod{place("a"), place("a")}, []corev1.Node{node("a", ""), node("b", "")}, expected{state: Warning, message: "all 2 Pods are on node a"}},
		{"one zone of two", []corev1.Pod{place("a"), place("b")}, []corev1.Node{node("a", "x"), node("b", "x"), node("c", "y")}, expected{state: Warning, message: "one zone of 2"}},
		{"one node, the other tainted", []corev1.Pod{place("a"), place("a")}, []corev1.Node{node("a", ""), tainted}, expected{state: OK, message: "no other"}},
		{"one node, the other cordoned", []corev1.Pod{place("a"), place("a")}, []corev1.Node{node("a", ""), cordoned}, expected{state: OK, message: "no other"}},
		{"one Pod", []corev1.Pod{place("a"), leaving, place(""), other}, []corev1.Node{node("a", ""), node("b", "")}, expected{state: NotChecked, message: "not two Pods"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check(t, []Finding{judgeSpread(deployment(2, 2), there(&corev1.PodList{Items: tt.pods}), there(&corev1.NodeList{Items: tt.nodes}))}, tt.want)
		})
	}
	pods := func(pods ...corev1.Pod) read[corev1.PodList] { return there(&corev1.PodList{Items: pods}) }
	check(t, []Finding{
		judgeSpread(deployment(2, 2), pods(place("a"), place("b")), notAllowed[corev1.NodeList]()),
		judgeSpread(deployment(2, 2), pods(place("a"), place("a")), notAllowed[corev1.NodeList]()),
		judgeSpread(deployment(2, 2), notAllowed[corev1.PodList](), notAllowed[corev1.NodeList]()),
	},
		expected{state: OK, message: "zones cannot be read"}, expected{state: NotChecked}, expected{state: NotChecked})
}

func TestDisruption(t *testing.T) {
	budget := func(name string, allowed, healthy, pods int32) policyv1.PodDisruptionBudget {
		return policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "it"}}},
			Status:     policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed, CurrentHealthy: healthy, ExpectedPods: pods},
		}
	}
	elsewhere := budget("elsewhere", 0, 1, 1)
	elsewhere.Spec.Selector.MatchLabels["app"] = "other"
	for _, tt := range []struct {
		name    string
		budgets []policyv1.PodDisruptionBudget
		want    []expected
	}{
		{"one that allows", []policyv1.PodDisruptionBudget{budget("own", 1, 2, 2), elsewhere}, []expected{{state: OK, message: "own"}}},
		{"none", []policyv1.PodDisruptionBudget{elsewhere}, []expected{{state: Warning, message: "no PodDisruptionBudget"}}},
		{"one that allows none", []policyv1.PodDisruptionBudget{budget("own", 0, 2, 2)}, []expected{{state: Warning, message: "drains of nodes wait for ever"}}},
		{"one that waits for Pods", []policyv1.PodDisruptionBudget{budget("own", 0, 1, 2)}, []expected{{state: OK}}},
		{"two", []policyv1.PodDisruptionBudget{budget("own", 1, 2, 2), budget("team", 1, 2, 2)}, []expected{{state: Wrong, message: "own and team"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check(t, judgeDisruption(stamper, deployment(2, 2), there(&policyv1.PodDisruptionBudgetList{Items: tt.budgets})), tt.want...)
		})
	}
	check(t, judgeDisruption(stamper, deployment(2, 2), notAllowed[policyv1.PodDisruptionBudgetList]()), expected{state: NotChecked})
	check(t, judgeDisruption(stamper, notAllowed[appsv1.Deployment](), there(&policyv1.PodDisruptionBudgetList{})), expected{state: NotChecked})
}

func TestPodSecurity(t *testing.T) {
	enforces := func(level string) read[corev1.Namespace] {
		n := &corev1.Namespace{}
		if level != "" {
			n.Labels = map[string]string{enforceLabel: level}
		}
		return there(n)
	}
	refused := deployment(2, 0)
	refused.value.Status.Conditions = []appsv1.DeploymentCondition{{
		Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: `pods "x" is forbidden: violates PodSecurity "restricted:latest"`,
	}}
	well := map[string]read[appsv1.Deployment]{stamper: deployment(2, 2), auditor: deployment(2, 2), certificate: notThere[appsv1.Deployment]()}
	check(t, judgePodSecurity(enforces("restricted"), well), expected{state: OK})
	check(t, judgePodSecurity(enforces("baseline"), well), expected{state: Warning, message: "enforces baseline", remedy: "=restricted --overwrite"})
	check(t, judgePodSecurity(enforces(""), well), expected{state: Warning, message: "enforces nothing"})
	check(t, judgePodSecurity(notAllowed[corev1.Namespace](), well), expected{state: NotChecked})
	well[stamper] = refused
	check(t, judgePodSecurity(enforces("restricted"), well), expected{Wrong, "Deployment " + stamper, "violates PodSecurity", "refuses"})
}
