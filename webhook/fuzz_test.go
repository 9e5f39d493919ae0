package webhook

import (
	"encoding/json"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
)

// FuzzReview: whatever a body holds, it is no AdmissionReview, or it is allowed
// with a patch that is one. It goes below the recovery from panics.
func FuzzReview(f *testing.F) {
	f.Add(readFixture(f))
	for _, metadata := range []string{`{}`, `{"annotations":null}`, `{"annotations":[]}`, `null`, `{"managedFields":[{"fieldsV1":{"f:spec":{}}}]}`} {
		f.Add([]byte(podReview(metadata)))
	}
	f.Add([]byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"\ud83d\ude00\"","object":{}}}`))
	f.Add([]byte(`{"kind":"AdmissionReview","request":[]}`))
	h := newHarness()
	f.Fuzz(func(t *testing.T, body []byte) {
		h.log.Reset()
		r, err := parseReview(body)
		if err != nil {
			return
		}
		response, _ := h.stamp(r)
		var review admissionv1.AdmissionReview
		if err := json.Unmarshal(response, &review); err != nil {
			t.Fatalf("the response is no AdmissionReview: %v\n%s", err, response)
		}
		if review.Response == nil || !review.Response.Allowed || string(review.Response.UID) != r.uid.String() {
			t.Fatalf("not allowed, or under another uid: %s", response)
		}
		if patch := review.Response.Patch; patch != nil && !json.Valid(patch) {
			t.Fatalf("the patch is no JSON: %s", patch)
		}
	})
}
