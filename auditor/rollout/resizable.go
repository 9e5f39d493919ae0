package rollout

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/kubectl/pkg/util/qos"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
)

// containerName is one of a Pod's, by its list and name.
type containerName struct {
	init bool
	name string
}

// part is what a stamp calls it where it was injected.
func (c containerName) part() string {
	if c.init {
		return "initContainer/" + c.name
	}
	return "container/" + c.name
}

// amounts of CPU and memory that containers are to have, and no others of theirs.
type amounts map[containerName]corev1.ResourceRequirements

// inPlace is whether, and to what, a workload's Pods can be resized. The zero value says
// that nobody has looked.
type inPlace struct {
	pods map[string]amounts // by UID, of those that are meant
	why  string             // why they cannot; empty: they can
}

func (i inPlace) can() bool { return i.why == "" && len(i.pods) > 0 }

// guardResize leaves out what cannot be resized.
func guardResize(f facts, _ Options) decision {
	if f.resize.why != "" {
		return skip("cannot be resized in place, as %s: --strategy auto, evict or restart re-creates its Pods", f.resize.why)
	}
	return proceed
}

// guardsOfResize are those that matter where no Pod goes.
var guardsOfResize = []guard{guardDeletion, guardOptOut, guardMemory, guardPaused, guardEmpty, guardLost, guardUnsettled, guardResize}

// amountsOf returns what each of the targets is to be resized to, by what the audit found.
func amountsOf(item report.Item, targets []report.PodRef) inPlace {
	meant, found := uids(targets), inPlace{pods: map[string]amounts{}}
	for _, r := range item.Revisions {
		var members []string
		for _, pods := range r.Members {
			for _, pod := range pods {
				if meant[pod.UID] {
					members = append(members, pod.UID)
				}
			}
		}
		if len(members) == 0 {
			continue
		}
		want, why := amountsOfRevision(r)
		if why != "" {
			return inPlace{why: why}
		}
		for _, uid := range members {
			found.pods[uid] = want
		}
	}
	if len(found.pods) == 0 {
		return inPlace{why: "no Pod of it that differs is known"}
	}
	return found
}

func amountsOfRevision(r report.Revision) (want amounts, why string) {
	if r.MoreChanges > 0 {
		return nil, "it differs in more than an audit keeps"
	}
	want = amounts{}
	for _, c := range verdict.Unspent(verdict.Stable(r.Changes)) {
		at := strings.TrimSpace(c.Part + " " + c.Path)
		part, name, _ := strings.Cut(c.Part, "/")
		of := containerName{init: part == "initContainer", name: name}
		field, isResource := strings.CutPrefix(c.Path, "resources.")
		kind, unit, _ := strings.Cut(field, ".")
		switch {
		case part == "pod" && (isResource || c.Path == "resources"):
			return nil, fmt.Sprintf("its Pods have resources as a whole (%s)", at)
		case part != "container" && part != "initContainer", !isResource, kind != "requests" && kind != "limits", unit != "cpu" && unit != "memory":
			return nil, fmt.Sprintf("it differs in more than CPU and memory of injected containers (%s)", at)
		case c.OneShot:
			return nil, fmt.Sprintf("%s is of an init container that does not keep running, and not spent", at)
		case c.To == nil:
			return nil, fmt.Sprintf("%s would go, which no API server allows in place", at)
		}
		amount, err := quantity(c.To)
		if err != nil {
			return nil, fmt.Sprintf("%s cannot be read: %v", at, err)
		}
		if !want.set(of, kind, corev1.ResourceName(unit), amount) {
			return nil, fmt.Sprintf("its Pods are to have different amounts at %s", at)
		}
	}
	if len(want) == 0 {
		return nil, "no CPU or memory of it differs"
	}
	return want, ""
}

func quantity(value json.RawMessage) (resource.Quantity, error) {
	var amount resource.Quantity
	err := json.Unmarshal(value, &amount)
	return amount, err
}

// set reports false where the container was to have another amount.
func (a amounts) set(of containerName, kind string, unit corev1.ResourceName, amount resource.Quantity) bool {
	r := a[of]
	list := &r.Requests
	if kind == "limits" {
		list = &r.Limits
	}
	if *list == nil {
		*list = corev1.ResourceList{}
	}
	if other, has := (*list)[unit]; has && other.Cmp(amount) != 0 {
		return false
	}
	(*list)[unit] = amount
	a[of] = r
	return true
}

// unfit says why a Pod as it is cannot be resized without a restart of anything; empty if
// it can.
func (a amounts) unfit(pod *corev1.Pod) string {
	var parts map[string]json.RawMessage
	stamp, stamped := pod.Annotations[fingerprint.PartsAnnotation]
	switch {
	case !stamped || json.Unmarshal([]byte(stamp), &parts) != nil:
		return fmt.Sprintf("Pod %s carries no stamp (%s) that says which containers were injected", pod.Name, fingerprint.PartsAnnotation)
	case pod.Spec.Resources != nil:
		return fmt.Sprintf("Pod %s has resources as a whole (spec.resources)", pod.Name)
	case pod.Status.Phase != corev1.PodRunning:
		return fmt.Sprintf("Pod %s does not run yet", pod.Name)
	}
	for of, want := range a {
		if _, named := parts[of.part()]; !named {
			return fmt.Sprintf("the stamp of Pod %s does not name %s", pod.Name, of.part())
		}
		spec, status := containerOf(pod, of)
		switch {
		case spec == nil:
			return fmt.Sprintf("Pod %s has no %s", pod.Name, of.part())
		case status == nil || status.Resources == nil:
			return fmt.Sprintf("the node of Pod %s does not say what %s has, so that it may not resize in place (Kubernetes 1.33 or later does)", pod.Name, of.part())
		}
		for _, policy := range spec.ResizePolicy {
			if policy.RestartPolicy == corev1.RestartContainer && changes(policy.ResourceName, want, spec.Resources) {
				return fmt.Sprintf("%s would be restarted by that (its resizePolicy for %s is RestartContainer)", of.part(), policy.ResourceName)
			}
		}
	}
	resized := pod.DeepCopy()
	a.apply(resized)
	if before, after := qos.GetPodQOS(pod), qos.ComputePodQOS(resized); before != after {
		return fmt.Sprintf("Pod %s would become %s, and is %s (its QoS class)", pod.Name, after, before)
	}
	return ""
}

// changes reports whether amounts of a unit are others than a container has.
func changes(unit corev1.ResourceName, want, has corev1.ResourceRequirements) bool {
	differ := func(want, has corev1.ResourceList) bool {
		amount, set := want[unit]
		now, is := has[unit]
		return set && (!is || now.Cmp(amount) != 0)
	}
	return differ(want.Requests, has.Requests) || differ(want.Limits, has.Limits)
}

// containerOf returns a container's spec and status; nil of what is not there.
func containerOf(pod *corev1.Pod, of containerName) (*corev1.Container, *corev1.ContainerStatus) {
	specs, statuses := pod.Spec.Containers, pod.Status.ContainerStatuses
	if of.init {
		specs, statuses = pod.Spec.InitContainers, pod.Status.InitContainerStatuses
	}
	var spec *corev1.Container
	if i := slices.IndexFunc(specs, func(c corev1.Container) bool { return c.Name == of.name }); i >= 0 {
		spec = &specs[i]
	}
	if i := slices.IndexFunc(statuses, func(c corev1.ContainerStatus) bool { return c.Name == of.name }); i >= 0 {
		return spec, &statuses[i]
	}
	return spec, nil
}

// apply gives a Pod's containers their amounts.
func (a amounts) apply(pod *corev1.Pod) {
	for of, want := range a {
		spec, _ := containerOf(pod, of)
		if spec == nil {
			continue
		}
		for unit, amount := range want.Requests {
			if spec.Resources.Requests == nil {
				spec.Resources.Requests = corev1.ResourceList{}
			}
			spec.Resources.Requests[unit] = amount
		}
		for unit, amount := range want.Limits {
			if spec.Resources.Limits == nil {
				spec.Resources.Limits = corev1.ResourceList{}
			}
			spec.Resources.Limits[unit] = amount
		}
	}
}

// had returns what a Pod's containers have now where they are to have amounts, and how many
// of these they do not have yet: a resize takes none away again. Where an earlier resize
// waits, or its kubelet has not looked at it, that is what their status says.
func (a amounts) had(pod *corev1.Pod) (now amounts, news int) {
	waits := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodResizePending && c.Status == corev1.ConditionTrue
	})
	if observed := pod.Status.ObservedGeneration; observed != 0 && observed < pod.Generation {
		waits = true
	}
	now = amounts{}
	for of, want := range a {
		spec, status := containerOf(pod, of)
		if spec == nil {
			continue
		}
		has := spec.Resources
		if waits && status != nil && status.Resources != nil {
			has = *status.Resources
		}
		for kind, lists := range map[string][2]corev1.ResourceList{
			"requests": {want.Requests, has.Requests}, "limits": {want.Limits, has.Limits},
		} {
			for unit := range lists[0] {
				if amount, has := lists[1][unit]; has {
					now.set(of, kind, unit, amount)
				} else {
					news++
				}
			}
		}
	}
	return now, news
}

// patch is a strategic merge patch of the very Pod.
func (a amounts) patch(uid string) ([]byte, error) {
	lists := map[string][]map[string]any{}
	for of, want := range a {
		list := "containers"
		if of.init {
			list = "initContainers"
		}
		lists[list] = append(lists[list], map[string]any{"name": of.name, "resources": want})
	}
	return json.Marshal(map[string]any{"metadata": map[string]any{"uid": uid}, "spec": lists})
}

// resized is how far the kubelet is with a Pod.
type resized int

const (
	underWay   resized = iota
	deferred           // it fits on the node, but not now
	infeasible         // it does not fit, or cannot be
	inForce
)

// progress of a Pod that was given amounts, as of a generation of it, and what is waited for.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-resize
func (a amounts) progress(pod *corev1.Pod, generation int64) (resized, string) {
	if observed := pod.Status.ObservedGeneration; observed != 0 && observed < generation {
		return underWay, "the kubelet to look at it"
	}
	waits := ""
	for _, c := range pod.Status.Conditions {
		stale := c.ObservedGeneration != 0 && c.ObservedGeneration < generation
		if c.Status != corev1.ConditionTrue || stale || c.Type != corev1.PodResizePending && c.Type != corev1.PodResizeInProgress {
			continue
		}
		waits = strings.TrimSpace(fmt.Sprintf("%s %s", c.Type, c.Reason))
		if c.Message != "" {
			waits += ": " + c.Message
		}
		switch {
		case c.Type == corev1.PodResizePending && c.Reason == corev1.PodReasonInfeasible:
			return infeasible, waits
		case c.Type == corev1.PodResizePending && c.Reason == corev1.PodReasonDeferred:
			return deferred, waits
		}
	}
	if waits != "" {
		return underWay, waits
	}
	for of, want := range a {
		_, status := containerOf(pod, of)
		if status == nil || status.Resources == nil || changes(corev1.ResourceCPU, want, *status.Resources) || changes(corev1.ResourceMemory, want, *status.Resources) {
			return underWay, "its kubelet to give " + of.part() + " what it is to have"
		}
	}
	return inForce, ""
}
