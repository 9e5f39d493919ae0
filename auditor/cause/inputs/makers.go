package inputs

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
)

// removed is the kind of change after which an injector's webhook need not select the
// namespace any more.
const removed = "containerRemoved"

// Makers are the webhook configurations, of the last look, one of which makes a change; nil
// where that is not known. webhook is CONFIGURATION/WEBHOOK, if it is known; mutators are
// those that may be, policies among them, if these are. Beside are others that see what differs
// and may rewrite it, whoever has added it: one that puts another registry before each image.
func (r *Reader) Makers(c cause.Change, webhook string, mutators []string) (makers, beside []string) {
	if configuration, _, ok := strings.Cut(webhook, "/"); ok {
		makers = []string{configuration}
	} else {
		makers = r.makers(c, mutators)
	}
	if len(makers) == 0 {
		return nil, nil // it may be anybody
	}
	for _, i := range r.injectors {
		sees := len(mutators) == 0 || among(mutators, i)
		mayRewrite := !i.isKnown || !i.known.Confined()
		if mayRewrite && sees && !slices.Contains(makers, i.configuration) && r.selects(i, c.Namespaces) {
			beside = append(beside, i.configuration)
		}
	}
	return makers, beside
}

// among reports whether one of the mutators is a webhook of the injector's.
func among(mutators []string, i injector) bool {
	return slices.ContainsFunc(mutators, func(name string) bool { return strings.HasPrefix(name, i.configuration+"/") })
}

func (r *Reader) makers(c cause.Change, mutators []string) []string {
	candidates := slices.DeleteFunc(slices.Clone(r.injectors), func(i injector) bool { return !i.isKnown || !i.known.Injects(c.Parts) })
	if len(candidates) == 0 {
		candidates = slices.DeleteFunc(slices.Clone(r.injectors), func(i injector) bool { return i.isKnown && i.known.Foreign(c.Parts) })
	}
	if len(mutators) > 0 {
		candidates = slices.DeleteFunc(candidates, func(i injector) bool { return !among(mutators, i) })
	}
	if len(mutators) > 0 && len(candidates) == 0 {
		return mutators // it is no injector's
	}
	if c.Kind != removed {
		selecting := slices.DeleteFunc(slices.Clone(candidates), func(i injector) bool { return !r.selects(i, c.Namespaces) })
		if len(selecting) > 0 {
			candidates = selecting
		}
	}
	var makers []string
	for _, i := range candidates {
		makers = append(makers, i.configuration)
	}
	return makers
}

// selects reports whether one of its webhooks is asked about each namespace.
func (r *Reader) selects(i injector, namespaces []string) bool {
	for _, name := range namespaces {
		of, known := r.labels[name]
		if known && !slices.ContainsFunc(i.selectors, func(s labels.Selector) bool { return s.Matches(labels.Set(of)) }) {
			return false
		}
	}
	return true
}
