package doctor

import (
	"cmp"
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

const enforceLabel = "pod-security.kubernetes.io/enforce"

// workloads judges how our own Pods run.
func (e *examiner) workloads(ctx context.Context) {
	i := e.installed
	e.add(judgePodSecurity(i.namespace, i.deployments)...)
	certManager := i.configuration.err == nil && byCertManager(i.configuration.value)
	for _, name := range []string{stamper, auditor, certificate} {
		e.add(judgeReplicas(name, i.deployments[name], certManager))
	}
	nodes, err := e.objects.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	e.add(judgeSpread(i.deployments[stamper], i.pods, as(e, nodes, err)))
	budgets, err := e.objects.PolicyV1().PodDisruptionBudgets(e.home()).List(ctx, metav1.ListOptions{})
	for _, name := range []string{stamper, auditor} {
		if !i.deployments[name].missing() {
			e.add(judgeDisruption(name, i.deployments[name], as(e, budgets, err))...)
		}
	}
}

// judgePodSecurity judges the level that our namespace enforces, and whether any
// of our Pods was refused.
func judgePodSecurity(own read[corev1.Namespace], deployments map[string]read[appsv1.Deployment]) []Finding {
	if own.err != nil {
		return []Finding{topic{checkPodSecurity, "our namespace"}.unread(own.err)}
	}
	t := topic{checkPodSecurity, "namespace " + cmp.Or(own.value.Name, namespace)}
	var problems []Finding
	if level := own.value.Labels[enforceLabel]; level != "restricted" {
		if level == "" {
			level = "nothing"
		}
		problems = append(problems, t.warning("kubectl label namespace "+cmp.Or(own.value.Name, namespace)+" "+enforceLabel+"=restricted --overwrite",
			"enforces %s, and our Pods conform to restricted: any other Pod could run here, too", level))
	}
	for _, name := range []string{stamper, auditor, certificate} {
		d := deployments[name]
		if d.err != nil {
			continue
		}
		if failure := condition(d.value, appsv1.DeploymentReplicaFailure); failure != "" {
			problems = append(problems, topic{checkPodSecurity, "Deployment " + name}.wrong("change what refuses them, or apply the manifests again", "its Pods are refused: %s", failure))
		}
	}
	return t.orOK(problems, "enforces restricted, to which our Pods conform")
}

// condition is the message of a Deployment's condition; empty unless it is true.
func condition(d *appsv1.Deployment, kind appsv1.DeploymentConditionType) string {
	for _, c := range d.Status.Conditions {
		if c.Type == kind && c.Status == corev1.ConditionTrue {
			return c.Message
		}
	}
	return ""
}

// judgeReplicas counts a Deployment's Pods. Only the stamper's must exist: audits
// also run elsewhere, and cert-manager takes the certificate controller's place.
func judgeReplicas(name string, deployment read[appsv1.Deployment], certManager bool) Finding {
	t := topic{checkReplicas, "Deployment " + name}
	see := "kubectl -n " + namespace + " describe pods -l app.kubernetes.io/name=sidecar-drift"
	if deployment.missing() {
		switch {
		case name == auditor:
			return t.notChecked("docs/service.md says how to run it", "does not exist: audits are run by hand only")
		case name == certificate && certManager:
			return t.ok("does not exist, and need not: cert-manager looks after the certificate")
		case name == certificate:
			return t.warning(applyAgain+", or let cert-manager do it: docs/security.md", "does not exist: nobody renews the stamper's certificate")
		}
		return t.wrong(applyAgain, "does not exist: new Pods are not stamped")
	}
	if deployment.err != nil {
		return t.unread(deployment.err)
	}
	if name == certificate && certManager {
		return t.warning("delete it: docs/certificates.md#cert-manager", "runs, though cert-manager looks after the certificate: it writes nothing, and is of no use")
	}
	d := deployment.value
	wanted := int32(1)
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	switch available := d.Status.AvailableReplicas; {
	case available == 0:
		return t.wrong(see, "no Pod is available, of %d", wanted)
	case available < wanted:
		return t.warning(see, "%d of %d Pods available", available, wanted)
	case name == stamper && available == 1:
		return t.warning("kubectl -n "+namespace+" scale deployment "+stamper+" --replicas=2", "there is one Pod only: while it restarts, new Pods are not stamped")
	}
	return t.ok("%d of %d Pods available", wanted, wanted)
}

// judgeSpread says whether one node, or one zone, takes all stampers with it.
func judgeSpread(deployment read[appsv1.Deployment], pods read[corev1.PodList], nodes read[corev1.NodeList]) Finding {
	t := topic{checkSpread, "Deployment " + stamper}
	for _, err := range []error{deployment.err, pods.err} {
		if err != nil {
			return t.unread(err)
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(deployment.value.Spec.Selector)
	if err != nil {
		return t.unread(err)
	}
	var on []string
	running := 0
	for _, pod := range pods.value.Items {
		if pod.Spec.NodeName == "" || pod.DeletionTimestamp != nil || !selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		running++
		if !slices.Contains(on, pod.Spec.NodeName) {
			on = append(on, pod.Spec.NodeName)
		}
	}
	switch {
	case running < 2:
		return t.notChecked("", "there are not two Pods to keep apart")
	case nodes.err != nil && len(on) == 1:
		return t.unread(nodes.err)
	case nodes.err != nil:
		return t.ok("%d Pods are on %d nodes; in which zones cannot be read", running, len(on))
	}
	return judgePlaces(t, running, on, nodes.value.Items)
}

func judgePlaces(t topic, running int, on []string, nodes []corev1.Node) Finding {
	const remedy = "kubectl -n " + namespace + " rollout restart deployment " + stamper + ", and see whether the scheduler now finds other places"
	usable := 0
	zones, used := map[string]bool{}, map[string]bool{}
	for _, node := range nodes {
		zone := node.Labels[corev1.LabelTopologyZone]
		if slices.Contains(on, node.Name) {
			used[zone] = true
		}
		if !node.Spec.Unschedulable && len(node.Spec.Taints) == 0 {
			usable++
			zones[zone] = true
		}
	}
	switch {
	case len(on) == 1 && usable < 2:
		return t.ok("all %d Pods are on one node, and there is no other that takes any Pod", running)
	case len(on) == 1:
		return t.warning(remedy, "all %d Pods are on node %s: while it is away, new Pods are not stamped", running, on[0])
	case len(used) == 1 && len(zones) > 1:
		return t.warning(remedy, "all %d Pods are in one zone of %d: while it is away, new Pods are not stamped", running, len(zones))
	}
	return t.ok("%d Pods are on %d nodes", running, len(on))
}

// judgeDisruption says whether evictions, as drains make them, leave a Deployment
// with Pods, and come to an end.
func judgeDisruption(name string, deployment read[appsv1.Deployment], budgets read[policyv1.PodDisruptionBudgetList]) []Finding {
	t := topic{checkDisruption, "Deployment " + name}
	for _, err := range []error{deployment.err, budgets.err} {
		if err != nil {
			return []Finding{t.unread(err)}
		}
	}
	var problems []Finding
	var covering []string
	for _, budget := range budgets.value.Items {
		selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
		if err != nil || !selector.Matches(labels.Set(deployment.value.Spec.Template.Labels)) {
			continue
		}
		covering = append(covering, budget.Name)
		status := budget.Status
		if status.ObservedGeneration == budget.Generation && status.DisruptionsAllowed == 0 && status.CurrentHealthy >= status.ExpectedPods {
			problems = append(problems, t.warning("let its PodDisruptionBudget allow one (maxUnavailable: 1), and run two replicas", "%s allows no eviction though all %d Pods are healthy: drains of nodes wait for ever", budget.Name, status.ExpectedPods))
		}
	}
	switch len(covering) {
	case 0:
		return []Finding{t.warning(applyAgain, "no PodDisruptionBudget: a drain may evict all of its Pods at once")}
	case 1:
		return t.orOK(problems, "the PodDisruptionBudget %s keeps Pods through drains, and lets drains end", covering[0])
	}
	return append(problems, t.wrong("keep one of them", "its Pods are behind more than one PodDisruptionBudget, so that the API server refuses every eviction: %s", list(covering)))
}
