package injection

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

const (
	// failuresToOpen is how many calls to a webhook must fail, one after the other,
	// before nothing is asked any more that it would be called for: in one namespace
	// for that namespace, and in so many namespaces for all. Some Pods, of more than a
	// megabyte say, make every call fail; who creates those speaks for no other
	// namespace.
	failuresToOpen = 3
	// firstOpen is how long it is then left alone; after each further failure twice
	// as long, up to longestOpen.
	firstOpen   = 10 * time.Second
	longestOpen = 2 * time.Minute
	// everywhere stands for all namespaces. No namespace is called so.
	everywhere = ""
)

// breaker remembers the webhooks that are down. It is about outages: an answer of a
// webhook makes good what it failed before.
type breaker struct {
	client rest.Interface
	log    logr.Logger

	namespaces *Namespaces

	mu       sync.Mutex
	webhooks map[string]*failing // by name, those of which a call failed
}

// failing is a webhook that did not answer last.
type failing struct {
	reason      string
	definitions []definition
	circuits    map[string]*circuit // by namespace, and that of everywhere
	// in are the namespaces that it failed in since it last answered anywhere.
	in map[string]bool
}

// circuit is how a webhook does in one namespace, or everywhere.
type circuit struct {
	failures int // since the last answer; of everywhere, the namespaces with some

	open  bool
	until time.Time // when the next one may try
	pause time.Duration
	tried bool // somebody does
}

func newBreaker(client rest.Interface, log logr.Logger) *breaker {
	return &breaker{client: client, log: log, namespaces: NewNamespaces(client), webhooks: map[string]*failing{}}
}

// note takes down what became of a dry run: nil, or why there was no Pod.
func (b *breaker) note(ctx context.Context, namespace string, pod []byte, refusal *Refusal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case refusal == nil:
		b.answered(ctx, namespace, pod)
	case refusal.Webhook != "":
		b.failed(ctx, namespace, refusal)
	}
}

// answered forgets the failures of the webhooks that were called for a Pod.
func (b *breaker) answered(ctx context.Context, namespace string, pod []byte) {
	for name, f := range b.webhooks {
		if !b.calls(ctx, f, namespace, pod) {
			continue
		}
		for _, of := range []string{namespace, everywhere} {
			if c := f.circuits[of]; c != nil && c.open {
				b.log.Info("A webhook is back: what it is called for is asked about again", "webhook", name, "in", whereOf(of))
			}
			delete(f.circuits, of)
		}
		clear(f.in)
		if len(f.circuits) == 0 {
			delete(b.webhooks, name)
		}
	}
}

// failed counts a failure. At the third one in a row the webhook is left alone.
func (b *breaker) failed(ctx context.Context, namespace string, refusal *Refusal) {
	f := b.webhooks[refusal.Webhook]
	if f == nil {
		definitions, err := b.definitions(ctx, refusal.Webhook)
		if err != nil {
			b.log.Error(err, "Cannot tell what a webhook that is down is called for: every workload is asked about", "webhook", refusal.Webhook)
			return
		}
		f = &failing{definitions: definitions, circuits: map[string]*circuit{}, in: map[string]bool{}}
		b.webhooks[refusal.Webhook] = f
	}
	f.reason, f.in[namespace] = refusal.Reason, true
	f.circuit(namespace).failures++
	f.circuit(everywhere).failures = len(f.in)
	for _, of := range []string{namespace, everywhere} {
		if f.circuit(of).fail(time.Now()) {
			b.log.Info("A webhook is down: what it is called for is not asked about for a while",
				"webhook", refusal.Webhook, "in", whereOf(of), "failure", refusal.Reason)
		}
	}
}

func whereOf(namespace string) string {
	if namespace == everywhere {
		return "all namespaces"
	}
	return namespace
}

func (f *failing) circuit(of string) *circuit {
	if f.circuits[of] == nil {
		f.circuits[of] = &circuit{pause: firstOpen}
	}
	return f.circuits[of]
}

// fail reports whether it opened the circuit. Failures of what was under way then say
// nothing new.
func (c *circuit) fail(now time.Time) (opened bool) {
	switch {
	case c.open && c.tried:
		c.tried, c.pause = false, min(2*c.pause, longestOpen)
		c.until = now.Add(c.pause)
	case !c.open && c.failures >= failuresToOpen:
		c.open, c.until = true, now.Add(c.pause)
		return true
	}
	return false
}

// refuses reports whether nothing is to be asked now. After each pause one may try.
func (c *circuit) refuses(now time.Time) bool {
	if c == nil || !c.open {
		return false
	}
	if now.Before(c.until) {
		return true
	}
	c.tried, c.until = true, now.Add(c.pause)
	return false
}

func (b *breaker) definitions(ctx context.Context, webhook string) ([]definition, error) {
	var all []definition
	for _, plural := range []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations"} {
		list, err := b.client.Get().AbsPath("/apis/admissionregistration.k8s.io/v1/" + plural).Do(ctx).Raw()
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", plural, err)
		}
		found, err := definitionsNamed(webhook, list)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", plural, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// calls reports whether the webhook must be called for the Pod.
func (b *breaker) calls(ctx context.Context, f *failing, namespace string, pod []byte) bool {
	inNamespace, err := b.namespaces.labels(ctx, namespace)
	if err != nil {
		b.log.Error(err, "Cannot tell whether a webhook that is down is called in a namespace", "namespace", namespace)
		return false
	}
	onPod, err := labelsOf(pod)
	if err != nil {
		return false // the API server says what is wrong with it
	}
	return slices.ContainsFunc(f.definitions, func(d definition) bool { return d.mustBeCalled(inNamespace, onPod) })
}

// refuse returns a refusal if a webhook that is down would be called for the
// Pod, and nil otherwise.
func (b *breaker) refuse(ctx context.Context, namespace string, pod []byte) *Refusal {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for name, f := range b.webhooks {
		here, anywhere := f.circuits[namespace], f.circuits[everywhere]
		if (here == nil || !here.open) && (anywhere == nil || !anywhere.open) || !b.calls(ctx, f, namespace, pod) {
			continue
		}
		if here.refuses(now) || anywhere.refuses(now) {
			return &Refusal{
				State: verdict.Unknown, Webhook: name,
				Reason: fmt.Sprintf("not asked, as %d calls to webhook %q in a row had failed before: %s", failuresToOpen, name, f.reason),
			}
		}
	}
	return nil
}
