package inventory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
)

// reader reads the owners of an inventory's Pods.
type reader struct {
	*Inventory
	sets  map[string]set // StatefulSets and DaemonSets, by UID
	ready []Revision     // read, and not yet handed on
}

// set is a StatefulSet or DaemonSet, whose templates are elsewhere: in its
// ControllerRevisions.
type set struct {
	workload WorkloadRef
	owner    Owner
	ordinals Ordinals
}

// generationAnnotation is of a DaemonSet and of its ControllerRevisions; the Pods
// have it as a label.
const generationAnnotation = "deprecated.daemonset.template.generation"

// readOwners reads the owners of one kind that the Pods have, and hands on the
// revisions that are then complete.
func (r *reader) readOwners(ctx context.Context, kind resource, read func(jsontree.Node) error, yield func(Revision) error) error {
	names := r.wanted(kind)
	if len(names) == 0 {
		return nil
	}
	item := func(raw []byte) error {
		object, err := jsontree.Parse(raw)
		if err == nil {
			err = read(object)
		}
		if err != nil {
			metadata := object.Get("metadata")
			return fmt.Errorf("%s %s/%s: %w", kind.kind, metadata.Get("namespace"), metadata.Get("name"), err)
		}
		return nil
	}
	flush := func() error {
		defer func() { r.ready = nil }()
		for _, revision := range r.ready {
			if err := yield(revision); err != nil {
				return err
			}
		}
		return nil
	}
	if r.named != nil {
		return r.readNamed(ctx, kind, names, item, flush)
	}
	for _, namespace := range r.selection.namespaces() {
		q := query{resource: kind, namespace: namespace, fields: r.selection.fieldSelector()}
		// What was handed on is claimed: a list that is begun again adds
		// nothing twice.
		if err := retryUnread(func() error { return list(ctx, r.client, q, item, flush) }); err != nil {
			return err
		}
	}
	return nil
}

// readNamed reads owners one by one. Those that have just gone stay unread.
func (r *reader) readNamed(ctx context.Context, kind resource, names []objectName, item func([]byte) error, flush func() error) error {
	for _, name := range names {
		raw, read := r.named.objects[name.uid]
		if !read {
			var err error
			raw, err = get(ctx, r.client, kind, name.namespace, name.name)
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
		}
		if err := item(raw); err != nil {
			return err
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return nil
}

// objectName names an object to read; uid is empty where it is not known.
type objectName struct{ namespace, name, uid string }

// wanted names the objects of a kind that groups wait for.
func (r *reader) wanted(kind resource) []objectName {
	var names []objectName
	for _, g := range r.groups {
		switch {
		case kind.owns(g.owner):
			names = append(names, objectName{g.namespace, g.owner.Name, g.owner.UID})
		case kind != controllerRevisions:
		case statefulSets.owns(g.owner):
			names = append(names, objectName{namespace: g.namespace, name: g.revision})
		case daemonSets.owns(g.owner):
			names = append(names, objectName{namespace: g.namespace, name: g.owner.Name + "-" + g.revision})
		}
	}
	slices.SortFunc(names, func(a, b objectName) int {
		return bytes.Compare([]byte(a.namespace+"/"+a.name), []byte(b.namespace+"/"+b.name))
	})
	return slices.Compact(names)
}

func (r *reader) replicaSet(object jsontree.Node) error {
	return r.templated(object, replicaSets, func(Owner) bool { return true })
}

func (r *reader) job(object jsontree.Node) error {
	return r.templated(object, jobs, cronJobs.owns)
}

// templated completes the revision of an owner that holds its one template
// itself. Its own controller is the workload, if that is one that counts.
func (r *reader) templated(object jsontree.Node, kind resource, counts func(Owner) bool) error {
	metadata := object.Get("metadata")
	g := r.claim(Key{uid: metadata.Get("uid").String()})
	if g == nil {
		return nil
	}
	owner := ownerFrom(metadata, kind)
	controller := controllerOf(metadata)
	if r.named != nil && !r.named.uids[owner.UID] && !r.named.uids[controller.UID] {
		return nil // another workload's, whose Pods have the same labels
	}
	manager := owner
	if controller != (Owner{}) && counts(controller) {
		manager = controller
	}
	r.ready = append(r.ready, Revision{
		Key:      Key{uid: owner.UID},
		Workload: WorkloadRef{manager.Kind, g.namespace, manager.Name}, Group: manager.group(),
		Name: owner.Name, Owner: owner, Pods: g.pods,
		Template: bytes.Clone(object.Get("spec", "template").Raw()), CompletionIndex: g.index,
	})
	return nil
}

func ownerFrom(metadata jsontree.Node, kind resource) Owner {
	return Owner{
		APIVersion: kind.group + "/" + kind.version, Kind: kind.kind,
		Name: metadata.Get("name").String(), UID: metadata.Get("uid").String(),
	}
}

func (r *reader) statefulSet(object jsontree.Node) error {
	spec := object.Get("spec")
	ordinals := Ordinals{ServiceName: spec.Get("serviceName").String()}
	for claim := range spec.Get("volumeClaimTemplates").Children() {
		ordinals.Claims = append(ordinals.Claims, claim.Get("metadata", "name").String())
	}
	for _, count := range []jsontree.Node{spec.Get("replicas"), spec.Get("ordinals", "start")} {
		if !count.Exists() {
			continue
		}
		n, err := strconv.Atoi(count.String())
		if err != nil {
			return err
		}
		ordinals.Free += n
	}
	r.keep(object, statefulSets, set{ordinals: ordinals})
	return nil
}

func (r *reader) daemonSet(object jsontree.Node) error {
	r.keep(object, daemonSets, set{})
	return nil
}

func (r *reader) keep(object jsontree.Node, kind resource, s set) {
	metadata := object.Get("metadata")
	s.owner = ownerFrom(metadata, kind)
	s.workload = WorkloadRef{kind.kind, metadata.Get("namespace").String(), s.owner.Name}
	r.sets[s.owner.UID] = s
}

// controllerRevision completes the revision of a StatefulSet or DaemonSet. A
// StatefulSet labels its Pods with the ControllerRevision's name, a DaemonSet
// with its hash.
func (r *reader) controllerRevision(object jsontree.Node) error {
	metadata := object.Get("metadata")
	s, ok := r.sets[controllerOf(metadata).UID]
	if !ok {
		return nil
	}
	name := metadata.Get("name").String()
	hash := name
	if s.owner.Kind == daemonSets.kind {
		hash = metadata.Get("labels", revisionLabel).String()
	}
	key := Key{uid: s.owner.UID, revision: hash}
	g := r.claim(key)
	if g == nil {
		return nil
	}
	template, err := templateIn(object.Get("data", "spec", "template").Raw())
	if err != nil {
		return fmt.Errorf("data.spec.template: %w", err)
	}
	r.ready = append(r.ready, Revision{
		Key:      key,
		Workload: s.workload, Group: s.owner.group(), Name: name, Owner: s.owner, Template: template, Pods: g.pods,
		Hash: hash, Ordinals: s.ordinals,
		Generation: metadata.Get("annotations", generationAnnotation).String(),
	})
	return nil
}

// templateIn takes the template out of a ControllerRevision's data, which is a
// strategic merge patch that replaces it.
func templateIn(patch []byte) ([]byte, error) {
	var template map[string]json.RawMessage
	if err := json.Unmarshal(patch, &template); err != nil {
		return nil, err
	}
	delete(template, "$patch")
	return json.Marshal(template)
}
