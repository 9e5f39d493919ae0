package policies

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/candidate"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

var _ audit.Candidate = (*Policies)(nil)

// Describe names the policies.
func (p *Policies) Describe(of *report.Report) {
	of.Preview.Policies = p.set.Names
	of.Notes = append(of.Notes, p.set.notes...)
}

// Future returns what admission would make of a Pod if the policies were in the cluster, too.
// A Pod that is refused today stays so. The error is a *[injection.Refusal], unless the context
// is done.
func (p *Policies) Future(ctx context.Context, asked audit.Asked) (audit.Future, error) {
	if asked.Refusal != nil {
		if policy := p.set.otherVersion(asked.Refusal.Reason); policy != "" {
			return audit.Future{}, candidate.OrUnknown(ctx, fmt.Errorf("as the present version of the policy %s refuses it today: %s", policy, asked.Refusal.Reason))
		}
		return audit.Future{}, asked.Refusal
	}
	as, err := p.askers.Of(ctx, asked.As, asked.Controller)
	if err != nil {
		return audit.Future{}, candidate.OrUnknown(ctx, err)
	}
	submit, changed, err := p.mutated(ctx, asked, as)
	if err != nil {
		return audit.Future{}, candidate.OrUnknown(ctx, err)
	}
	q := question{p, asked, as, submit}
	fresh := asked.Answer
	if changed {
		if fresh, err = asked.Inject(ctx, submit); err != nil {
			return audit.Future{}, err
		}
	}
	warnings, err := q.judge(ctx, fresh)
	if err != nil {
		return audit.Future{}, candidate.OrUnknown(ctx, err)
	}
	return audit.Future{Pod: fresh, Again: q.again, Note: noteOf(warnings)}, nil
}

// question is about one Pod.
type question struct {
	*Policies
	audit.Asked
	as     user.Info
	submit []byte // the Pod, with what mutating policies make of it
}

func (q question) again(ctx context.Context) ([]byte, error) {
	fresh, err := q.Inject(ctx, q.submit)
	if err != nil {
		return nil, err
	}
	_, err = q.judge(ctx, fresh)
	return fresh, candidate.OrUnknown(ctx, err)
}

// mutated is the Pod to submit: with what mutating policies make of it, if they change
// anything.
func (p *Policies) mutated(ctx context.Context, asked audit.Asked, as user.Info) (submit []byte, changed bool, err error) {
	if p.mutating == nil {
		return asked.Submitted, false, nil
	}
	pod, err := candidate.Given(asked.Submitted, asked.Answer)
	if err != nil {
		return nil, false, err
	}
	c := newCreation(asked.Namespace, runtime.DeepCopyJSON(pod), as)
	if err := p.asked(ctx, c, p.admit); err != nil {
		return nil, false, err
	}
	after := c.object.Object
	if reflect.DeepEqual(pod, after) {
		return asked.Submitted, false, nil
	}
	delete(after, "status")
	if metadata, ok := after["metadata"].(map[string]any); ok {
		delete(metadata, "managedFields")
	}
	submit, err = json.Marshal(after)
	if err != nil {
		return nil, false, fmt.Errorf("Pod of the mutating policies: %w", err)
	}
	return submit, true, nil
}

// judge has the validating policies judge a fresh Pod, and returns what they warn of.
func (q question) judge(ctx context.Context, fresh []byte) (warnings []string, err error) {
	if q.validating == nil {
		return nil, nil
	}
	var pod map[string]any
	if err := utiljson.Unmarshal(fresh, &pod); err != nil {
		return nil, fmt.Errorf("fresh Pod: %w", err)
	}
	c := newCreation(q.Namespace, pod, q.as)
	err = q.asked(ctx, c, q.validate)
	return c.warnings, err
}

// asked has policies answer, and makes of their refusal what an audit makes of the API
// server's. Where the caller could not ask on their behalf who may do what, nothing is known.
func (p *Policies) asked(ctx context.Context, c *creation, ask func(context.Context, *creation) error) error {
	ctx, unanswered := withReviews(ctx)
	err := ask(ctx, c)
	if failed := unanswered(); failed != nil {
		return fmt.Errorf("a policy asks what this identity may not ask, or read: %w", failed)
	}
	if err == nil {
		return nil
	}
	if _, is := errors.AsType[*apierrors.StatusError](err); !is {
		return err
	}
	return injection.Classify(err)
}

// mostWarnings is how many of a Pod's are told.
const mostWarnings = 3

func noteOf(warnings []string) string {
	if len(warnings) == 0 {
		return ""
	}
	note := "policies would warn: " + strings.Join(warnings[:min(len(warnings), mostWarnings)], "; ")
	if more := len(warnings) - mostWarnings; more > 0 {
		note += fmt.Sprintf(" (+%d more)", more)
	}
	return note
}
