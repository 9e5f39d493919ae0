package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Admission is the webhooks and policies that Pods pass. They are read once, when somebody
// first asks. Some look at who creates a Pod: an audit is another one than the Pod's own
// controller. The zero value is ready to use, by several goroutines.
type Admission struct {
	mu     sync.Mutex
	read   bool
	wanted bool             // somebody needed to know
	chain  *injection.Chain // nil: not readable
	err    error            // why it is not

	apart   *injection.Namespaces // where there is no chain
	refused map[string]error      // namespaces whose labels could not be read, and why
}

// all returns the chain; nil where it cannot be read.
func (s *Admission) all(ctx context.Context, client rest.Interface) *injection.Chain {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readOnce(ctx, client)
}

func (s *Admission) readOnce(ctx context.Context, client rest.Interface) *injection.Chain {
	if !s.read {
		s.read = true
		s.chain, s.err = injection.ReadChain(ctx, client)
	}
	return s.chain
}

// Steps returns what the creation of the Pod, or of Pods of the template, passes,
// and what the namespace says of itself; none where that cannot be read.
func (s *Admission) Steps(ctx context.Context, client rest.Interface, namespace string, pod []byte) ([]injection.Step, injection.NamespaceMetadata) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = true
	if s.readOnce(ctx, client) == nil {
		return nil, injection.NamespaceMetadata{}
	}
	// What is wrong with one namespace, which is just being deleted, say, is no note
	// on all.
	steps, err := s.chain.Steps(ctx, namespace, pod)
	if err != nil {
		return nil, injection.NamespaceMetadata{}
	}
	metadata, _ := s.chain.Namespace(ctx, namespace) // which Steps has read
	return steps, metadata
}

// Passes reports whether a revision's Pods pass, or may pass, what one of the objects
// defines.
func (s *Admission) Passes(ctx context.Context, client rest.Interface, r inventory.Revision, objects []string) bool {
	if r.Template == nil {
		return true // its labels are not known yet
	}
	steps, _ := s.Steps(ctx, client, r.Workload.Namespace, r.Template)
	return steps == nil || slices.ContainsFunc(steps, func(step injection.Step) bool {
		return step.Match != injection.MatchesNot && slices.ContainsFunc(objects, func(o string) bool { return slices.Contains(step.Objects, o) })
	})
}

// Forget has a namespace read again that has changed.
func (s *Admission) Forget(namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.refused, namespace)
	if s.chain != nil {
		s.chain.ForgetNamespace(namespace)
	}
	if s.apart != nil {
		s.apart.Forget(namespace)
	}
}

// nameMutators says what might have made the difference.
func (a *Audit) nameMutators(ctx context.Context, f *Finding, r inventory.Revision) {
	if f.Revision.Mutators = nil; len(f.Revision.Changes) == 0 || f.Submitted == nil {
		return
	}
	steps, _ := a.Admission.Steps(ctx, a.client, r.Workload.Namespace, f.Submitted)
	for _, step := range injection.Changing(steps) {
		if step.Injects() || step.Kind == injection.MutatingPolicy {
			f.Revision.Mutators = append(f.Revision.Mutators, step.Name)
		}
	}
}

// markAsker calls a verdict approximate that may be about who asked, where that was
// not the Pod's controller: what differs where something that changes Pods decides by
// that, or a refusal by one that does.
func (a *Audit) markAsker(ctx context.Context, f *Finding, r inventory.Revision) {
	var decides func(injection.Step) bool
	switch f.Revision.State {
	case verdict.Drifted, verdict.Missing, verdict.Orphaned:
		decides = func(s injection.Step) bool {
			return s.Kind == injection.MutatingWebhook || s.Kind == injection.MutatingPolicy
		}
	case verdict.Blocked:
		decides = func(s injection.Step) bool {
			return names(f.Revision.Reason, s.Name[strings.Index(s.Name, "/")+1:])
		}
	default:
		return
	}
	if f.Revision.Approximate {
		return
	}
	asked := f.Revision.AskedAs != ""
	if !asked && strings.Contains(f.Revision.Reason, "security context constraint") { // OpenShift's admission, which is no webhook
		f.Revision.Approximate = true
		f.Also("OpenShift chooses a constraint by who creates a Pod, and may let its controller: docs/install.md#asking-as-the-controller says how to ask as that")
		return
	}
	steps, _ := a.Admission.Steps(ctx, a.client, r.Workload.Namespace, r.Template)
	at := slices.IndexFunc(steps, func(s injection.Step) bool {
		switch {
		case s.Match == injection.MatchesNot || !decides(s):
			return false
		case s.ByName():
			return f.Refusal == nil && s.Ignored(r.Template, f.Revision.Sidecars, f.Revision.Loses)
		}
		return s.LooksAtAsker && !asked
	})
	if at < 0 {
		return
	}
	f.Revision.Approximate = true
	reason := fmt.Sprintf("%s looks at who creates a Pod, and may answer its controller otherwise: docs/install.md#asking-as-the-controller says how to ask as that", steps[at].Name)
	if steps[at].Asks != "" {
		reason += "; " + steps[at].Asks
	}
	f.Also(reason)
}

// names reports whether a refusal names the webhook or policy, as the API server
// quotes either.
func names(refusal, name string) bool {
	return strings.Contains(refusal, `"`+name+`"`) || strings.Contains(refusal, "'"+name+"'")
}

// unread says that webhooks and policies could not be read, where that may
// matter; else nothing.
func (s *Admission) unread() string {
	if s.err == nil || !s.wanted {
		return ""
	}
	return "Webhooks and policies could not be read, so that those that look at who creates a Pod are not named: " + s.err.Error()
}
