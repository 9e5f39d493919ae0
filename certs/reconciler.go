package certs

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// world is what a controller sees and does. It reads what is so at that moment.
// A write fails with a conflict unless its object still is what was read, and
// that is all that controllers agree by.
type world interface {
	now() time.Time
	configuration(context.Context) (configuration, error)
	secret(ctx context.Context, name string) (secret, error)
	// replicas looks what each replica serves, and trusts the given authorities.
	replicas(ctx context.Context, trust Bundle) replicas

	// reserve creates a Secret without content, and fails with a conflict if
	// there is one that has content.
	reserve(ctx context.Context, name string) error
	writeSecret(ctx context.Context, name string, read secret, change change) error
	writeBundle(ctx context.Context, read configuration, trust Bundle) error
}

// reconciler goes step by step where [policy] leads. It has one goroutine.
type reconciler struct {
	world
	policy
	authoritySecret, servingSecret string
	metrics                        *metrics

	seen   memory
	logged *string // what was last said to be waited for
}

// Reconcile looks at everything, takes one step, and comes back when the next
// one may be due. What it writes wakes it, too.
func (r *reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	next, err := r.advance(ctx)
	if apierrors.IsConflict(err) {
		// The other writer's change wakes the controller.
		log.FromContext(ctx).Info("somebody else was faster; looking again", "conflict", err.Error())
		err = nil
	}
	return reconcile.Result{RequeueAfter: next.again}, err
}

// advance takes one step and returns it.
func (r *reconciler) advance(ctx context.Context) (step, error) {
	found, err := r.look(ctx)
	if err != nil {
		return step{}, err
	}
	next, seen, err := r.next(found, r.seen)
	r.seen = seen
	if err != nil {
		return step{}, err
	}
	r.metrics.set(next.facts)
	return next, r.take(ctx, found, next)
}

// look reads the authority's Secret last of the objects. What a controller
// writes follows from it, and goes to an object that was read before and has not
// changed since: so it never undoes what another controller wrote on later
// knowledge.
func (r *reconciler) look(ctx context.Context) (found look, err error) {
	found.began = r.now()
	if found.configuration, err = r.configuration(ctx); err != nil {
		return found, err
	}
	if found.serving, err = r.secret(ctx, r.servingSecret); err != nil {
		return found, err
	}
	if found.authority, err = r.secret(ctx, r.authoritySecret); err != nil {
		return found, err
	}
	if known, others := found.authorities(); others {
		found.replicas = r.replicas(ctx, known)
	}
	found.ended = r.now()
	return found, nil
}

// take carries a step out.
func (r *reconciler) take(ctx context.Context, found look, next step) error {
	logger := log.FromContext(ctx)
	switch {
	case next.authority != nil:
		return r.write(ctx, r.authoritySecret, found.authority, *next.authority, next.reason)
	case next.trust != nil:
		if err := r.writeBundle(ctx, found.configuration, next.trust); err != nil {
			return err
		}
		logger.Info("wrote caBundle", "authorities", len(next.trust), "reason", next.reason)
	case next.serving != nil:
		return r.write(ctx, r.servingSecret, found.serving, *next.serving, next.reason)
	case r.logged == nil || *r.logged != next.waiting:
		r.tell(logger, next.waiting)
	}
	return nil
}

func (r *reconciler) write(ctx context.Context, name string, read secret, change change, reason string) error {
	logger := log.FromContext(ctx).WithValues("secret", name)
	if read.version == "" {
		if err := r.reserve(ctx, name); err != nil {
			return err
		}
		logger.Info("created Secret, without content yet", "reason", reason)
		return nil
	}
	if err := r.writeSecret(ctx, name, read, change); err != nil {
		return err
	}
	logger.Info("wrote Secret", "reason", reason)
	return nil
}

// tell logs what a change of the authority waits for, once.
func (r *reconciler) tell(logger logr.Logger, waiting string) {
	if r.logged = &waiting; waiting == "" {
		logger.Info("the authority and what depends on it are as they should be")
		return
	}
	logger.Info("waiting", "reason", waiting)
}
