package injection

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
)

// NamespaceMetadata is what a namespace says of itself.
type NamespaceMetadata struct {
	Labels      labels.Set `json:"labels"`
	Annotations labels.Set `json:"annotations"`
}

// Namespaces knows what namespaces say of themselves, as it is when they are first
// asked for.
type Namespaces struct {
	client rest.Interface

	mu    sync.Mutex
	known map[string]NamespaceMetadata
}

// NewNamespaces returns one that knows of none yet.
func NewNamespaces(client rest.Interface) *Namespaces {
	return &Namespaces{client: client, known: map[string]NamespaceMetadata{}}
}

func (n *Namespaces) labels(ctx context.Context, namespace string) (labels.Set, error) {
	metadata, err := n.Get(ctx, namespace)
	return metadata.Labels, err
}

// Get returns what a namespace says of itself.
func (n *Namespaces) Get(ctx context.Context, namespace string) (NamespaceMetadata, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if metadata, ok := n.known[namespace]; ok {
		return metadata, nil
	}
	result := n.client.Get().AbsPath("/api/v1").Resource("namespaces").Name(namespace).Do(ctx)
	if err := result.Error(); err != nil {
		return NamespaceMetadata{}, fmt.Errorf("get namespace %s: %w", namespace, err)
	}
	raw, err := result.Raw()
	if err != nil {
		return NamespaceMetadata{}, err
	}
	metadata, err := metadataOf(raw)
	if err != nil {
		return NamespaceMetadata{}, fmt.Errorf("namespace %s: %w", namespace, err)
	}
	n.known[namespace] = metadata
	return metadata, nil
}

// Forget has a namespace read again.
func (n *Namespaces) Forget(namespace string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.known, namespace)
}

func labelsOf(object []byte) (labels.Set, error) {
	metadata, err := metadataOf(object)
	return metadata.Labels, err
}

func metadataOf(object []byte) (NamespaceMetadata, error) {
	var o struct {
		Metadata NamespaceMetadata `json:"metadata"`
	}
	err := json.Unmarshal(object, &o)
	return o.Metadata, err
}
