package audit

import (
	"context"
	"slices"
	"sync"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// autoscalers is the reason beside differences that are not counted.
const autoscalers = "resources differ that an autoscaler sets: not counted, unless --include-autoscaled"

// autoscaling is what is known of autoscalers of Pods' size: they are read once an
// audit, when the first Pod differs.
type autoscaling struct {
	mu    sync.Mutex
	known *inventory.Autoscalers // nil: not read
}

// read returns them.
func (s *autoscaling) read(ctx context.Context, a *Audit) (*inventory.Autoscalers, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		known, err := inventory.ReadAutoscalers(ctx, a.client, a.opts.Selection, a.opts.Autoscalers.Objects)
		if err != nil {
			return nil, err
		}
		s.known = known
	}
	return s.known, nil
}

// AutoscalersOr returns the autoscalers that the audit has read; where nothing differed, so
// that it had to read none, the last ones, which it takes for its own.
func (a *Audit) AutoscalersOr(last *inventory.Autoscalers) *inventory.Autoscalers {
	a.autoscaling.mu.Lock()
	defer a.autoscaling.mu.Unlock()
	if a.autoscaling.known == nil {
		a.autoscaling.known = last
	}
	return a.autoscaling.known
}

// differ judges two Pods of a revision: see input.
func (a *Audit) differ(ctx context.Context, r inventory.Revision, live, fresh, template jsontree.Node) (verdict.Verdict, error) {
	in, err := a.input(ctx, r, live, fresh, template)
	if err != nil {
		return verdict.Verdict{}, err
	}
	return a.judgePlaced(ctx, r.Workload.Namespace, in)
}

// input is what two Pods of a revision are judged by, of which one is from the given
// template; what is left out is so besides what the options leave out.
func (a *Audit) input(ctx context.Context, r inventory.Revision, live, fresh, template jsontree.Node, left ...verdict.PathPattern) (verdict.Input, error) {
	in := verdict.Input{
		Live: live, Fresh: fresh, Template: template, DeclaredSidecars: a.opts.DeclaredSidecars, Ignore: slices.Concat(a.opts.IgnorePaths, left),
		IncludeAutoscaled: a.opts.IncludeAutoscaled, SizingAnnotations: a.opts.Autoscalers.Annotations, Annotations: a.opts.CompareAnnotations,
	}
	if !a.opts.IncludeAutoscaled {
		known, err := a.autoscaling.read(ctx, a)
		if err != nil {
			return in, err
		}
		in.Autoscalers, in.AutoscalersKnown, in.UnreadAnnotations = known.Of(r), true, known.Annotations
	}
	return in, nil
}

// unread says that autoscalers could not be read, where that may matter; else
// nothing.
func (s *autoscaling) unread() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || s.known.Unread == nil {
		return ""
	}
	return "Autoscalers could not be read, so that only annotations, if any, tell which Pods they size: " + s.known.Unread.Error()
}
