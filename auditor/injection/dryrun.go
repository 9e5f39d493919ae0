package injection

import (
	"context"
	"errors"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

// Injector asks the API server what admission would make of Pods. Its methods
// may be called concurrently.
type Injector struct {
	client  rest.Interface
	breaker *breaker
}

// attempts is how often a dry run is asked for whose answer is lost on its way.
const attempts = 3

// New returns an Injector. The client decides when its requests are sent, and sends
// those again that the API server has no time for (429 and Retry-After).
func New(client rest.Interface, log logr.Logger) *Injector {
	return &Injector{client: client, breaker: newBreaker(client, log)}
}

// Inject creates the Pod in a dry run, as somebody, and returns what would be stored, as JSON. The error is a *[Refusal], unless the context is done.
//
// Nothing is tried twice but what the API server says should be, and what it did
// not answer to the end: a webhook that is down costs its timeout each time. When
// three calls to one have failed in a row in a namespace, what it would be called for
// there is asked about again only after a pause, which grows until it answers.
func (i *Injector) Inject(ctx context.Context, namespace string, pod []byte, as Identity) ([]byte, error) {
	if refusal := i.breaker.refuse(ctx, namespace, pod); refusal != nil {
		return nil, refusal
	}
	for attempt := 1; ; attempt++ {
		request := i.client.Post().
			AbsPath("/api/v1").Namespace(namespace).Resource("pods").
			Param("dryRun", "All").
			SetHeader("Content-Type", "application/json").
			Body(pod)
		as.impersonate(request)
		result := request.Do(ctx)
		err := result.Error()
		if err == nil {
			i.breaker.note(ctx, namespace, pod, nil)
			return result.Raw()
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if _, answered := errors.AsType[*apierrors.StatusError](err); !answered && attempt < attempts {
			continue
		}
		refusal := Classify(err)
		i.breaker.note(ctx, namespace, pod, refusal)
		return nil, refusal
	}
}
