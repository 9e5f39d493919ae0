package inventory

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// reader reads the owners of an inventory's Pods.
type reader struct {
	*Inventory
	sets  map[claim]set // StatefulSets and DaemonSets
	ready []ready
	large []large
	last  bool // large ones are taken as they come
	yield func(Revision) error
}

// large is an object with a template that is left for the end, and its Pods.
type large struct {
	kind resource
	name objectName
	read func(jsontree.Node)

	key  Key
	pods *group
}

// ready is a revision that was read and not yet handed on. controller is what its
// owner says controls it, which is then the workload, if it is there.
type ready struct {
	Revision
	controller Owner
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
// revisions that are then complete. What is wrong with one of them is not its error:
// its Pods are left to rest, or broken.
func (r *reader) readOwners(ctx context.Context, kind resource, read func(jsontree.Node)) error {
	names := r.wanted(kind)
	if len(names) == 0 {
		return nil
	}
	item := parsed(read)
	flush := func() error { return r.handOn(ctx) }
	if r.named != nil {
		return r.readNamed(ctx, kind, names, item, flush)
	}
	for _, namespace := range r.selection.namespaces() {
		q := query{resource: kind, namespace: namespace, fields: r.selection.fieldSelector()}
		// What was handed on is claimed: a list that is begun again adds
		// nothing twice.
		err := retryUnread(func() error {
			return list(ctx, r.client, q, func(raw []byte) error { item(raw); return nil }, flush)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// parsed reads what can be parsed.
func parsed(read func(jsontree.Node)) func([]byte) {
	return func(raw []byte) {
		if object, err := jsontree.Parse(raw); err == nil {
			read(object)
		}
	}
}

// postpone reports whether an object is left for the end, as its template is large.
// One of a list would be kept until its page has been read, beside all others of that.
func (r *reader) postpone(key Key, kind resource, object jsontree.Node, template []byte, read func(jsontree.Node)) bool {
	if r.last || r.named != nil || len(template) <= Large {
		return false
	}
	metadata := object.Get("metadata")
	name := objectName{namespace: metadata.Get("namespace").String(), name: metadata.Get("name").String()}
	r.large = append(r.large, large{kind, name, read, key, r.claim(key)})
	return true
}

// readLarge reads what was left for the end.
func (r *reader) readLarge(ctx context.Context) error {
	r.last = true
	for _, l := range r.large {
		r.groups[l.key] = l.pods
		err := r.readNamed(ctx, l.kind, []objectName{l.name}, parsed(l.read), func() error { return r.handOn(ctx) })
		if err != nil {
			return err
		}
	}
	return nil
}

// readNamed reads owners one by one. Those that have just gone stay unread, and so
// do those that the API server answers nothing about.
func (r *reader) readNamed(ctx context.Context, kind resource, names []objectName, item func([]byte), flush func() error) error {
	for _, name := range names {
		raw, read := r.named.object(name.uid)
		if !read {
			var err error
			raw, err = get(ctx, r.client, kind, name.namespace, name.name)
			if isOfOne(err) {
				continue
			}
			if err != nil {
				return err
			}
		}
		item(raw)
		if err := flush(); err != nil {
			return err
		}
	}
	return nil
}

// handOn yields what is ready, once it is known whose it is.
func (r *reader) handOn(ctx context.Context) error {
	defer func() { r.ready = nil }()
	for _, one := range r.ready {
		if one.controller != (Owner{}) {
			r.settle(ctx, &one)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := r.yield(one.Revision); err != nil {
			return err
		}
	}
	return nil
}

// settle makes the controller the workload, if it is there.
func (r *reader) settle(ctx context.Context, one *ready) {
	controller := one.controller
	there, err := r.workloads.exist(ctx, claim{one.Workload.Namespace, controller.key()}, controller)
	switch {
	case err != nil:
		one.Doubt = fmt.Sprintf("%s controls it by its own word alone: %v", controller, err)
	case !there:
		one.Doubt = doubtful(controller, notThere)
		return
	}
	one.Workload.Kind, one.Workload.Name, one.Group = controller.kind(), controller.Name, controller.Group()
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
		case kind != controllerRevisions || g.revision == "":
		case statefulSets.owns(g.owner):
			names = append(names, objectName{namespace: g.namespace, name: g.revision})
		case daemonSets.owns(g.owner):
			names = append(names, objectName{namespace: g.namespace, name: g.owner.Name + "-" + g.revision})
		}
	}
	slices.SortFunc(names, func(a, b objectName) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name), cmp.Compare(a.uid, b.uid))
	})
	return slices.Compact(names)
}

func (r *reader) replicaSet(object jsontree.Node) {
	r.templated(object, replicaSets, func(Owner) bool { return true })
}

func (r *reader) job(object jsontree.Node) {
	r.templated(object, jobs, cronJobs.owns)
}

// templated completes the revision of an owner that holds its one template
// itself. Its own controller is the workload, if that is one that counts.
func (r *reader) templated(object jsontree.Node, kind resource, counts func(Owner) bool) {
	metadata := object.Get("metadata")
	owner := ownerFrom(metadata, kind)
	key := Key{claim: claim{metadata.Get("namespace").String(), owner.key()}}
	template := object.Get("spec", "template").Raw()
	again := func(object jsontree.Node) { r.templated(object, kind, counts) }
	if r.groups[key] == nil || r.postpone(key, kind, object, template, again) {
		return
	}
	g := r.claim(key)
	controller := controllerOf(metadata)
	if r.named != nil && !r.named.uids[owner.UID] && !r.named.uids[controller.UID] {
		return // another workload's, whose Pods have the same labels
	}
	one := ready{Revision: Revision{
		Key:      key,
		Workload: WorkloadRef{kind.kind, g.namespace, owner.Name}, Group: kind.group,
		Name: owner.Name, Owner: owner, Pods: g.pods,
		Template: bytes.Clone(template), CompletionIndex: g.index,
	}}
	if counts(controller) {
		one.controller = controller
	}
	r.ready = append(r.ready, one)
}

func ownerFrom(metadata jsontree.Node, kind resource) Owner {
	return Owner{
		APIVersion: kind.group + "/" + kind.version, Kind: kind.kind,
		Name: metadata.Get("name").String(), UID: metadata.Get("uid").String(),
	}
}

func (r *reader) statefulSet(object jsontree.Node) {
	spec := object.Get("spec")
	ordinals := Ordinals{ServiceName: spec.Get("serviceName").String()}
	for claim := range spec.Get("volumeClaimTemplates").Children() {
		ordinals.Claims = append(ordinals.Claims, claim.Get("metadata", "name").String())
	}
	for _, count := range []jsontree.Node{spec.Get("replicas"), spec.Get("ordinals", "start")} {
		if n, err := strconv.Atoi(count.String()); err == nil { // absent: none
			ordinals.Free += n
		}
	}
	r.keep(object, statefulSets, ordinals)
}

func (r *reader) daemonSet(object jsontree.Node) { r.keep(object, daemonSets, Ordinals{}) }

func (r *reader) keep(object jsontree.Node, kind resource, ordinals Ordinals) {
	metadata := object.Get("metadata")
	namespace, owner := metadata.Get("namespace").String(), ownerFrom(metadata, kind)
	r.sets[claim{namespace, owner.key()}] = set{WorkloadRef{kind.kind, namespace, owner.Name}, owner, ordinals}
}

// controllerRevision completes the revision of a StatefulSet or DaemonSet. A
// StatefulSet labels its Pods with the ControllerRevision's name, a DaemonSet
// with its hash. Data without a template breaks the revision.
func (r *reader) controllerRevision(object jsontree.Node) {
	metadata := object.Get("metadata")
	of := claim{metadata.Get("namespace").String(), controllerOf(metadata).key()}
	s, ok := r.sets[of]
	if !ok {
		return
	}
	name := metadata.Get("name").String()
	hash := name
	if s.owner.Kind == daemonSets.kind {
		hash = metadata.Get("labels", revisionLabel).String()
	}
	key := Key{claim: of, revision: hash}
	patch := object.Get("data", "spec", "template").Raw()
	if r.groups[key] == nil || r.postpone(key, controllerRevisions, object, patch, r.controllerRevision) {
		return
	}
	g := r.claim(key)
	template, err := templateIn(patch)
	if err != nil {
		err = fmt.Errorf("ControllerRevision %s: data.spec.template: %w", name, err)
	}
	r.ready = append(r.ready, ready{Revision: Revision{
		Key:      key,
		Workload: s.workload, Group: s.owner.Group(), Name: name, Owner: s.owner, Template: template, Pods: g.pods,
		Broken: err, Hash: hash, Ordinals: s.ordinals,
		Generation: beginning(metadata.Get("annotations", generationAnnotation), maxKind),
	}})
}

// templateIn takes the template out of a ControllerRevision's data, which is a
// strategic merge patch that replaces it. Nothing but its controllers' habit says
// what the data hold.
func templateIn(patch []byte) ([]byte, error) {
	var template map[string]json.RawMessage
	if err := json.Unmarshal(patch, &template); err != nil {
		return nil, err
	}
	if spec := template["spec"]; len(spec) == 0 || spec[0] != '{' {
		return nil, errors.New("it has no spec")
	}
	delete(template, "$patch")
	return json.Marshal(template)
}

// isOfOne reports whether an error is about the one object that was asked for:
// then it is not there, or the API server cannot give it.
func isOfOne(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsInternalError(err)
}
