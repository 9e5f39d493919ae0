package candidate

import (
	"context"
	"fmt"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Describe says who answers for which webhooks.
func (c *Candidates) Describe(p *report.Preview) { p.Webhooks = c.described }

// question is about one Pod, with what a dry run of it gave.
type question struct {
	asking
	audit.Asked
	submitted, answer object
}

// Future returns what admission would make of a Pod if the candidates answered. The error is
// a *[injection.Refusal], unless the context is done.
func (c *Candidates) Future(ctx context.Context, asked audit.Asked) (audit.Future, error) {
	future, err := c.foresee(ctx, asked)
	return future, orUnknown(ctx, err)
}

func (c *Candidates) foresee(ctx context.Context, asked audit.Asked) (audit.Future, error) {
	as, err := c.asker(ctx, asked.As, asked.Controller)
	if err != nil {
		return audit.Future{}, err
	}
	namespace, err := c.chain.Namespace(ctx, asked.Namespace)
	if err != nil {
		return audit.Future{}, err
	}
	q := question{asking: asking{c, as, namespace.Labels}, Asked: asked}
	if q.submitted, err = decodeObject(asked.Submitted); err != nil {
		return audit.Future{}, fmt.Errorf("submitted Pod: %w", err)
	}
	if asked.Answer == nil {
		return q.ofRefused(ctx)
	}
	if q.answer, err = decodeObject(asked.Answer); err != nil {
		return audit.Future{}, fmt.Errorf("fresh Pod: %w", err)
	}
	before, err := given(q.submitted, q.answer, asked.Answer)
	if err != nil {
		return audit.Future{}, err
	}
	concerned, err := q.concerns(ctx, before)
	if err != nil {
		return audit.Future{}, err
	}
	if !concerned {
		return q.unchanged(), nil
	}
	before, present, note, err := q.check(ctx, before)
	if err != nil {
		return audit.Future{}, err
	}
	if !present.replaced {
		return q.unchanged(), nil
	}
	again := func(ctx context.Context) ([]byte, error) {
		pod, err := q.next(ctx, before, present)
		return pod, orUnknown(ctx, err)
	}
	pod, err := again(ctx)
	return audit.Future{Pod: pod, Again: again, Note: note}, err
}

// unchanged is the Pod of today, about which no candidate is asked.
func (q question) unchanged() audit.Future {
	return audit.Future{Pod: q.Answer, Again: func(ctx context.Context) ([]byte, error) { return q.Inject(ctx, q.Submitted) }}
}

// concerns reports whether a candidate may be asked about the Pod: it is, or another webhook
// is asked before it, which may change what is selected by.
func (q question) concerns(ctx context.Context, pod object) (bool, error) {
	for _, h := range q.hooks {
		asked, err := h.asked(ctx, q.compiler, q.namespace, pod, q.as)
		switch {
		case err != nil && h.candidate != nil:
			return false, fmt.Errorf("whether %s is asked is not known: %w", h.name(), err)
		case asked && !h.ours():
			return true, nil
		}
	}
	return false, nil
}

// check asks the webhooks of now, and returns the Pod that they are asked about and what they
// make of it. That must be what the dry run gave; where it is not, what is left is taken for
// others' that were there before, if there are any who may have added it.
func (q question) check(ctx context.Context, before object) (_ object, present admitted, note string, err error) {
	present, differing, err := q.admitPresent(ctx, before)
	if err != nil || len(differing) == 0 {
		return before, present, "", err
	}
	others := q.takenForGranted(ctx, present)
	if len(others) == 0 && !byPluginsAlone(differing) {
		return nil, present, "", selfCheckFailed(differing)
	}
	before = grafted(before, present.pod, q.answer)
	if present, differing, err = q.admitPresent(ctx, before); err != nil {
		return nil, present, "", err
	}
	if len(differing) > 0 {
		return nil, present, "", selfCheckFailed(differing)
	}
	if len(others) > 0 {
		note = fmt.Sprintf("what %s adds was taken from the dry run, as they could not be asked", strings.Join(others, ", "))
	}
	return before, present, note, nil
}

func selfCheckFailed(differing []verdict.Change) error {
	return unknown("not previewed, as the present webhook does not answer as it did in the dry run, at %s: it goes by something that cannot be reconstructed (--ignore-path leaves places out)", placesOf(differing))
}

func (q question) admitPresent(ctx context.Context, pod object) (admitted, []verdict.Change, error) {
	present, err := q.admit(ctx, pod, false)
	if refusal, denied := denial(err); denied {
		return present, nil, unknown("not previewed, as the present webhook denies the Pod that it let pass in the dry run: %s", refusal.Reason)
	}
	if err != nil {
		return present, nil, fmt.Errorf("%w; --present says where it can be reached from here", err)
	}
	raw, err := encode(present.pod)
	if err != nil {
		return present, nil, err
	}
	differing, err := q.differs(q.Answer, raw, q.Submitted)
	return present, differing, err
}

// takenForGranted are those who change the Pod and cannot be asked from here.
func (q question) takenForGranted(ctx context.Context, present admitted) []string {
	var others []string
	seen := map[*hook]bool{}
	for _, h := range present.unreached {
		if !seen[h] {
			others = append(others, h.name())
		}
		seen[h] = true
	}
	if !q.policies {
		return others
	}
	steps, err := q.chain.Steps(ctx, q.Namespace, q.Submitted)
	if err != nil {
		return others
	}
	for _, step := range steps {
		if step.Kind == injection.MutatingPolicy && step.Match != injection.MatchesNot {
			others = append(others, step.Name)
		}
	}
	return others
}

// byPluginsAlone reports whether all that differs may be in-tree plugins'.
func byPluginsAlone(differing []verdict.Change) bool {
	for _, c := range differing {
		field, _, _ := strings.Cut(strings.ReplaceAll(c.Path, "[", "."), ".")
		switch {
		case strings.HasPrefix(c.Part, "app/") && field == "resources":
		case c.Part == "pod" && (field == "imagePullSecrets" || field == "nodeSelector" || field == "tolerations" || field == "runtimeClassName" || field == "schedulingGates"):
		default:
			return false
		}
	}
	return true
}

// next is what the candidates make of the Pod that was given to webhooks, as far as the API
// server, or others, would let it pass.
func (q question) next(ctx context.Context, before object, present admitted) ([]byte, error) {
	made, err := q.admit(ctx, before, true)
	if err != nil {
		return nil, err
	}
	kept := made.pod
	if present.pod != nil {
		kept = q.keep(made.pod, present.pod)
	}
	if off := q.switches(); off != nil {
		return q.validated(ctx, made, kept, off)
	}
	return q.validatedAsTemplate(ctx, kept)
}

// keep has the Pod keep what others, and in-tree plugins, do to it after webhooks: what the dry run
// has beyond the present ones' answer.
func (q question) keep(made, present object) object {
	kept := grafted(made, present, q.answer)
	metadata := copyOf(child(kept, "metadata"))
	for _, field := range []string{"name", "uid", "creationTimestamp", "managedFields"} {
		if value, has := child(q.answer, "metadata")[field]; has {
			metadata[field] = value
		}
	}
	kept["metadata"] = withoutOurs(metadata)
	if status, has := q.answer["status"]; has {
		kept["status"] = status
	}
	return kept
}

func denial(err error) (*injection.Refusal, bool) {
	refusal, is := err.(*injection.Refusal) //nolint:errorlint // a denial comes as it is
	return refusal, is
}
