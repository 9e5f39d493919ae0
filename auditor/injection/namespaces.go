package injection

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
)

// namespaces knows the labels of namespaces, as they are when they are first
// asked for.
type namespaces struct {
	client rest.Interface

	mu    sync.Mutex
	known map[string]labels.Set
}

func newNamespaces(client rest.Interface) *namespaces {
	return &namespaces{client: client, known: map[string]labels.Set{}}
}

func (n *namespaces) labels(ctx context.Context, namespace string) (labels.Set, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if set, ok := n.known[namespace]; ok {
		return set, nil
	}
	result := n.client.Get().AbsPath("/api/v1").Resource("namespaces").Name(namespace).Do(ctx)
	if err := result.Error(); err != nil {
		return nil, fmt.Errorf("get namespace %s: %w", namespace, err)
	}
	raw, err := result.Raw()
	if err != nil {
		return nil, err
	}
	set, err := labelsOf(raw)
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", namespace, err)
	}
	n.known[namespace] = set
	return set, nil
}

func labelsOf(object []byte) (labels.Set, error) {
	var o struct {
		Metadata struct {
			Labels labels.Set `json:"labels"`
		} `json:"metadata"`
	}
	err := json.Unmarshal(object, &o)
	return o.Metadata.Labels, err
}
