package rollout

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
)

// chainFor is how long what was read of webhooks and policies is believed.
const chainFor = time.Minute

// injectors knows which of them do not answer, right before a workload begins: an
// audit may be hours old by then. It may be used concurrently.
type injectors struct {
	client rest.Interface
	health *injection.Health

	mu    sync.Mutex
	chain *injection.Chain
	read  time.Time
}

func newInjectors(client rest.Interface, cfg *rest.Config) *injectors {
	return &injectors{client: client, health: injection.NewHealth(client, cfg)}
}

// down names an injector that does not answer, of those that new Pods with the labels
// pass, and says why. Who may not read that, or what admission is made of, learns
// nothing: the audit has said so.
func (i *injectors) down(ctx context.Context, namespace string, onPod labels.Set) string {
	chain := i.current(ctx)
	if chain == nil {
		return ""
	}
	pod, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": onPod}})
	if err != nil {
		return ""
	}
	steps, err := chain.Steps(ctx, namespace, pod)
	if err != nil {
		return ""
	}
	for _, step := range steps {
		if step.Match == injection.MatchesNot || !step.Injects() {
			continue
		}
		if why := i.health.Down(ctx, step); why != "" {
			return step.Name + " does not answer, as " + why
		}
	}
	return ""
}

func (i *injectors) current(ctx context.Context) *injection.Chain {
	i.mu.Lock()
	defer i.mu.Unlock()
	if time.Since(i.read) >= chainFor {
		chain, err := injection.ReadChain(ctx, i.client)
		if err != nil {
			return nil
		}
		i.chain, i.read = chain, time.Now()
	}
	return i.chain
}
