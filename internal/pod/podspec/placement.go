package podspec

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Placement returns the fields of the spec that say where, by whose right and under
// which name the Pod runs, and that admission may set as well as others do. Left out is
// what always follows from something else:
//
//   - nodeName, which the scheduler sets, and schedulingGates, which are gone from every
//     Pod that runs;
//   - priority and preemptionPolicy, which follow from the class (the API server refuses
//     others, k8s.io/kubernetes plugin/pkg/admission/priority), overhead, which does from
//     the RuntimeClass (plugin/pkg/admission/runtimeclass), and serviceAccount, the old
//     name of serviceAccountName;
//   - hostname and subdomain of Pods whose controller sets them: StatefulSets
//     (pkg/controller/statefulset/stateful_set_utils.go, initIdentity) and Jobs
//     (pkg/controller/job/job_controller.go, manageJob).
func (v *View) Placement() []Member {
	var members []Member
	for field := range v.spec.Children() {
		name := field.Name()
		if !v.placed(name) || v.hollow(field) {
			continue
		}
		members = append(members, Member{
			Key: name, Node: field, Field: name,
			Default: isPlacementDefault(name, field),
		})
	}
	sortMembers(members)
	return members
}

func (v *View) placed(field []byte) bool {
	switch string(field) {
	case "enableServiceLinks", "imagePullSecrets", "nodeSelector", "priorityClassName", "serviceAccountName", "tolerations":
		return true
	case "hostname", "subdomain":
		return !v.hostNamed
	}
	return false
}

// isPlacementDefault reports whether the value is what the API server gives to Pods that
// say nothing: pkg/apis/core/v1/defaults.go and plugin/pkg/admission/serviceaccount.
func isPlacementDefault(name []byte, field jsontree.Node) bool {
	switch string(name) {
	case "enableServiceLinks":
		return field.Kind() == jsontree.True
	case "serviceAccountName":
		return string(field.Text()) == "default"
	case "hostname", "subdomain", "priorityClassName":
		return len(field.Text()) == 0
	}
	return false
}

// standingToleration reports whether a toleration is one of those that Kubernetes itself
// gives to Pods, now or by another setting of its flags:
//
//   - of nodes that are not ready or cannot be reached, for a number of seconds that a
//     flag of the API server says (plugin/pkg/admission/defaulttolerationseconds), or
//     without end (the DaemonSet controller);
//   - of memory pressure, to Pods that request something
//     (plugin/pkg/admission/podtolerationrestriction), as which a sidecar's requests make
//     them;
//   - of the resource that a container requests
//     (plugin/pkg/admission/extendedresourcetoleration);
//   - to Pods of DaemonSets, of what else may be wrong with their node
//     (pkg/controller/daemon/util/daemonset_util.go, AddOrUpdateDaemonPodTolerations).
func (v *View) standingToleration(t jsontree.Node) bool {
	if string(t.Get("operator").Text()) != "Exists" || len(t.Get("value").Text()) > 0 {
		return false
	}
	key := t.Get("key").Text()
	condition, ofNode := bytes.CutPrefix(key, []byte("node.kubernetes.io/"))
	switch string(t.Get("effect").Text()) {
	case "NoExecute":
		return ofNode && (string(condition) == "not-ready" || string(condition) == "unreachable")
	case "NoSchedule":
		if t.Get("tolerationSeconds").Exists() {
			return false
		}
		if !ofNode {
			return v.requests(key)
		}
		switch string(condition) {
		case "memory-pressure":
			return true
		case "disk-pressure", "pid-pressure", "unschedulable", "network-unavailable":
			return v.daemon
		}
	}
	return false
}

// requests reports whether a container requests the extended resource.
func (v *View) requests(resource []byte) bool {
	if bytes.IndexByte(resource, '/') < 0 {
		return false
	}
	for _, c := range v.containers {
		for _, kind := range [...]string{"requests", "limits"} {
			if c.Node.Get("resources", kind).Get(string(resource)).Exists() {
				return true
			}
		}
	}
	return false
}

// registryOfOpenShift reports whether an image pull secret is one that OpenShift makes for
// each ServiceAccount, adds to it, and makes anew from time to time: ACCOUNT-dockercfg-…
// (github.com/openshift/openshift-controller-manager pkg/internalregistry/controllers).
func (v *View) registryOfOpenShift(secret jsontree.Node) bool {
	account := v.spec.Get("serviceAccountName").Text()
	if len(account) == 0 {
		account = []byte("default")
	}
	rest, of := bytes.CutPrefix(secret.Get("name").Text(), account)
	return of && bytes.HasPrefix(rest, []byte("-dockercfg-"))
}

// AppendText appends the canonical form of a text: without the Pod's own name, and of JSON
// without its spaces and the order of its members.
func (v *View) AppendText(dst, text []byte) []byte {
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		if value := jsontext.Value(bytes.Clone(trimmed)); value.Canonicalize() == nil {
			text = value
		}
	}
	return v.appendOwnNameless(dst, text)
}
