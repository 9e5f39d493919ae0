package inventory

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Selection says which Pods to audit.
type Selection struct {
	Namespace         string // empty means all
	IncludeNamespaces []string
	ExcludeNamespaces []string
	// LabelSelector is matched against Pods; empty selects all.
	LabelSelector string
	// Workloads are the only ones to audit; empty means all.
	Workloads []WorkloadRef
	// Seen holds the JSON of those of Workloads that were just seen, and are not read again.
	Seen map[WorkloadRef][]byte
	// SkipGone leaves out those of Workloads that do not exist, which are an
	// error without it.
	SkipGone bool
	// WithContainers selects Pods that have a container or init container of one
	// of these names, live or fresh; empty selects all.
	WithContainers []string
	// Annotations are keys of annotations that count besides those that are known to
	// configure: Pods that differ in them are not alike.
	Annotations []string
	// StartedBefore selects Pods that the kubelet started before; zero selects
	// all.
	StartedBefore time.Time
}

// WorkloadRef names a workload: the Deployment, CronJob, … that a person
// manages, or a Pod or ReplicaSet that nothing else controls.
type WorkloadRef struct{ Kind, Namespace, Name string }

// String returns "Deployment shop/web".
func (w WorkloadRef) String() string {
	return fmt.Sprintf("%s %s/%s", w.Kind, w.Namespace, w.Name)
}

// namespaces returns those to list one by one; the empty one stands for all.
func (s Selection) namespaces() []string {
	if s.Namespace != "" || len(s.IncludeNamespaces) == 0 {
		return []string{s.Namespace}
	}
	included := slices.DeleteFunc(slices.Clone(s.IncludeNamespaces), func(name string) bool {
		return slices.Contains(s.ExcludeNamespaces, name)
	})
	slices.Sort(included)
	return slices.Compact(included)
}

// Selects reports whether the namespace's Pods are among the selected ones.
func (s Selection) Selects(namespace string) bool {
	return (s.Namespace == "" || s.Namespace == namespace) &&
		(len(s.IncludeNamespaces) == 0 || slices.Contains(s.IncludeNamespaces, namespace)) &&
		!slices.Contains(s.ExcludeNamespaces, namespace)
}

// fieldSelector keeps excluded namespaces out of lists over all of them.
func (s Selection) fieldSelector() string {
	terms := make([]string, len(s.ExcludeNamespaces))
	for i, name := range s.ExcludeNamespaces {
		terms[i] = "metadata.namespace!=" + name
	}
	return strings.Join(terms, ",")
}

// started reports whether a Pod of this start time, zero if the kubelet has not
// started it yet, is selected.
func (s Selection) started(at time.Time) bool {
	return s.StartedBefore.IsZero() || !at.IsZero() && at.Before(s.StartedBefore)
}
