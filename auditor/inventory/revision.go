package inventory

import (
	"context"

	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
)

// Revision is one revision of a workload that has live Pods, with what its
// owner makes Pods from.
type Revision struct {
	// Key is the same for as long as the revision has live Pods.
	Key Key
	// Workload is what a person manages: a ReplicaSet's Deployment, a Job's
	// CronJob, the owner itself, or a Pod that has none.
	Workload WorkloadRef
	// Group is the Workload's API group; empty for the core's.
	Group string
	// Name is the ReplicaSet's, ControllerRevision's, Job's or Pod's.
	Name string
	// Owner is the Pods' controller; the zero Owner if they have none.
	Owner Owner
	// Template is the PodTemplateSpec as JSON; nil if it is not known.
	Template []byte
	Pods     []Pod

	// Hash is what StatefulSets and DaemonSets label their Pods with:
	// controller-revision-hash.
	Hash string
	// Generation is a DaemonSet's label pod-template-generation; empty without.
	Generation string
	// Ordinals are a StatefulSet's.
	Ordinals Ordinals
	// CompletionIndex is one that an Indexed Job gave to a live Pod; else empty.
	CompletionIndex string
}

// Ordinals is what Pods of a StatefulSet get beyond their template.
type Ordinals struct {
	ServiceName string
	Claims      []string // names of the volumeClaimTemplates
	// Free is the first ordinal beyond those that the set wants Pods for.
	Free int
}

// Revisions reads the owners of the Pods and hands on each revision once, in no
// particular order. It ends with the first error that yield returns; yield may
// take its time.
func (i *Inventory) Revisions(ctx context.Context, yield func(Revision) error) error {
	r := reader{Inventory: i, sets: map[string]set{}}
	for _, kind := range []struct {
		resource
		read func(jsontree.Node) error
	}{
		{replicaSets, r.replicaSet},
		{jobs, r.job},
		{statefulSets, r.statefulSet},
		{daemonSets, r.daemonSet},
		{controllerRevisions, r.controllerRevision},
	} {
		if err := r.readOwners(ctx, kind.resource, kind.read, yield); err != nil {
			return err
		}
	}
	return r.rest(yield)
}

// rest hands on the Pods whose template nothing says: those without a
// controller, with one of an unknown kind, or whose owner has just gone.
func (r *reader) rest(yield func(Revision) error) error {
	for key, g := range r.groups {
		delete(r.groups, key)
		revision := Revision{Key: key, Group: g.owner.group(), Name: g.pods[0].Name, Owner: g.owner, Pods: g.pods}
		revision.Workload = WorkloadRef{pods.kind, g.namespace, revision.Name}
		if g.owner != (Owner{}) {
			revision.Workload = WorkloadRef{g.owner.Kind, g.namespace, g.owner.Name}
		}
		if err := yield(revision); err != nil {
			return err
		}
	}
	return nil
}
