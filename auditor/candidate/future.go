package candidate

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Describe says who answers for which webhooks, and how the answers were validated.
func (c *Candidates) Describe(found *report.Report) {
	found.Preview.Webhooks = c.described
	if c.asTemplate.Load() {
		found.Notes = append(found.Notes, "No way is known to keep one of these injectors from a Pod, so that what was made of these was validated as PodTemplates: PodSecurity, quotas, policies and validating webhooks were not asked.")
	}
	if why := c.unvalidated.Load(); why != nil {
		found.Notes = append(found.Notes, "What candidates made of Pods was not validated, as no PodTemplate could be created in a dry run: "+*why)
	}
}

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
	return future, OrUnknown(ctx, err)
}

func (c *Candidates) foresee(ctx context.Context, asked audit.Asked) (audit.Future, error) {
	as, err := c.askers.Of(ctx, asked.As, asked.Controller)
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
	concerned, err := q.concerns(ctx, before, q.answer)
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
		return pod, OrUnknown(ctx, err)
	}
	pod, err := again(ctx)
	return audit.Future{Pod: pod, Again: again, Note: note}, err
}

// unchanged is the Pod of today, about which no candidate is asked.
func (q question) unchanged() audit.Future {
	return audit.Future{Pod: q.Answer, Again: func(ctx context.Context) ([]byte, error) { return q.Inject(ctx, q.Submitted) }}
}

// concerns reports whether a candidate may be asked about a Pod, at one of its stages: others
// may have changed what it is selected by.
func (q question) concerns(ctx context.Context, stages ...object) (bool, error) {
	for _, h := range q.hooks {
		if h.candidate == nil {
			continue
		}
		for _, pod := range stages {
			asked, err := h.asked(ctx, q.compiler, q.namespace, pod, q.as)
			if err != nil {
				return false, fmt.Errorf("whether %s is asked is not known: %w", h.name(), err)
			}
			if asked {
				return true, nil
			}
		}
	}
	return false, nil
}

// check asks the webhooks of now, and returns the Pod that they are asked about and what they
// make of it. That must be what the dry run gave; where it is not, what is left is taken for
// others' that were there before, if there are any who may have added it.
func (q question) check(ctx context.Context, before object) (_ object, present admitted, note string, err error) {
	present, differing, err := q.admitPresent(ctx, before)
	if err == nil && len(differing) > 0 {
		differing, err = q.unexplained(present, differing)
	}
	if err != nil || len(differing) == 0 {
		return before, present, "", err
	}
	others := q.takenForGranted(ctx, present)
	if len(others) == 0 && !present.replaced {
		return before, present, "", nil // whatever it is, the candidate has no part in it
	}
	if len(others) == 0 && !byPluginsAlone(differing) {
		return q.checkBare(ctx, present, differing)
	}
	before = grafted(before, present.pod, q.answer)
	if present, differing, err = q.admitPresent(ctx, before); err == nil && len(differing) > 0 {
		differing, err = q.unexplained(present, differing)
	}
	if err != nil {
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

// checkBare checks once more, with the Pod that the API server itself makes with injection
// switched off, where that is known and the injector is the only one: in-tree plugins may have
// set what the dry run does not tell from what is injected.
func (q question) checkBare(ctx context.Context, failed admitted, differing []verdict.Change) (_ object, present admitted, note string, err error) {
	off := q.switches()
	if off == nil || failed.others {
		return nil, failed, "", selfCheckFailed(differing)
	}
	before, err := q.bare(ctx, off)
	if _, refused := denial(err); refused {
		return nil, failed, "", selfCheckFailed(differing)
	}
	if err != nil {
		return nil, failed, "", err
	}
	present, still, err := q.admitPresent(ctx, before)
	if err != nil {
		return nil, present, "", err
	}
	if len(still) > 0 {
		return nil, present, "", selfCheckFailed(differing)
	}
	return before, present, "", nil
}

func selfCheckFailed(differing []verdict.Change) error {
	return unknown("not previewed, as the present webhook does not answer as it did in the dry run, at %s: it goes by something that cannot be reconstructed (--ignore-path leaves places out)", placesOf(differing))
}

func (q question) admitPresent(ctx context.Context, pod object) (admitted, []verdict.Change, error) {
	present, err := q.admit(ctx, pod, nil)
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
	made, err := q.admit(ctx, before, &present)
	if err != nil {
		return nil, err
	}
	kept := made.pod
	if present.pod != nil {
		if reflect.DeepEqual(made.pod, present.pod) {
			return q.Answer, nil // which the API server has validated
		}
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

func denial(err error) (*injection.Refusal, bool) { return errors.AsType[*injection.Refusal](err) }
