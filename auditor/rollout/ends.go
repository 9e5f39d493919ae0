package rollout

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// What may end a plan: its context, and an API server that cannot be asked at
// all. What may end a run: its context, its Drain, and as many failures as
// Pace.MaxFailures. Nothing else does. Workloads, their Pods, owners, budgets and
// namespaces are strangers' making, so whatever the API server answers about one
// of them is that workload's own result, with the answer as its reason.

// ends reports whether an error is the API server's absence, or its refusal of
// this identity as a whole, rather than an answer about one object.
func ends(ctx context.Context, err error) bool {
	if ctx.Err() != nil || apierrors.IsUnauthorized(err) {
		return true
	}
	_, unanswered := errors.AsType[*url.Error](err)
	return unanswered
}

// refused reports whether an error is an answer by which nothing was changed:
// admission, a policy, a quota, validation, a conflict, our rights.
func refused(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return false
	}
	code := status.Status().Code
	return code >= http.StatusBadRequest && code < http.StatusInternalServerError && code != http.StatusRequestTimeout
}

// impossible says why there can be no such object; empty if there can be. Names
// of owners are what a Pod says they are, and become parts of a request's path.
func impossible(ref inventory.WorkloadRef) string {
	for _, segment := range []struct{ what, name string }{{"namespace", ref.Namespace}, {"name", ref.Name}} {
		switch problems := content.IsPathSegmentName(segment.name); {
		case segment.name == "":
			return "its " + segment.what + " is empty"
		case len(segment.name) > longestName:
			return "its " + segment.what + " is longer than that of any object"
		case len(problems) > 0:
			return "its " + segment.what + " " + problems[0]
		}
	}
	return ""
}
