package injection

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// The messages are those of kube-apiserver 1.37.
func TestClassify(t *testing.T) {
	for _, test := range []struct {
		name    string
		code    int32
		reason  metav1.StatusReason
		message string
		want    Refusal // without the reason
	}{
		{
			name: "policy", code: http.StatusUnprocessableEntity, reason: metav1.StatusReasonInvalid,
			message: `pods "web-wzgfg" is forbidden: ValidatingAdmissionPolicy 'registry' with binding 'registry' denied request: images must come from our registry`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "policy with a code of its own", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-wzgfg" is forbidden: ValidatingAdmissionPolicy 'registry' denied request: failed expression: false`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "mutating policy", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `policy 'sidecar' with binding 'sidecar' denied request: JSON Patch: replace operation does not apply: doc is missing path: /spec/containers/7/image: missing value`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "mutating policy that names the Pod", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-wzgfg" is forbidden: policy 'sidecar' with binding 'sidecar' denied request: no such key`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "webhook", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `admission webhook "validate.kyverno.svc-fail" denied the request: no :latest`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "webhook with a code of its own", code: http.StatusTeapot,
			message: `admission webhook "tea.example.com" denied the request without explanation`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "PodSecurity", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-94vlt" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "app" must set securityContext.allowPrivilegeEscalation=false)`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "RuntimeClass", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-94vlt" is forbidden: pod rejected: RuntimeClass "gvisor" not found`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "RuntimeClass' overhead", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-94vlt" is forbidden: pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "PodNodeSelector", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-94vlt" is forbidden: pod node label selector conflicts with its namespace node label selector`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "PodNodeSelector, not ready", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-94vlt" is forbidden: not yet ready to handle request`,
			want:    Refusal{State: verdict.Unknown},
		}, {
			name: "PodTolerationRestriction", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-94vlt" is forbidden: pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "ImagePolicyWebhook", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-94vlt" is forbidden: image policy webhook backend denied one or more images: no`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "a secret that a ServiceAccount may not mount", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-94vlt" is forbidden: volume with secret.secretName="db" is not allowed because service account default does not reference that secret`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "a variable of such a secret", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-94vlt" is forbidden: container app with envVar A referencing secret.secretName="db" is not allowed because service account default does not reference that secret`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "SecurityContextConstraints", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-94vlt" is forbidden: unable to validate against any security context constraint: [provider "anyuid": Forbidden]`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "LimitRanger", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-j227b" is forbidden: maximum cpu usage per Container is 10m, but limit is 2`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "LimitRanger, several", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-j227b" is forbidden: [minimum memory usage per Pod is 1Gi.  No request is specified, cpu max limit to request ratio per Container is 2, but provided ratio is 20.000000]`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "LimitRanger, ratio", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-j227b" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 20.000000`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "ServiceAccount", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-" is forbidden: error looking up service account shop/web: serviceaccount "web" not found`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "ServiceAccount that cannot be read", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-" is forbidden: error looking up service account shop/web: etcdserver: request timed out`,
			want:    Refusal{State: verdict.Unknown},
		}, {
			name: "PriorityClass", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-" is forbidden: no PriorityClass with name urgent was found`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "quota of what is not set", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-9lhfc" is forbidden: failed quota: memory: must specify limits.memory for: app`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "validation", code: http.StatusUnprocessableEntity, reason: metav1.StatusReasonInvalid,
			message: `Pod "web-qrrlj" is invalid: spec.containers[0].image: Required value`,
			want:    Refusal{State: verdict.Blocked, Invalid: true},
		}, {
			name: "full quota", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-bxdzn" is forbidden: exceeded quota: full, requested: pods=1, used: pods=1, limited: pods=1`,
			want:    Refusal{State: verdict.Unknown},
		}, {
			name: "terminating namespace", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "web-" is forbidden: unable to create new content in namespace shop because it is being terminated`,
			want:    Refusal{State: verdict.Unknown},
		}, {
			name: "RBAC", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods is forbidden: User "system:serviceaccount:shop:default" cannot create resource "pods" in API group "" in the namespace "shop"`,
			want:    Refusal{State: verdict.Unknown, Forbidden: true},
		}, {
			name: "namespace has gone", code: http.StatusNotFound, reason: metav1.StatusReasonNotFound,
			message: `namespaces "nowhere" not found`,
			want:    Refusal{State: verdict.Unknown},
		}, {
			name: "name is taken", code: http.StatusConflict, reason: metav1.StatusReasonAlreadyExists,
			message: `pods "store-2" already exists`,
			want:    Refusal{State: verdict.Unknown, Exists: true},
		}, {
			name: "webhook is down", code: http.StatusInternalServerError, reason: metav1.StatusReasonInternalError,
			message: `Internal error occurred: failed calling webhook "namespace.sidecar-injector.istio.io": failed to call webhook: Post "https://127.0.0.1:18162/inject?timeout=10s": dial tcp 127.0.0.1:18162: connect: connection refused`,
			want:    Refusal{State: verdict.Unknown, Webhook: "namespace.sidecar-injector.istio.io"},
		}, {
			name: "webhook without dry run", code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest,
			message: `admission webhook "audit.example.com" does not support dry run`,
			want:    Refusal{State: verdict.Unknown, Webhook: "audit.example.com"},
		}, {
			name: "denial that quotes a failure", code: http.StatusForbidden,
			message: `admission webhook "a.example.com" denied the request: failed calling webhook "b.example.com"`,
			want:    Refusal{State: verdict.Blocked},
		}, {
			name: "a Pod named like a denial", code: http.StatusForbidden, reason: metav1.StatusReasonForbidden,
			message: `pods "maximum" is forbidden: exceeded quota: maximum-cpu, requested: pods=1`,
			want:    Refusal{State: verdict.Unknown},
		}, {
			name: "throttled", code: http.StatusTooManyRequests, reason: metav1.StatusReasonTooManyRequests,
			message: `the server has received too many requests and has asked us to try again later`,
			want:    Refusal{State: verdict.Unknown},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := &apierrors.StatusError{ErrStatus: metav1.Status{
				Status: metav1.StatusFailure, Code: test.code, Reason: test.reason, Message: test.message,
			}}
			test.want.Reason = withoutInvented(test.message)
			if diff := cmp.Diff(&test.want, Classify(err)); diff != "" {
				t.Errorf("refusal (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClassifyWhatIsNoAnswer(t *testing.T) {
	want := &Refusal{State: verdict.Unknown, Reason: "connection refused"}
	if diff := cmp.Diff(want, Classify(errors.New("connection refused"))); diff != "" {
		t.Errorf("refusal (-want +got):\n%s", diff)
	}
}

// Two audits of the same give the same reason; names that somebody chose stay.
func TestReasonsNameNoInventedPod(t *testing.T) {
	for message, want := range map[string]string{
		`pods "web-69c6f74b8b-x7k2p" is forbidden: no`:         `pods "web-69c6f74b8b-…" is forbidden: no`,
		`Pod "web-x7k2p" is invalid: spec.containers: "x7k2p"`: `Pod "web-…" is invalid: spec.containers: "x7k2p"`,
		`pods "db-12" is forbidden: no`:                        `pods "db-12" is forbidden: no`,
		`pods "web-fresh-0" is forbidden`:                      `pods "web-fresh-0" is forbidden`,
		`admission webhook "web-x7k2p" denied the request`:     `admission webhook "web-x7k2p" denied the request`,
	} {
		if got := withoutInvented(message); got != want {
			t.Errorf("%s: %s", message, got)
		}
	}
}
