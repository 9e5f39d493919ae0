package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// labelsOf are the labels that were asked for: of the template or, where that has no such
// label, of the namespace. Where there is no template, what was asked about says what the
// Pods' creator gives them.
func (a *Audit) labelsOf(ctx context.Context, r inventory.Revision, submitted []byte) map[string]string {
	if len(a.opts.Labels) == 0 {
		return nil
	}
	text := r.Template
	if text == nil {
		text = submitted
	}
	made, _ := jsontree.Parse(text) // what is wrong has no labels
	own, found := made.Get("metadata", "labels"), map[string]string{}
	for _, key := range a.opts.Labels {
		switch value := own.Get(key); {
		case value.Kind() == jsontree.String && len(value.Text()) <= validation.LabelValueMaxLength: // a ControllerRevision may say anything
			found[key] = value.String()
		default:
			if value, ok := a.Admission.namespace(ctx, a.client, r.Workload.Namespace).Labels[key]; ok {
				found[key] = value
			}
		}
	}
	return found
}

// namespace returns what a namespace says of itself; nothing where that cannot be read.
func (s *Admission) namespace(ctx context.Context, client rest.Interface, name string) injection.NamespaceMetadata {
	s.mu.Lock()
	defer s.mu.Unlock()
	if apierrors.IsForbidden(s.refused[name]) {
		return injection.NamespaceMetadata{}
	}
	var metadata injection.NamespaceMetadata
	var err error
	if chain := s.readOnce(ctx, client); chain != nil {
		metadata, err = chain.Namespace(ctx, name)
	} else {
		if s.apart == nil {
			s.apart = injection.NewNamespaces(client)
		}
		metadata, err = s.apart.Get(ctx, name)
	}
	delete(s.refused, name)
	if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
		if s.refused == nil {
			s.refused = map[string]error{}
		}
		s.refused[name] = err
	}
	return metadata
}

// unlabelled says that labels of namespaces could not be read; else nothing.
func (s *Admission) unlabelled() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refused) == 0 {
		return ""
	}
	first := slices.Min(slices.Collect(maps.Keys(s.refused)))
	return fmt.Sprintf("Labels of %d namespaces could not be read, so that workloads there have those of their Pod templates alone: %v", len(s.refused), s.refused[first])
}
