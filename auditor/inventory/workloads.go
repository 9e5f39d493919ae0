package inventory

import (
	"context"
	"fmt"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// workloads knows which objects there are of the kinds that control ReplicaSets
// and Jobs: what one of those says of its controller is as much anybody's text as
// what a Pod says. It may be used concurrently, and for as long as one likes: a UID
// is never given twice.
type workloads struct {
	client    rest.Interface
	selection Selection
	few       bool // objects are read by name; else all of a kind at once

	mu     sync.Mutex
	known  map[claim]bool     // where it is not there, it was looked for
	listed map[resource]error // the kinds that were read, and why one could not be

	// Of those that are read by name: as many as most were read or asked for since the
	// others, which are in before and will be forgotten next.
	most   int
	before map[claim]bool
}

func newWorkloads(client rest.Interface, selection Selection, few bool) *workloads {
	return &workloads{client: client, selection: selection, few: few, known: map[claim]bool{}, listed: map[resource]error{}}
}

// controllers are the kinds that control ReplicaSets and Jobs.
var controllers = []resource{deployments, rollouts, cronJobs}

// ownsOthers reports whether the owner is of a kind whose Pods are those of the
// ReplicaSets or Jobs that it controls. Flink has Pods that a Deployment controls
// itself: they are nothing that the Deployment would create again.
func ownsOthers(o Owner) bool {
	return slices.ContainsFunc(controllers, func(kind resource) bool { return kind.owns(o) })
}

// exist reports whether the controller that an object of the namespace names is
// there. Of kinds that are not known it takes the object's word: nothing is done
// about them, and in no other namespace. An error is what keeps it from being known.
func (w *workloads) exist(ctx context.Context, c claim, named Owner) (bool, error) {
	for _, kind := range controllers {
		if kind.owns(named) && named.check() == nil {
			return w.existOf(ctx, kind, c)
		}
	}
	return named.check() == nil, nil
}

func (w *workloads) existOf(ctx context.Context, kind resource, c claim) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if there, known := w.known[c]; known {
		return there, nil
	}
	if there, known := w.before[c]; known {
		w.remember(c, there)
		return there, nil
	}
	if w.few {
		return w.get(ctx, kind, c)
	}
	err, listed := w.listed[kind]
	if !listed {
		err = w.list(ctx, kind)
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		w.listed[kind] = err
	}
	return w.known[c], err
}

// leastMost is how many are remembered though fewer Pods' owners live.
const leastMost = 1_000

// forOwners says how many owners of Pods there are: so many workloads are remembered, twice
// as many at most.
func (w *workloads) forOwners(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.most = max(n, leastMost)
}

func (w *workloads) remember(c claim, there bool) {
	if len(w.known) >= w.most {
		w.before, w.known = w.known, map[claim]bool{}
	}
	w.known[c] = there
}

func (w *workloads) get(ctx context.Context, kind resource, c claim) (bool, error) {
	raw, err := get(ctx, w.client, kind, c.namespace, c.owner.name)
	if apierrors.IsNotFound(err) {
		w.remember(c, false)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	object, err := jsontree.Parse(raw)
	if err != nil {
		return false, fmt.Errorf("%s %s/%s: %w", kind.kind, c.namespace, c.owner.name, err)
	}
	there := claimOf(kind, object) == c
	w.remember(c, there)
	return there, nil
}

// list reads the metadata of all objects of a kind.
func (w *workloads) list(ctx context.Context, kind resource) error {
	for _, namespace := range w.selection.workloadNamespaces() {
		q := query{resource: kind, namespace: namespace, fields: w.selection.fieldSelector(), metadata: true}
		err := retryUnread(func() error {
			return list(ctx, w.client, q, func(raw []byte) error {
				if object, err := jsontree.Parse(raw); err == nil {
					w.add(kind, object)
				}
				return nil
			}, func() error { return nil })
		})
		if apierrors.IsNotFound(err) {
			return nil // the API server does not know the kind
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *workloads) add(kind resource, object jsontree.Node) { w.known[claimOf(kind, object)] = true }

// claimOf is what is said of an object by those that it controls.
func claimOf(kind resource, object jsontree.Node) claim {
	metadata := object.Get("metadata")
	return claim{metadata.Get("namespace").String(), ownerFrom(metadata, kind).key()}
}
