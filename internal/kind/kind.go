// Package kind is the one table of the kinds of workloads: where the API server
// serves them, what kubectl calls them, who creates their Pods, and how those can be
// re-created.
package kind

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Names of the kinds, as objects have them.
const (
	Deployment  = "Deployment"
	StatefulSet = "StatefulSet"
	DaemonSet   = "DaemonSet"
	Rollout     = "Rollout" // of Argo
	ReplicaSet  = "ReplicaSet"
	Job         = "Job"
	CronJob     = "CronJob"
	Pod         = "Pod" // of its own
)

// Kind is what is known of a kind of workload.
type Kind struct {
	Name                     string
	Group, Version, Resource string
	// Names are what kubectl calls it besides Resource, in lower case.
	Names []string
	// Owner is the kind of the objects that own its Pods: its own where it creates them
	// itself, empty where nothing does.
	Owner string
	// Account is the ServiceAccount that its controller creates Pods by, where it does.
	// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#controller-roles
	Account string
	// Labels are those that controllers add to its Pod template.
	Labels []string
	// IncludedWith is the kind that it is rolled out with where kinds are chosen.
	IncludedWith string
	// Restarts: its Pods are replaced when its template, or a field for that, changes.
	Restarts bool
	// Recreated: its Pods are created again once they were evicted.
	Recreated bool
	// Undone: kubectl rollout undo brings the template before back.
	Undone bool
}

var jobLabels = []string{"batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name"}

var all = []Kind{
	{
		Name: Deployment, Group: "apps", Version: "v1", Resource: "deployments", Names: []string{"deployment", "deploy"},
		Owner: ReplicaSet, Labels: []string{"pod-template-hash"}, IncludedWith: Deployment, Restarts: true, Recreated: true, Undone: true,
	},
	{
		Name: StatefulSet, Group: "apps", Version: "v1", Resource: "statefulsets", Names: []string{"statefulset", "sts"},
		Owner: StatefulSet, Account: "statefulset-controller", IncludedWith: StatefulSet, Restarts: true, Recreated: true, Undone: true,
	},
	{
		Name: DaemonSet, Group: "apps", Version: "v1", Resource: "daemonsets", Names: []string{"daemonset", "ds"},
		Owner: DaemonSet, Account: "daemon-set-controller", IncludedWith: DaemonSet, Restarts: true, Recreated: true, Undone: true,
	},
	{
		Name: Rollout, Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts", Names: []string{"rollout", "ro"},
		Owner: ReplicaSet, Labels: []string{"rollouts-pod-template-hash"}, IncludedWith: Deployment, Restarts: true, Recreated: true,
	},
	{
		Name: ReplicaSet, Group: "apps", Version: "v1", Resource: "replicasets", Names: []string{"replicaset", "rs"},
		Owner: ReplicaSet, Account: "replicaset-controller", IncludedWith: Deployment, Recreated: true,
	},
	{
		Name: Job, Group: "batch", Version: "v1", Resource: "jobs", Names: []string{"job"},
		Owner: Job, Account: "job-controller", Labels: jobLabels,
	},
	{
		Name: CronJob, Group: "batch", Version: "v1", Resource: "cronjobs", Names: []string{"cronjob", "cj"},
		Owner: Job, Labels: jobLabels,
	},
	{Name: Pod, Version: "v1", Resource: "pods", Names: []string{"pod", "po"}},
}

// All are the kinds that there are, those first that people name most.
func All() []Kind { return slices.Clone(all) }

// Of returns what is known of a kind by its name, and whether anything is.
func Of(name string) (Kind, bool) {
	i := slices.IndexFunc(all, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return all[i], true
}

// Find returns the kind that a person means, in the forms that kubectl takes: deploy,
// Deployment, deployments.apps, deployments.v1.apps.
func Find(text string) (Kind, bool) {
	name, of, _ := strings.Cut(strings.ToLower(text), ".")
	i := slices.IndexFunc(all, func(k Kind) bool {
		return (name == k.Resource || slices.Contains(k.Names, name)) &&
			(of == "" || of == k.Group || of == k.Version+"."+k.Group || of == k.Version && k.Group == "")
	})
	if i < 0 {
		return Kind{}, false
	}
	return all[i], true
}

// APIVersion is GROUP/VERSION, as objects have it.
func (k Kind) APIVersion() string { return k.GroupVersionResource().GroupVersion().String() }

// GroupVersionResource is how a client asks for it.
func (k Kind) GroupVersionResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.Group, Version: k.Version, Resource: k.Resource}
}
