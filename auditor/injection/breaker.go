package injection

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// failuresToOpen is how many calls to a webhook must fail before nothing is asked
// any more that it would be called for: in one namespace for that namespace, and in
// so many namespaces for all. Some Pods, of more than a megabyte say, make every call
// fail; who creates those speaks for no other namespace.
const failuresToOpen = 3

// breaker remembers the webhooks that are down.
type breaker struct {
	client rest.Interface
	log    logr.Logger

	namespaces *namespaces

	mu       sync.Mutex
	failures map[string]map[string]int // by webhook and namespace
	open     map[string]outage
}

// outage is a webhook that is down, where, and what it is called for.
type outage struct {
	reason      string
	everywhere  bool
	in          map[string]bool // namespaces
	definitions []definition
}

func newBreaker(client rest.Interface, log logr.Logger) *breaker {
	return &breaker{
		client: client, log: log, namespaces: newNamespaces(client),
		failures: map[string]map[string]int{}, open: map[string]outage{},
	}
}

// note counts a refusal in a namespace. At the third that names one webhook, or in
// a third namespace, it finds out what that is called for.
func (b *breaker) note(ctx context.Context, namespace string, refusal *Refusal) {
	if refusal.Webhook == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	failures := b.failures[refusal.Webhook]
	if failures == nil {
		failures = map[string]int{}
		b.failures[refusal.Webhook] = failures
	}
	failures[namespace]++
	everywhere := len(failures) == failuresToOpen && failures[namespace] == 1
	if !everywhere && failures[namespace] != failuresToOpen {
		return
	}
	down, known := b.open[refusal.Webhook]
	if !known {
		definitions, err := b.definitions(ctx, refusal.Webhook)
		if err != nil {
			b.log.Error(err, "Cannot tell what a webhook that is down is called for: every workload is asked about", "webhook", refusal.Webhook)
			return
		}
		down = outage{reason: refusal.Reason, in: map[string]bool{}, definitions: definitions}
	}
	where := namespace
	if down.in[namespace] = true; everywhere {
		down.everywhere, where = true, "all namespaces"
	}
	b.open[refusal.Webhook] = down
	b.log.Info("A webhook is down: what it is called for is not asked about any more",
		"webhook", refusal.Webhook, "in", where, "failure", refusal.Reason)
}

func (b *breaker) definitions(ctx context.Context, webhook string) ([]definition, error) {
	var all []definition
	for _, plural := range []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations"} {
		result := b.client.Get().AbsPath("/apis/admissionregistration.k8s.io/v1/" + plural).Do(ctx)
		if err := result.Error(); err != nil {
			return nil, fmt.Errorf("list %s: %w", plural, err)
		}
		list, err := result.Raw()
		if err != nil {
			return nil, err
		}
		found, err := definitionsNamed(webhook, list)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", plural, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// refuse returns a refusal if a webhook that is down would be called for the
// Pod, and nil otherwise.
func (b *breaker) refuse(ctx context.Context, namespace string, pod []byte) *Refusal {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.open) == 0 {
		return nil
	}
	inNamespace, err := b.namespaces.labels(ctx, namespace)
	if err != nil {
		b.log.Error(err, "Cannot tell whether a webhook that is down is called in a namespace", "namespace", namespace)
		return nil
	}
	onPod, err := labelsOf(pod)
	if err != nil {
		return nil // the API server says what is wrong with it
	}
	for webhook, outage := range b.open {
		if !outage.everywhere && !outage.in[namespace] {
			continue
		}
		for _, d := range outage.definitions {
			if d.mustBeCalled(inNamespace, onPod) {
				return &Refusal{
					State: verdict.Unknown, Webhook: webhook,
					Reason: fmt.Sprintf("not asked, as %d calls to webhook %q had failed before: %s", failuresToOpen, webhook, outage.reason),
				}
			}
		}
	}
	return nil
}
