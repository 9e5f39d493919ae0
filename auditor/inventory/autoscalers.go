package inventory

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
)

var verticalPodAutoscalers = resource{"autoscaling.k8s.io", "v1", "verticalpodautoscalers", "VerticalPodAutoscaler"}

// Autoscalers are the VerticalPodAutoscalers that size Pods when they are
// created, by the workload.
type Autoscalers struct {
	// Unread is why those of some namespace could not be listed; nil if all were.
	Unread error

	byTarget map[target]autoscaler
}

// target is what an autoscaler refers to.
type target struct{ group, kind, namespace, name string }

type autoscaler struct {
	created, name string
	containers    verdict.Autoscaler
}

// ReadAutoscalers lists the VerticalPodAutoscalers where workloads are selected.
// An API server without the kind has none. The error is the context's.
func ReadAutoscalers(ctx context.Context, client rest.Interface, selection Selection) (*Autoscalers, error) {
	a := &Autoscalers{byTarget: map[target]autoscaler{}}
	for _, namespace := range selection.workloadNamespaces() {
		q := query{resource: verticalPodAutoscalers, namespace: namespace, fields: selection.fieldSelector()}
		err := retryUnread(func() error { return list(ctx, client, q, a.add, func() error { return nil }) })
		switch {
		case apierrors.IsNotFound(err):
			return a, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err == nil, a.Unread != nil:
		case apierrors.IsForbidden(err) && !served(ctx, client, q.resource):
			return a, nil
		default:
			a.Unread = err
		}
	}
	return a, nil
}

// served reports whether the API server may know the resource, which it does
// not say to those who may not read it: to them unknown resources are forbidden,
// too. Discovery is open to every identity.
func served(ctx context.Context, client rest.Interface, r resource) bool {
	err := client.Get().AbsPath("/apis/" + r.group + "/" + r.version).Do(ctx).Error()
	return !apierrors.IsNotFound(err)
}

// workloadNamespaces returns those to list one by one, as namespaces does, of
// named workloads only theirs.
func (s Selection) workloadNamespaces() []string {
	if len(s.Workloads) == 0 {
		return s.namespaces()
	}
	names := make([]string, len(s.Workloads))
	for i, w := range s.Workloads {
		names[i] = w.Namespace
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// add takes an autoscaler down. One that is Off sizes nothing; every other mode,
// and none, sizes new Pods. Of several for one workload the oldest rules.
// https://github.com/kubernetes/autoscaler/blob/master/vertical-pod-autoscaler/pkg/admission-controller/resource/vpa/matcher.go
func (a *Autoscalers) add(raw []byte) error {
	object, _ := jsontree.Parse(raw) // a custom resource that cannot be read refers to nothing
	metadata, spec := object.Get("metadata"), object.Get("spec")
	if spec.Get("updatePolicy", "updateMode").String() == "Off" {
		return nil
	}
	ref := spec.Get("targetRef")
	key := targetOf(metadata.Get("namespace").String(), Owner{
		APIVersion: ref.Get("apiVersion").String(), Kind: ref.Get("kind").String(), Name: ref.Get("name").String(),
	})
	found := autoscaler{
		created: metadata.Get("creationTimestamp").String(), name: metadata.Get("name").String(),
		containers: verdict.Autoscaler{Containers: map[string]bool{}},
	}
	for policy := range spec.Get("resourcePolicy", "containerPolicies").Children() {
		found.containers.Containers[policy.Get("containerName").String()] = policy.Get("mode").String() != "Off"
	}
	if other, ok := a.byTarget[key]; !ok || found.before(other) {
		a.byTarget[key] = found
	}
	return nil
}

func (a autoscaler) before(b autoscaler) bool {
	if a.created != b.created { // RFC 3339, in UTC and to the second
		return a.created < b.created
	}
	return a.name < b.name
}

// targetOf is the object that a reference is to. VerticalPodAutoscalers know
// Kubernetes' own kinds by their names alone, whatever apiVersion the reference
// has, if any.
func targetOf(namespace string, ref Owner) target {
	t := target{ref.Group(), ref.Kind, namespace, ref.Name}
	for _, own := range []resource{deployments, statefulSets, daemonSets, replicaSets, jobs, cronJobs} {
		if own.kind == ref.Kind {
			t.group = own.group
		}
	}
	return t
}

// Of returns the autoscaler of the revision's workload, nil if there is none.
func (a *Autoscalers) Of(r Revision) *verdict.Autoscaler {
	found, ok := a.byTarget[target{r.Group, r.Workload.Kind, r.Workload.Namespace, r.Workload.Name}]
	if !ok {
		return nil
	}
	return &found.containers
}
