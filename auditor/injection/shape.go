package injection

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// Labels, annotations and finalizers that controllers put on their Pods.
const (
	podNameLabel       = "statefulset.kubernetes.io/pod-name"
	podIndexLabel      = "apps.kubernetes.io/pod-index"
	revisionLabel      = "controller-revision-hash"
	generationLabel    = "pod-template-generation"
	completionIndex    = "batch.kubernetes.io/job-completion-index"
	completionIndexEnv = "JOB_COMPLETION_INDEX"
	jobFinalizer       = "batch.kubernetes.io/job-tracking"
)

// maxPodName is the longest name that a Pod may have.
const maxPodName = 253

// pod is a Pod in the making. Its spec is raw, so that no field is lost that
// this build does not know.
type pod struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   metav1.ObjectMeta `json:"metadata"`
	Spec       json.RawMessage   `json:"spec"`
}

// Shape returns the Pod, as JSON, that the revision's owner would create.
// Injectors derive values from labels, names and owners, so all of them are the
// owner's; only blockOwnerDeletion is not: with it, the admission plugin
// OwnerReferencesPermissionEnforcement wants rights that an audit does not have.
//
// A StatefulSet's Pod has a name, which must be free even in a dry run, and the claims of
// a live Pod, as injectors look claims up, and there are none of a Pod that is not there.
func Shape(r inventory.Revision, at Ordinal) ([]byte, error) {
	p, err := fromTemplate(r)
	if err != nil {
		return nil, err
	}
	switch r.Owner.Kind {
	case kind.StatefulSet:
		err = p.statefulSet(r, at)
	case kind.DaemonSet:
		p.daemonSet(r)
	case kind.Job:
		err = p.job(r)
	}
	if err != nil {
		return nil, fmt.Errorf("Pod template: %w", err)
	}
	return json.Marshal(p)
}

// fromTemplate does what all controllers do
// (k8s.io/kubernetes pkg/controller/controller_utils.go, GetPodFromTemplate).
func fromTemplate(r inventory.Revision) (*pod, error) {
	var template struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Spec     json.RawMessage   `json:"spec"`
	}
	if err := json.Unmarshal(r.Template, &template); err != nil {
		return nil, fmt.Errorf("Pod template: %w", err)
	}
	return &pod{
		APIVersion: "v1", Kind: "Pod",
		Metadata: metav1.ObjectMeta{
			GenerateName:    prefix(r.Owner.Name),
			Namespace:       r.Workload.Namespace,
			Labels:          template.Metadata.Labels,
			Annotations:     template.Metadata.Annotations,
			Finalizers:      template.Metadata.Finalizers,
			OwnerReferences: []metav1.OwnerReference{controllerRef(r.Owner)},
		},
		Spec: template.Spec,
	}, nil
}

func prefix(owner string) string {
	if len(owner) >= maxPodName {
		return owner
	}
	return owner + "-"
}

func controllerRef(o inventory.Owner) metav1.OwnerReference {
	yes, no := true, false
	return metav1.OwnerReference{
		APIVersion: o.APIVersion, Kind: o.Kind, Name: o.Name, UID: types.UID(o.UID),
		Controller: &yes, BlockOwnerDeletion: &no,
	}
}

func (p *pod) label(name, value string) {
	if p.Metadata.Labels == nil {
		p.Metadata.Labels = map[string]string{}
	}
	p.Metadata.Labels[name] = value
}

// statefulSet gives the Pod an identity and its claims
// (pkg/controller/statefulset/stateful_set_utils.go, newVersionedStatefulSetPod).
func (p *pod) statefulSet(r inventory.Revision, at Ordinal) error {
	ordinal := r.Ordinals.Free + at.Further
	name := fmt.Sprintf("%s-%d", r.Owner.Name, ordinal)
	p.Metadata.Name = name
	p.label(podNameLabel, name)
	p.label(podIndexLabel, strconv.Itoa(ordinal))
	p.label(revisionLabel, r.Hash)
	return p.edit(func(spec object) error {
		var volumes []object
		if err := spec.get("volumes", &volumes); err != nil {
			return err
		}
		return spec.set(map[string]any{
			"hostname":  name,
			"subdomain": r.Ordinals.ServiceName,
			"volumes":   withClaims(volumes, r.Ordinals.Claims, at.claimant(r, name)),
		})
	})
}

// Ordinal is which Pod of a StatefulSet is asked about; of others it says nothing.
type Ordinal struct {
	// Further is how many ordinals it is beyond the first that should be free.
	Further int
	// Claimant is the live Pod whose claims it carries, in the order of their names: the
	// last one where there are not so many.
	Claimant int
}

// claimant is by name, so that it stays the same from one audit to the next.
func (o Ordinal) claimant(r inventory.Revision, name string) string {
	if len(r.Pods) == 0 {
		return name
	}
	names := make([]string, len(r.Pods))
	for i, pod := range r.Pods {
		names[i] = pod.Name
	}
	slices.Sort(names)
	return names[min(o.Claimant, len(names)-1)]
}

// withClaims puts the volumes of the claims first and drops those that they
// replace.
func withClaims(volumes []object, claims []string, podName string) []any {
	all := []any{}
	for _, claim := range claims {
		all = append(all, map[string]any{
			"name":                  claim,
			"persistentVolumeClaim": map[string]any{"claimName": claim + "-" + podName},
		})
	}
	for _, volume := range volumes {
		if !slices.Contains(claims, volume.name()) {
			all = append(all, volume)
		}
	}
	return all
}

// daemonSet adds the labels of the Pod's revision. The node affinity and
// tolerations that the controller adds are noise to a comparison
// (pkg/controller/daemon/util/daemonset_util.go, CreatePodTemplate).
func (p *pod) daemonSet(r inventory.Revision) {
	p.label(revisionLabel, r.Hash)
	if r.Generation != "" {
		p.label(generationLabel, r.Generation)
	}
}

// job adds the finalizer that Jobs count their Pods by and, for an Indexed Job,
// an index (pkg/controller/job/job_controller.go, manageJob).
func (p *pod) job(r inventory.Revision) error {
	if !slices.Contains(p.Metadata.Finalizers, jobFinalizer) {
		p.Metadata.Finalizers = append(p.Metadata.Finalizers, jobFinalizer)
	}
	index := r.CompletionIndex
	if index == "" {
		return nil
	}
	p.label(completionIndex, index)
	if p.Metadata.Annotations == nil {
		p.Metadata.Annotations = map[string]string{}
	}
	p.Metadata.Annotations[completionIndex] = index
	p.Metadata.GenerateName = r.Owner.Name + "-" + index + "-"
	return p.edit(func(spec object) error {
		for _, list := range []string{"initContainers", "containers"} {
			if err := spec.addEnv(list, completionIndexEnv, completionIndexField); err != nil {
				return err
			}
		}
		return spec.set(map[string]any{"hostname": r.Owner.Name + "-" + index})
	})
}

// completionIndexField is the value of JOB_COMPLETION_INDEX.
var completionIndexField = map[string]any{
	"fieldRef": map[string]any{"fieldPath": "metadata.labels['" + completionIndex + "']"},
}
