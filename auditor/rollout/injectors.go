package rollout

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
// pass, and says why. Who may not read what admission is made of learns nothing: the
// audit has said so.
func (i *injectors) down(ctx context.Context, namespace string, onPod labels.Set) (string, error) {
	chain, err := i.current(ctx)
	if apierrors.IsForbidden(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	pod, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": onPod}})
	if err != nil {
		return "", err
	}
	steps, err := chain.Steps(ctx, namespace, pod)
	if err != nil {
		return "", err
	}
	name, why := i.health.FirstDown(ctx, steps)
	if why == "" {
		return "", nil
	}
	return name + " does not answer, as " + why, nil
}

func (i *injectors) current(ctx context.Context) (*injection.Chain, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if time.Since(i.read) < chainFor {
		return i.chain, nil
	}
	chain, err := injection.ReadChain(ctx, i.client)
	if err == nil {
		i.chain, i.read = chain, time.Now()
	}
	return chain, err
}
