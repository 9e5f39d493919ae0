// Package fence proves that the admission policies are in force which keep the
// installation's identities from most of what RBAC allows them. It asks for what
// they forbid, in ways that change nothing where they are not: validating admission
// comes before an API server looks at what it has stored.
package fence

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/transport"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
)

// The policies, as in manifests/.
const (
	DryRunOnly  = "sidecar-drift-dry-run-only"
	RolloutOnly = "sidecar-drift-rollout-only"
	// ControllerIdentity is about who may impersonate controllers.
	ControllerIdentity = "sidecar-drift-controller-identity"
)

// OpenError says that a policy is not in force for whoever asked.
type OpenError struct {
	Policy string
	// Answer is the API server's; nil where what the policy forbids would have been
	// done.
	Answer error
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("the ValidatingAdmissionPolicy %s is not in force for this identity", e.Policy)
}

func (e *OpenError) Unwrap() error { return e.Answer }

// unheard is the name of Pods that do not exist.
const unheard = "sidecar-drift-fence"

// ProveDryRunOnly returns nil if the policy keeps the client from creating Pods in
// the namespace, an *OpenError if it does not, and another error if something else
// was in the way. Nothing is created: the Pod claims to have been stored before,
// which no API server stores, and it has a gate that nobody removes.
func ProveDryRunOnly(ctx context.Context, client kubernetes.Interface, namespace string) error {
	pod := Pod()
	pod.Name, pod.ResourceVersion = unheard, "1"
	_, err := client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
	return judge(DryRunOnly, err, notStored)
}

// ProveControllerIdentity is ProveDryRunOnly for what the identity may do as a
// controller: the user that it may impersonate.
func ProveControllerIdentity(ctx context.Context, client kubernetes.Interface, namespace, user string) error {
	pod := Pod()
	pod.Name, pod.ResourceVersion = unheard, "1"
	err := client.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").
		SetHeader(transport.ImpersonateUserHeader, user).Body(pod).Do(ctx).Error()
	return judge(ControllerIdentity, err, notStored)
}

// ProveRolloutOnly does the same of what a rollout must not do: an eviction without
// a grace period, of a Pod that does not exist, and a change of a Deployment of the
// namespace, if there is any, that some injectors run as a command, and, where the
// identity has the right to it, the resizing of a container that was not injected. All
// are dry runs.
func ProveRolloutOnly(ctx context.Context, client kubernetes.Interface, namespace string) error {
	err := client.CoreV1().Pods(namespace).EvictV1(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: namespace, Name: unheard},
		DeleteOptions: &metav1.DeleteOptions{GracePeriodSeconds: new(int64(0)), DryRun: []string{metav1.DryRunAll}},
	})
	if err := judge(RolloutOnly, err, notFound); err != nil {
		return err
	}
	deployments, err := client.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return fmt.Errorf("find a Deployment to try the policy %s on: %w", RolloutOnly, err)
	}
	for _, d := range deployments.Items {
		_, err := client.AppsV1().Deployments(namespace).Patch(ctx, d.Name, types.MergePatchType,
			[]byte(`{"spec":{"template":{"metadata":{"annotations":{"sidecar-drift.io/fence.rollout.reason":"a command"}}}}}`),
			metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		if err := judge(RolloutOnly, err, never); err != nil {
			return err
		}
	}
	return proveResize(ctx, client, namespace)
}

// proveResize tries a Pod that a policy from before there were resizes does not keep from
// it. Of whom RBAC, or an older API server, refuses, there is nothing to prove.
func proveResize(ctx context.Context, client kubernetes.Interface, namespace string) error {
	review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: "patch", Version: "v1", Resource: "pods", Subresource: "resize",
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("ask whether Pods may be resized: %w", err)
	}
	if !review.Status.Allowed {
		return nil
	}
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return fmt.Errorf("find a Pod to try the policy %s on: %w", RolloutOnly, err)
	}
	for _, pod := range pods.Items {
		// Nothing that it has changes: what the policy lets pass, too, is of a Pod that has
		// a stamp, and the stamper leaves our own namespace out.
		if _, stamped := pod.Annotations[fingerprint.PartsAnnotation]; stamped {
			continue
		}
		_, err := client.CoreV1().Pods(namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, []byte(`{"spec":{}}`),
			metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}, "resize")
		if apierrors.IsNotFound(err) || apierrors.IsInvalid(err) { // its node resizes nothing
			return nil
		}
		if err := judge(RolloutOnly, err, never); err != nil {
			return err
		}
	}
	return nil
}

// judge says what an answer to something forbidden means. passed tells an answer
// that only what admission let pass is given.
func judge(policy string, answer error, passed func(error) bool) error {
	switch {
	case answer == nil || passed(answer):
		return &OpenError{policy, answer}
	case Refused(answer, policy):
		return nil
	}
	return fmt.Errorf("whether the ValidatingAdmissionPolicy %s is in force is not known, something else refused first: %w", policy, answer)
}

// Refused reports whether it was the policy that refused a request.
func Refused(err error, policy string) bool {
	return err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy '"+policy+"'") && strings.Contains(err.Error(), "denied request")
}

// Pod is a Pod that the strictest Pod Security level and a quota let pass, and that
// a scheduling gate, which nobody removes, keeps from ever running.
func Pod() *corev1.Pod {
	resources := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("10m"),
		corev1.ResourceMemory: resource.MustParse("16Mi"),
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app.kubernetes.io/name": "sidecar-drift-probe"}},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			SchedulingGates:              []corev1.PodSchedulingGate{{Name: "sidecar-drift.io/probe"}},
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   new(true),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "never", Image: "sidecar-drift/never-runs",
				Resources: corev1.ResourceRequirements{Requests: resources, Limits: resources},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}
