package candidate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionv1beta1 "k8s.io/api/admission/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	webhookerrors "k8s.io/apiserver/pkg/admission/plugin/webhook/errors"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/generic"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/request"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
)

var (
	podKind     = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	podResource = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
)

// attributes are those of the creation of a Pod in a dry run, as the API server has them.
func attributes(pod object, as user.Info) *admission.VersionedAttributes {
	content := &unstructured.Unstructured{Object: pod}
	options := &metav1.CreateOptions{
		TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "CreateOptions"},
		DryRun:   []string{metav1.DryRunAll},
	}
	record := admission.NewAttributesRecord(content, nil, podKind, content.GetNamespace(), content.GetName(), podResource, "", admission.Create, options, true, as)
	return &admission.VersionedAttributes{Attributes: record, VersionedObject: admission.NewLazyObject(content), VersionedKind: podKind}
}

// ask asks a server what the webhook makes of a Pod. A denial is a [*injection.Refusal]; any
// other error says that there is no answer that an API server would take.
func (h *hook) ask(ctx context.Context, to server, pod object, as user.Info) (object, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, h.timeout(), fmt.Errorf("it has not answered within %s, the webhook's timeout", h.timeout()))
	defer cancel()
	invocation := &generic.WebhookInvocation{Webhook: h.accessor, Kind: podKind, Resource: podResource}
	uid, review, _, err := request.CreateAdmissionObjects(attributes(pod, as), invocation)
	if err != nil {
		return nil, err
	}
	before, err := encode(pod)
	if err != nil {
		return nil, err
	}
	// The API server's encoder says the version, which json.Marshal does not know, and the Pod
	// is written once.
	version := admissionv1.SchemeGroupVersion
	switch r := review.(type) {
	case *admissionv1.AdmissionReview:
		r.Request.Object = runtime.RawExtension{Raw: before}
	case *admissionv1beta1.AdmissionReview:
		r.Request.Object, version = runtime.RawExtension{Raw: before}, admissionv1beta1.SchemeGroupVersion
	}
	review.GetObjectKind().SetGroupVersionKind(version.WithKind("AdmissionReview"))
	body, err := json.Marshal(review)
	if err != nil {
		return nil, fmt.Errorf("AdmissionReview: %w", err)
	}
	answer, err := to.ask(ctx, body)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	response, err := decode(answer)
	if err != nil {
		return nil, err
	}
	verified, err := request.VerifyAdmissionResponse(uid, true, response)
	switch {
	case err != nil:
		return nil, strange("its answer is none", err)
	case !verified.Allowed:
		return nil, injection.Classify(webhookerrors.ToStatusErr(h.webhook, verified.Result))
	case len(verified.Patch) == 0:
		return pod, nil
	case verified.PatchType != admissionv1.PatchTypeJSONPatch:
		return nil, fmt.Errorf("it answers with a patch of type %s, and API servers know %s only", said([]byte(verified.PatchType)), admissionv1.PatchTypeJSONPatch)
	}
	return patched(ctx, pod, before, verified.Patch)
}

// timeout is how long the API server would wait.
func (h *hook) timeout() time.Duration {
	const byDefault = 10 * time.Second
	if seconds := h.accessor.GetTimeoutSeconds(); seconds != nil && *seconds > 0 {
		return time.Duration(*seconds) * time.Second
	}
	return byDefault
}

// decode reads an AdmissionReview of either version, which say alike what they are.
func decode(answer []byte) (runtime.Object, error) {
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(answer, &review); err != nil {
		return nil, strange("its answer is no AdmissionReview", err)
	}
	switch {
	case review.Kind != "AdmissionReview":
		return nil, errors.New("its answer is no AdmissionReview: it is of kind " + said([]byte(review.Kind)))
	case review.APIVersion == admissionv1.SchemeGroupVersion.String():
		return &review, nil
	case review.APIVersion != admissionv1beta1.SchemeGroupVersion.String():
		return nil, errors.New("its answer is an AdmissionReview of an unknown version: " + said([]byte(review.APIVersion)))
	}
	beta := &admissionv1beta1.AdmissionReview{}
	if err := json.Unmarshal(answer, beta); err != nil {
		return nil, strange("its answer is no AdmissionReview", err)
	}
	return beta, nil
}
