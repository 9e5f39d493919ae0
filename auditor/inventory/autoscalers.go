package inventory

import (
	"context"
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// AutoscalerKind is a kind of objects that have admission size the Pods of the workload
// that each refers to, in its own namespace.
type AutoscalerKind struct {
	Resource schema.GroupVersionResource
	// TargetRef is the path of the reference, which has apiVersion, kind and name.
	TargetRef []string
	// Off is the path of a text that is OffValue where an object sizes nothing; empty:
	// each does.
	Off      []string
	OffValue string
	// Annotations are the keys that admission adds to Pods that such an object has sized.
	Annotations []string

	containers func(object jsontree.Node) map[string]bool // those that it says are sized, or not; nil: all are
}

// AutoscalerRules tell of what else has admission size Pods anew all the time than what is
// known to.
type AutoscalerRules struct {
	Annotations []string // keys that admission adds to Pods that it sizes
	Objects     []AutoscalerKind
}

// autoscalerKinds are those that are known.
func autoscalerKinds() []AutoscalerKind {
	return []AutoscalerKind{
		// https://github.com/kubernetes/autoscaler/blob/master/vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1/types.go
		{
			Resource:  schema.GroupVersionResource{Group: "autoscaling.k8s.io", Version: "v1", Resource: "verticalpodautoscalers"},
			TargetRef: []string{"spec", "targetRef"}, Off: []string{"spec", "updatePolicy", "updateMode"}, OffValue: "Off",
			Annotations: verdict.VerticalPodAutoscalerAnnotations,
			containers: func(object jsontree.Node) map[string]bool {
				sized := map[string]bool{}
				for policy := range object.Get("spec", "resourcePolicy", "containerPolicies").Children() {
					sized[policy.Get("containerName").String()] = policy.Get("mode").String() != "Off"
				}
				return sized
			},
		},
		// https://github.com/DataDog/datadog-operator/blob/main/api/datadoghq/v1alpha2/datadogpodautoscaler_types.go
		{
			Resource:  schema.GroupVersionResource{Group: "datadoghq.com", Version: "v1alpha2", Resource: "datadogpodautoscalers"},
			TargetRef: []string{"spec", "targetRef"}, Off: []string{"spec", "applyPolicy", "mode"}, OffValue: "Preview",
			Annotations: verdict.DatadogPodAutoscalerAnnotations,
			containers: func(object jsontree.Node) map[string]bool {
				sized := map[string]bool{}
				for constraint := range object.Get("spec", "constraints", "containers").Children() {
					sized[constraint.Get("name").String()] = string(constraint.Get("enabled").Raw()) != "false"
				}
				return sized
			},
		},
	}
}

// Autoscalers are the objects that have Pods sized when they are created, by the
// workload.
type Autoscalers struct {
	// Unread is why those of some kind or namespace could not be listed; nil if all were.
	Unread error
	// Annotations are those that tell wherever they stand, as the objects behind them could
	// not be listed.
	Annotations []string

	kinds    []AutoscalerKind
	byTarget map[sized]autoscaler
}

// target is what an autoscaler refers to.
type target struct{ group, kind, namespace, name string }

// sized is a target, and the number of the kind that refers to it.
type sized struct {
	kind int
	target
}

type autoscaler struct {
	created, name string
	containers    verdict.Autoscaler
}

// ReadAutoscalers lists the autoscalers that are known, and those of further kinds, where
// workloads are selected. An API server without a kind has none of it. The error is the
// context's.
func ReadAutoscalers(ctx context.Context, client rest.Interface, selection Selection, further []AutoscalerKind) (*Autoscalers, error) {
	known := autoscalerKinds()
	a := &Autoscalers{kinds: slices.Concat(known, further), byTarget: map[sized]autoscaler{}}
	for i, kind := range a.kinds {
		unread, err := a.read(ctx, client, selection, i)
		switch {
		case err != nil:
			return nil, err
		case apierrors.IsNotFound(unread) && i < len(known):
			continue // an API server without the kind
		case unread != nil:
			a.Unread = errors.Join(a.Unread, unread)
			a.Annotations = append(a.Annotations, kind.Annotations...)
		}
	}
	return a, nil
}

// read lists the objects of a kind. The first error is why some could not be, NotFound if
// the API server has no such kind; the second is the context's.
func (a *Autoscalers) read(ctx context.Context, client rest.Interface, selection Selection, kind int) (unread, err error) {
	of := a.kinds[kind].Resource
	for _, namespace := range selection.workloadNamespaces() {
		q := query{resource: resource{of.Group, of.Version, of.Resource, ""}, namespace: namespace, fields: selection.fieldSelector()}
		err := retryUnread(func() error {
			return list(ctx, client, q, func(raw []byte) error { return a.add(kind, raw) }, func() error { return nil })
		})
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case apierrors.IsForbidden(err) && !served(ctx, client, q.resource):
			return apierrors.NewNotFound(of.GroupResource(), ""), nil
		case err != nil:
			return err, nil
		}
	}
	return nil, nil
}

// served reports whether the API server may know the resource, which it does
// not say to those who may not read it: to them unknown resources are forbidden,
// too. Discovery is open to every identity.
func served(ctx context.Context, client rest.Interface, r resource) bool {
	raw, err := client.Get().AbsPath("/apis/" + r.group + "/" + r.version).Do(ctx).Raw()
	if err != nil {
		return !apierrors.IsNotFound(err)
	}
	list, err := jsontree.Parse(raw)
	if err != nil {
		return true
	}
	for known := range list.Get("resources").Children() {
		if known.Get("name").String() == r.plural {
			return true
		}
	}
	return false
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

// add takes an object of a kind down. Of several of it for one workload the oldest rules.
// https://github.com/kubernetes/autoscaler/blob/master/vertical-pod-autoscaler/pkg/admission-controller/resource/vpa/matcher.go
func (a *Autoscalers) add(kind int, raw []byte) error {
	object, _ := jsontree.Parse(raw) // a custom resource that cannot be read refers to nothing
	of := a.kinds[kind]
	if len(of.Off) > 0 && object.Get(of.Off...).String() == of.OffValue {
		return nil
	}
	metadata, ref := object.Get("metadata"), object.Get(of.TargetRef...)
	key := sized{kind, targetOf(metadata.Get("namespace").String(), Owner{
		APIVersion: ref.Get("apiVersion").String(), Kind: ref.Get("kind").String(), Name: ref.Get("name").String(),
	})}
	found := autoscaler{created: metadata.Get("creationTimestamp").String(), name: metadata.Get("name").String()}
	if of.containers != nil {
		found.containers.Containers = of.containers(object)
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

// targetOf is the object that a reference is to. Autoscalers know Kubernetes' own kinds by their names alone, whatever apiVersion the reference
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

// Of returns the autoscalers of the revision's workload, of each kind one at most.
func (a *Autoscalers) Of(r Revision) []verdict.Autoscaler {
	var all []verdict.Autoscaler
	for kind := range a.kinds {
		if found, ok := a.byTarget[sized{kind, target{r.Group, r.Workload.Kind, r.Workload.Namespace, r.Workload.Name}}]; ok {
			all = append(all, found.containers)
		}
	}
	return all
}
