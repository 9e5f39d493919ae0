package inventory

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// resource is a kind that is read, and where the API server serves it.
type resource struct{ group, version, plural, kind string }

var (
	pods, _             = of(kind.Pod)
	deployments, _      = of(kind.Deployment)
	replicaSets, _      = of(kind.ReplicaSet)
	statefulSets, _     = of(kind.StatefulSet)
	daemonSets, _       = of(kind.DaemonSet)
	controllerRevisions = resource{"apps", "v1", "controllerrevisions", "ControllerRevision"}
	jobs, _             = of(kind.Job)
	cronJobs, _         = of(kind.CronJob)
	rollouts, _         = of(kind.Rollout)
)

// of is where workloads of a kind are, if it is known.
func of(name string) (resource, bool) {
	k, known := kind.Of(name)
	return resource{k.Group, k.Version, k.Resource, k.Name}, known
}

// in aims a request at the objects of this kind in a namespace, an empty one
// meaning all; Name then refuses what is no path segment.
func (r resource) in(request *rest.Request, namespace string) *rest.Request {
	path := "/apis/" + r.group + "/" + r.version
	if r.group == "" {
		path = "/api/" + r.version
	}
	if request.AbsPath(path).Resource(r.plural); namespace != "" {
		request.Namespace(namespace)
	}
	return request
}

// String returns the name that RBAC and kubectl know: replicasets.apps.
func (r resource) String() string {
	if r.group == "" {
		return r.plural
	}
	return r.plural + "." + r.group
}

// owns reports whether the owner reference is to an object of this kind,
// whatever its version.
func (r resource) owns(o Owner) bool { return o.Kind == r.kind && o.Group() == r.group }

// AskAsAuditor is what to do without the rights of an audit. It does not say to
// bind the role: whom the policies do not fence could then create real Pods
// everywhere.
const AskAsAuditor = "the rights of an audit are in the ClusterRole sidecar-drift-audit, which only fenced identities should have: " +
	"ask as one (--as=system:serviceaccount:sidecar-drift:sidecar-drift-auditor), or see docs/install.md#people"

// RollOutAsFenced is what to do without the rights of a rollout, for the same reason.
const RollOutAsFenced = "the rights of a rollout are in the ClusterRole sidecar-drift-rollout, which only fenced identities should have: " +
	"roll out as one (--as=system:serviceaccount:sidecar-drift:sidecar-drift-rollout), or see docs/install.md#people"

// refused says what could not be read, and what to do about it.
func (r resource) refused(verb, namespace, name string, err error) error {
	where := "in all namespaces"
	switch {
	case name != "":
		where = fmt.Sprintf("%s/%s", namespace, name)
	case namespace != "":
		where = "in namespace " + namespace
	}
	advice := ""
	switch {
	case apierrors.IsForbidden(err) && namespace == "":
		advice = "; " + AskAsAuditor + "; or audit one namespace (-n)"
	case apierrors.IsForbidden(err):
		advice = "; " + AskAsAuditor
	case apierrors.IsNotFound(err) && name != "":
		advice = "; check the kind, the name and the namespace (-n)"
	case apierrors.IsUnauthorized(err):
		advice = "; log in again, or choose another context or user"
	}
	return fmt.Errorf("%s %s %s: %w%s", verb, r, where, err, advice)
}
