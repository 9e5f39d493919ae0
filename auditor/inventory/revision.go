package inventory

import (
	"context"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
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
	// Doubt is why the Pods may belong to something else than they say, and count
	// as the Workload's; empty if nothing says so.
	Doubt string
	// Broken is why nothing can be said of the Pods; nil if there is no reason.
	Broken error

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

// Large is the number of bytes beyond which a template or a Pod is large: most have a
// tenth. Large ones are handed on after all others, and templates among them are read
// one by one, so that no others wait for them and no list of them is in memory.
const Large = 32 << 10

// Size is the number of bytes of the template or of the largest Pod, as JSON: what is
// decoded to compare them.
func (r Revision) Size() int {
	size := len(r.Template)
	for _, pod := range r.Pods {
		size = max(size, pod.Size)
	}
	return size
}

// Ordinals is what Pods of a StatefulSet get beyond their template.
type Ordinals struct {
	ServiceName string
	Claims      []string // names of the volumeClaimTemplates
	// Free is the first ordinal beyond those that the set wants Pods for.
	Free int
}

// Revisions reads the owners of the Pods and hands on each revision once, those that
// are Large last, and else in no particular order. It ends with the first error that
// yield returns; yield may take its time.
func (i *Inventory) Revisions(ctx context.Context, yield func(Revision) error) error {
	r := reader{Inventory: i, sets: map[claim]set{}, yield: yield}
	for _, kind := range []struct {
		resource
		read func(jsontree.Node)
	}{
		{replicaSets, r.replicaSet},
		{jobs, r.job},
		{statefulSets, r.statefulSet},
		{daemonSets, r.daemonSet},
		{controllerRevisions, r.controllerRevision},
	} {
		if err := r.readOwners(ctx, kind.resource, kind.read); err != nil {
			return err
		}
	}
	if err := r.rest(); err != nil {
		return err
	}
	if err := r.readLarge(ctx); err != nil {
		return err
	}
	return r.rest() // whose owner has gone meanwhile
}

// rest hands on the Pods whose template nothing says: those without a controller,
// with one of an unknown kind, or with one that is not there, because it has just
// gone or never was.
func (r *reader) rest() error {
	var large []Revision
	for key, g := range r.groups {
		delete(r.groups, key)
		if r.named != nil && g.owner != (Owner{}) && !r.named.uids[g.owner.UID] {
			continue // they only have the labels of what was named
		}
		revisions := []Revision{{
			Key: key, Group: g.owner.Group(), Owner: g.owner, Doubt: g.doubt, Broken: g.broken,
			Name: g.pods[0].Name, Workload: WorkloadRef{g.owner.kind(), g.namespace, g.owner.Name}, Pods: g.pods,
		}}
		switch {
		case g.owner == Owner{}:
			revisions[0].Workload = WorkloadRef{pods.kind, g.namespace, g.pods[0].Name}
		case r.unanswered(key.claim, g.owner):
			revisions = g.apart()
			r.Disowned = append(r.Disowned, key)
		}
		for _, revision := range revisions {
			if revision.Size() > Large {
				large = append(large, revision)
				continue
			}
			if err := r.yield(revision); err != nil {
				return err
			}
		}
	}
	for _, revision := range large {
		if err := r.yield(revision); err != nil {
			return err
		}
	}
	return nil
}

// unanswered reports whether there is no object that a claim is about, of a kind of
// which all have been read.
func (r *reader) unanswered(c claim, owner Owner) bool {
	if statefulSets.owns(owner) || daemonSets.owns(owner) {
		_, read := r.sets[c] // and its ControllerRevision is not there
		return !read
	}
	return replicaSets.owns(owner) || jobs.owns(owner)
}

// notThere is why a claim does not hold.
const notThere = "there is no such object with this UID in the namespace"

// apart are the Pods of a group whose owner is none, each of its own.
func (g *group) apart() []Revision {
	revisions := make([]Revision, len(g.pods))
	for i, pod := range g.pods {
		revisions[i] = Revision{
			Key:      Key{claim: claim{namespace: g.namespace}, pod: pod.UID},
			Workload: WorkloadRef{pods.kind, g.namespace, pod.Name}, Name: pod.Name,
			Pods: g.pods[i : i+1 : i+1], Doubt: doubtful(g.owner, notThere),
		}
	}
	return revisions
}
