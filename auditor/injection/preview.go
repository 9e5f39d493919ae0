package injection

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"k8s.io/client-go/rest"
)

// Metadata is what a preview adds to the Pods that it asks about.
type Metadata struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Empty reports whether there is nothing to add.
func (m Metadata) Empty() bool { return len(m.Labels)+len(m.Annotations) == 0 }

// With returns the Pod, as JSON, with this metadata in place of what it has
// under the same keys.
func (m Metadata) With(pod []byte) ([]byte, error) {
	var p, metadata object
	if err := json.Unmarshal(pod, &p); err != nil {
		return nil, fmt.Errorf("Pod: %w", err)
	}
	if err := p.get("metadata", &metadata); err != nil {
		return nil, fmt.Errorf("Pod: metadata: %w", err)
	}
	for field, add := range map[string]map[string]string{"labels": m.Labels, "annotations": m.Annotations} {
		if len(add) == 0 {
			continue
		}
		texts := map[string]string{}
		if err := metadata.get(field, &texts); err != nil {
			return nil, fmt.Errorf("Pod: metadata: %s: %w", field, err)
		}
		maps.Copy(texts, add)
		if err := metadata.set(map[string]any{field: texts}); err != nil {
			return nil, err
		}
	}
	if err := p.set(map[string]any{"metadata": metadata}); err != nil {
		return nil, err
	}
	return json.Marshal(p)
}

// NamespaceSelected names the mutating webhooks for Pods that select namespaces
// by one of the labels: what a namespace's own labels decide cannot be
// previewed by a Pod's.
func (m Metadata) NamespaceSelected(ctx context.Context, client rest.Interface) ([]string, error) {
	if len(m.Labels) == 0 {
		return nil, nil
	}
	const path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
	list, err := client.Get().AbsPath(path).Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("list mutatingwebhookconfigurations: %w", err)
	}
	var names []string
	definitions, err := allDefinitions(list)
	for _, d := range definitions {
		if slices.ContainsFunc(d.Rules, CoversPods) && selectsBy(d, m.Labels) {
			names = append(names, d.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

func selectsBy(d definition, labels map[string]string) bool {
	if d.NamespaceSelector == nil {
		return false
	}
	for key := range d.NamespaceSelector.MatchLabels {
		if _, ok := labels[key]; ok {
			return true
		}
	}
	for _, expression := range d.NamespaceSelector.MatchExpressions {
		if _, ok := labels[expression.Key]; ok {
			return true
		}
	}
	return false
}
