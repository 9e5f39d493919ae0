package candidate

import (
	"context"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// ofRefused is about a Pod that is refused today. Whether the candidate's would be, too, can
// be told where injection can be switched off: a Pod without it shows what webhooks are given,
// and what the present one makes of that must be refused as the dry run was.
func (q question) ofRefused(ctx context.Context) (audit.Future, error) {
	off := q.switches()
	concerned, err := q.concerns(ctx, q.submitted)
	if err != nil {
		return audit.Future{}, err
	}
	if !concerned {
		return audit.Future{}, q.Refusal
	}
	if off == nil {
		return audit.Future{}, unknown("not previewed, as it is refused today and injection cannot be switched off to see what the injector is given: %s", q.Refusal.Reason)
	}
	before, err := q.bare(ctx, off)
	if _, refused := denial(err); refused {
		return audit.Future{}, q.Refusal // whatever is injected
	}
	if err != nil {
		return audit.Future{}, err
	}
	present, err := q.admit(ctx, before, nil)
	refusal, denied := denial(err)
	if err != nil && !denied {
		return audit.Future{}, err
	}
	if !present.replaced {
		return audit.Future{}, q.Refusal
	}
	if !denied {
		_, err = q.validated(ctx, present, present.pod, off)
		refusal, denied = denial(err)
	}
	switch {
	case err != nil && !denied:
		return audit.Future{}, err
	case !denied || refusal.State != verdict.Blocked:
		return audit.Future{}, unknown("not previewed, as the dry run is refused, and what the present webhook answers to the same Pod is not: %s", q.Refusal.Reason)
	}
	again := func(ctx context.Context) ([]byte, error) {
		pod, err := q.next(ctx, before, admitted{})
		return pod, OrUnknown(ctx, err)
	}
	pod, err := again(ctx)
	return audit.Future{Pod: pod, Again: again}, err
}

// bare is the Pod that admission makes with injection switched off, as webhooks are given it
// where nobody but the injector changes it.
func (q question) bare(ctx context.Context, off []mark) (object, error) {
	q.answer = nil // it says nothing of this one
	raw, err := encode(q.submission(q.submitted, off))
	if err != nil {
		return nil, err
	}
	made, err := q.Inject(ctx, raw)
	if err != nil {
		return nil, err
	}
	if made, err = q.restored(made, q.submitted, off); err != nil {
		return nil, err
	}
	pod, err := decodeObject(made)
	if err != nil {
		return nil, err
	}
	return withDefaults(q.asGiven(pod)), nil
}

// asGiven is a Pod of a dry run as it was before it would have been stored.
func (q question) asGiven(pod object) object {
	metadata := copyOf(child(pod, "metadata"))
	for _, field := range []string{"uid", "creationTimestamp", "resourceVersion", "generation"} {
		delete(metadata, field)
	}
	if _, named := child(q.submitted, "metadata")["name"]; !named {
		delete(metadata, "name")
	}
	pod["metadata"], pod["status"] = metadata, object{}
	return pod
}
