package injection

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Refusal is a dry run without a fresh Pod.
type Refusal struct {
	// State is Blocked where admission would refuse the workload's own Pod just
	// the same, Unknown otherwise.
	State verdict.State
	// Reason is the API server's message, which may quote all of a Pod and is cut
	// then, or says why it was not asked.
	Reason string
	// Webhook is the one that could not be called; empty if there is none.
	Webhook string
	// Forbidden: the identity of the audit may not create Pods, or not as the one that
	// it wanted to.
	Forbidden bool
	// Exists: a Pod of this name exists.
	Exists bool
	// Invalid: the API server's validation refuses the Pod, and nobody else.
	Invalid bool
}

// Error returns the state and the reason.
func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.State, r.Reason) }

// Messages of admission, each in front of its explanation. None of them has a
// field of its own in the API's Status, and webhooks choose their own codes.
var (
	webhookFailed = regexp.MustCompile(`^(?:Internal error occurred: )?failed calling webhook "([^"]+)"`)
	noDryRun      = regexp.MustCompile(`^admission webhook "([^"]+)" does not support dry run`)
	// A mutating policy that cannot be applied, and fails closed, says so without the Pod.
	denied = regexp.MustCompile(`^admission webhook "[^"]+" denied the request|^policy '[^']+' with binding '[^']+' denied request`)
	rbac   = regexp.MustCompile(`^pods is forbidden: User "[^"]*" cannot create resource "pods"|^[a-z.0-9]+ "[^"]*" is forbidden: User "[^"]*" cannot impersonate`)
	// forbidden are the explanations behind `pods "NAME" is forbidden: ` that
	// the owner's own creates would get, too: they are about the Pod and
	// not about how many there are, nor about who asks.
	forbidden = regexp.MustCompile(`^pods "[^"]*" is forbidden: \[?(` + strings.Join([]string{
		`violates PodSecurity `,
		`ValidatingAdmissionPolicy '[^']+' .*denied request`,
		`policy '[^']+' with binding '[^']+' denied request`,
		`(minimum|maximum) \S+ usage per `, // LimitRanger
		`\S+ max limit to request ratio per `,
		`error looking up service account \S+: serviceaccount "[^"]*" not found`,
		`no PriorityClass with name \S+ was found`,
		`failed quota: \S+: must specify `,
		`pod rejected: (RuntimeClass "[^"]*" not found|Pod's Overhead |Pod Overhead )`,
		`conflict: runtimeClass\.scheduling\.nodeSelector`,
		`pod node label selector `, // PodNodeSelector
		`pod tolerations .*conflict with its `,
		`image policy webhook backend denied one or more images`,
		`.*is not allowed because service account \S+ does not reference that secret`,
		`the (integer value of priority|string value of PreemptionPolicy) `,
		`unable to validate against any security context constraint`, // OpenShift's
	}, "|") + `)`)
)

// invented is the name that the API server made up for a Pod of a dry run, by
// k8s.io/apimachinery/pkg/util/rand's letters.
var invented = regexp.MustCompile(`((?:pods|Pod) "[a-z0-9.-]*)[bcdfghjklmnpqrstvwxz2456789]{5}"`)

// withoutInvented has two audits of the same give the same reason.
func withoutInvented(message string) string { return invented.ReplaceAllString(message, `$1…"`) }

// Classify says what it means that the API server answered a dry run with an
// error. Blocked is narrow: a full quota (the dry run is one Pod more than there
// would be), a terminating namespace, missing RBAC and a webhook that is down
// say nothing about the workload.
func Classify(err error) *Refusal {
	r := &Refusal{State: verdict.Unknown, Reason: verdict.Cut(err.Error(), verdict.MaxReason)}
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return r
	}
	message := status.ErrStatus.Message
	r.Reason = verdict.Cut(withoutInvented(message), verdict.MaxReason)
	switch {
	case denied.MatchString(message), forbidden.MatchString(message):
		r.State = verdict.Blocked
	case rbac.MatchString(message):
		r.Forbidden = true
	case webhookFailed.MatchString(message):
		r.Webhook = webhookFailed.FindStringSubmatch(message)[1]
	case noDryRun.MatchString(message):
		r.Webhook = noDryRun.FindStringSubmatch(message)[1]
	case status.ErrStatus.Reason == metav1.StatusReasonAlreadyExists:
		r.Exists = true
	case status.ErrStatus.Code == http.StatusUnprocessableEntity:
		r.State, r.Invalid = verdict.Blocked, true
	}
	return r
}
