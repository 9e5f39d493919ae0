package injection

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// failuresToOpen is how many calls to a webhook must fail before nothing is
// asked any more that it would be called for.
const failuresToOpen = 3

// breaker remembers the webhooks that are down.
type breaker struct {
	client rest.Interface
	log    logr.Logger

	namespaces *namespaces

	mu       sync.Mutex
	failures map[string]int
	open     map[string]outage
}

// outage is a webhook that is down, and what it is called for.
type outage struct {
	reason      string
	definitions []definition
}

func newBreaker(client rest.Interface, log logr.Logger) *breaker {
	return &breaker{
		client: client, log: log, namespaces: newNamespaces(client),
		failures: map[string]int{}, open: map[string]outage{},
	}
}

// note counts a refusal. At the third that names one webhook it finds out what
// that is called for.
func (b *breaker) note(ctx context.Context, refusal *Refusal) {
	if refusal.Webhook == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures[refusal.Webhook]++
	if b.failures[refusal.Webhook] != failuresToOpen {
		return
	}
	definitions, err := b.definitions(ctx, refusal.Webhook)
	if err != nil {
		b.log.Error(err, "Cannot tell what a webhook that is down is called for: every workload is asked about", "webhook", refusal.Webhook)
		return
	}
	b.log.Info("A webhook is down: what it is called for is not asked about any more",
		"webhook", refusal.Webhook, "failure", refusal.Reason)
	b.open[refusal.Webhook] = outage{refusal.Reason, definitions}
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
