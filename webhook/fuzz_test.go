package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec/podtest"
)

// FuzzReview: whatever a body holds, it is refused as no AdmissionReview, or
// allowed with a patch after which the Pod needs no other. It goes below the
// recovery from panics.
func FuzzReview(f *testing.F) {
	f.Add(readFixture(f))
	for _, pod := range [][]byte{podtest.Live, podtest.Fresh} {
		f.Add(fmt.Appendf(nil, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1",
			"kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE","object":%s}}`, pod))
	}
	for _, metadata := range []string{
		`{}`, `null`, `{"annotations":null}`, `{"annotations":[]}`, `{"annotations":{"sidecar-drift.io/stamp":1,"sidecar-drift.io/parts":"{}"}}`,
		`{"managedFields":[{"fieldsV1":{"f:spec":{}}}]}`, `{"managedFields":{}}`, `{"managedFields":[{"fieldsV1":[]}]}`,
		`{"name":"app","labels":{"a":"\ud83d\ude00","b":1E400,"c":-0},"managedFields":[{"operation":"Update","fieldsV1":{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:name":{}}}}}}]}`,
		`{"annotations":{"sidecar.istio.io/status":"{\"containers\":[\"app\"]}","a/b~c":"` + strings.Repeat("x", 2000) + `"}}`,
		`{"annotations":{"a":"1","a":"2"}}`, "{\"annotations\":{\"a\":\"\xff\"}}", `{"annotations":{"a":"\ud800"}}`,
		`{"x":` + strings.Repeat(`[`, 500) + strings.Repeat(`]`, 500) + `}`,
		`{"managedFields":[` + strings.Repeat(`{"fieldsV1":{"f:spec":{}}},`, 100) + `null]}`,
	} {
		f.Add([]byte(podReview(metadata)))
	}
	f.Add([]byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"\ud83d\ude00\"","object":{}}}`))
	f.Add([]byte(`{"kind":"AdmissionReview","request":[]}`))
	h := newHarness()
	f.Fuzz(func(t *testing.T, body []byte) {
		h.log.Reset()
		r, err := parseReview(new(jsontree.Reader), body)
		if err != nil {
			if recorder := h.post(bytes.NewReader(body)); recorder.Code != http.StatusBadRequest || recorder.Body.String() != err.Error()+"\n" {
				t.Errorf("status %d: %q, want 400: %v", recorder.Code, recorder.Body, err)
			}
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
		if patch := review.Response.Patch; patch != nil {
			checkIdempotent(t, h.Handler, r.object().Raw(), patch)
		}
	})
}

// checkIdempotent applies the patch: the Pod needs no other one then, however
// it is written.
func checkIdempotent(t *testing.T, h *Handler, object, patch []byte) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber()
	var pod map[string]any
	if err := decoder.Decode(&pod); err != nil {
		t.Fatal(err)
	}
	var operations []jsonpatch.Operation
	if err := json.Unmarshal(patch, &operations); err != nil {
		t.Fatalf("the patch is none of JSON: %v\n%s", err, patch)
	}
	for _, operation := range operations {
		add(t, pod, operation)
	}
	patched, err := jsontree.Parse(podtest.JSON(t, pod))
	if err != nil {
		t.Fatal(err)
	}
	if again, _, err := h.patch(patched); err != nil || again != nil {
		t.Errorf("%v; after %s the Pod would be patched again: %s", err, patch, again)
	}
}
