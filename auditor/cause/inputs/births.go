package inputs

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// mostNamespaces is how many namespaces' Pods are listed one by one; of more, all are.
const mostNamespaces = 10

// Births returns when Pods were created, by their UIDs. A Pod was given what injection
// answered then.
func (r *Reader) Births(ctx context.Context, namespaces []string) (map[string]time.Time, error) {
	if len(namespaces) > mostNamespaces {
		namespaces = []string{""}
	}
	born := map[string]time.Time{}
	for _, namespace := range namespaces {
		_, err := r.pages(ctx, schema.GroupVersionResource{Version: "v1", Resource: "pods"}, namespace, func(pod *metav1.PartialObjectMetadata) bool {
			born[string(pod.UID)] = pod.CreationTimestamp.UTC()
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return born, nil
}
