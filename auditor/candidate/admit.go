package candidate

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
)

// asking is about one Pod.
type asking struct {
	*Candidates
	as        user.Info
	namespace labels.Set
}

// admitted is what webhooks have made of a Pod.
type admitted struct {
	pod object
	// unreached are webhooks that the API server asks and we cannot.
	unreached []*hook
	// replaced: one for which there is a candidate was asked.
	replaced bool
	// others: so was another one that changes Pods, or should have been.
	others bool
	// steps are what each has changed.
	steps []step
}

// step is the Pod before and after a webhook was asked.
type step struct {
	of            *hook
	before, after object
}

// typed returns what a webhook has made of a Pod if that is a Pod still. What the present one has
// made of it, too, has passed the API server, in the dry run.
func (a *admitted) typed(h *hook, pod object) (object, error) {
	for _, s := range a.steps {
		if s.of == h && reflect.DeepEqual(s.after, pod) {
			return s.after, nil
		}
	}
	return pod, typed(pod)
}

// admit asks the webhooks as the API server does: in their order, and those that are to be
// reinvoked once more, where something has changed since (KEP 1027; what is asked again is
// k8s.io/apiserver/pkg/admission/plugin/webhook/mutating's). Candidates answer, where there is
// one, if it is known what the present ones have made of the Pod. An error is a denial, or that
// one for which there is a candidate gave no answer.
func (a asking) admit(ctx context.Context, pod object, present *admitted) (admitted, error) {
	result := admitted{pod: pod}
	var reinvocable, again hookSet // asked before, and to be asked again
	reinvoke := false
	for _, h := range a.hooks {
		changed, asked, err := a.askOne(ctx, h, &result, present)
		if err != nil {
			return result, err
		}
		if changed {
			again.addAll(&reinvocable)
			reinvoke = true
		}
		if asked && h.reinvoked() {
			reinvocable.add(h)
		}
	}
	if !reinvoke {
		return result, nil
	}
	before := result.pod
	if result.pod = inTree(before); !reflect.DeepEqual(before, result.pod) {
		again.addAll(&reinvocable)
	}
	for _, h := range a.hooks {
		if !again.has(h) {
			continue
		}
		changed, asked, err := a.askOne(ctx, h, &result, present)
		if err != nil {
			return result, err
		}
		if changed {
			again.addAll(&reinvocable)
		}
		if asked && h.reinvoked() {
			reinvocable.add(h)
		}
	}
	return result, nil
}

// askOne asks a webhook about the Pod as it is by now, if the API server does.
func (a asking) askOne(ctx context.Context, h *hook, result, present *admitted) (changed, asked bool, err error) {
	asked, err = h.asked(ctx, a.compiler, a.namespace, result.pod, a.as)
	switch {
	case err != nil:
		return false, false, fmt.Errorf("whether %s is asked is not known: %w", h.name(), err)
	case !asked:
		return false, false, nil
	case h.ours():
		return true, true, nil // it annotates; that nothing but itself looks at
	}
	if h.candidate != nil {
		result.replaced = true
	} else {
		result.others = true
	}
	to, who := h.present, h.name()
	if present != nil && h.candidate != nil {
		to, who = h.candidate, "the candidate for "+h.name()
	}
	if to == nil {
		err = h.unreached
	} else {
		var after object
		after, err = h.ask(ctx, to, result.pod, a.as)
		if err == nil && present != nil {
			after, err = present.typed(h, after)
		}
		if err == nil {
			if changed = !reflect.DeepEqual(result.pod, after); changed {
				result.steps = append(result.steps, step{h, result.pod, after})
			}
			result.pod = after
			return changed, true, nil
		}
	}
	if ctx.Err() != nil {
		return false, false, context.Cause(ctx)
	}
	if _, denied := errors.AsType[*injection.Refusal](err); denied {
		return false, true, err
	}
	if h.candidate == nil {
		result.unreached = append(result.unreached, h)
		return false, true, nil
	}
	return false, true, fmt.Errorf("%s does not answer: %w", who, err)
}

// hookSet is a few webhooks.
type hookSet map[*hook]bool

func (s *hookSet) add(h *hook) {
	if *s == nil {
		*s = hookSet{}
	}
	(*s)[h] = true
}

func (s hookSet) has(h *hook) bool { return s[h] }

// addAll moves all of another set into this one.
func (s *hookSet) addAll(other *hookSet) {
	for h := range *other {
		s.add(h)
	}
	clear(*other)
}
