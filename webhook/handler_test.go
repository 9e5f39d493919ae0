package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

const fixture = "testdata/admissionreview-istio-1.27.json"

// podReview is a review of a Pod with nothing but what a test puts in.
func podReview(metadata string) string {
	return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1",
		"kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE","namespace":"shop",
		"object":{"kind":"Pod","apiVersion":"v1","metadata":` + metadata + `,
			"spec":{"containers":[{"name":"app","image":"app:1"}]}}}}`
}

func readFixture(t testing.TB) []byte {
	t.Helper()
	body, err := os.ReadFile(fixture)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// harness is a Handler with what it logs and counts.
type harness struct {
	*Handler
	log bytes.Buffer
}

func newHarness() *harness {
	h := &harness{}
	h.Handler = NewHandler(logr.FromSlogHandler(slog.NewTextHandler(&h.log, nil)), prometheus.NewRegistry())
	return h
}

func (h *harness) post(body io.Reader) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, path, body)
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, request)
	return recorder
}

// review posts a body that must be answered with an AdmissionReview that
// allows the Pod.
func (h *harness) review(t *testing.T, body string) *admissionv1.AdmissionResponse {
	t.Helper()
	recorder := h.post(strings.NewReader(body))
	if recorder.Code != http.StatusOK {
		t.Fatalf("status %d: %s", recorder.Code, recorder.Body)
	}
	if got := recorder.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	var review admissionv1.AdmissionReview
	decoder := json.NewDecoder(recorder.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&review); err != nil {
		t.Fatalf("the response is no AdmissionReview: %v", err)
	}
	if review.APIVersion != reviewVersion || review.Kind != reviewKind || review.Response == nil {
		t.Fatalf("the response is no AdmissionReview of %s: %+v", reviewVersion, review)
	}
	if !review.Response.Allowed {
		t.Fatal("the object is not allowed")
	}
	return review.Response
}

// wantCounted checks that one request was counted, as this outcome.
func (h *harness) wantCounted(t *testing.T, want outcome) {
	t.Helper()
	for o, counter := range h.metrics.reviews {
		expected := 0.0
		if o == want {
			expected = 1
		}
		if got := testutil.ToFloat64(counter); got != expected {
			t.Errorf("%s counted %v times, want %v", o, got, expected)
		}
	}
}

// apply applies the response's patch to the body's object.
func apply(t *testing.T, body string, response *admissionv1.AdmissionResponse) []byte {
	t.Helper()
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal([]byte(body), &review); err != nil {
		t.Fatal(err)
	}
	if len(response.Patch) == 0 {
		return review.Request.Object.Raw
	}
	if response.PatchType == nil || *response.PatchType != admissionv1.PatchTypeJSONPatch {
		t.Fatal("a patch without the type JSONPatch")
	}
	var object map[string]any
	if err := json.Unmarshal(review.Request.Object.Raw, &object); err != nil {
		t.Fatal(err)
	}
	var patch []jsonpatch.Operation
	if err := json.Unmarshal(response.Patch, &patch); err != nil {
		t.Fatal(err)
	}
	for _, operation := range patch {
		add(t, object, operation)
	}
	patched, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return patched
}

// add carries out an "add" of RFC 6902 into maps, whose parents must exist.
func add(t *testing.T, object map[string]any, operation jsonpatch.Operation) {
	t.Helper()
	if operation.Operation != "add" {
		t.Fatalf("operation %+v", operation)
	}
	pointer := strings.Split(operation.Path, "/")[1:]
	for i, token := range pointer {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		if i == len(pointer)-1 {
			object[token] = operation.Value
			return
		}
		below, ok := object[token].(map[string]any)
		if !ok {
			t.Fatalf("nothing at %q of %s to add to", token, operation.Path)
		}
		object = below
	}
}

func TestPatch(t *testing.T) {
	const (
		addStamp = `{"op":"add","path":"/metadata/annotations/sidecar-drift.io~1stamp","value":"v1:none"}`
		addParts = `{"op":"add","path":"/metadata/annotations/sidecar-drift.io~1parts","value":"{}"}`
		addMap   = `{"op":"add","path":"/metadata/annotations","value":{}}`
	)
	for name, test := range map[string]struct{ metadata, want string }{
		"no annotations":       {`{"name":"a"}`, "[" + addMap + "," + addStamp + "," + addParts + "]"},
		"null annotations":     {`{"annotations":null}`, "[" + addMap + "," + addStamp + "," + addParts + "]"},
		"no managedFields":     {`{"annotations":{"a":"b"}}`, "[" + addStamp + "," + addParts + "]"},
		"set by the user":      {`{"annotations":{"sidecar-drift.io/stamp":"v1:forged","sidecar-drift.io/parts":"{}"}}`, "[" + addStamp + "]"},
		"parts of another":     {`{"annotations":{"sidecar-drift.io/stamp":"v1:none","sidecar-drift.io/parts":"{\"pod\":\"1\"}"}}`, "[" + addParts + "]"},
		"stamped already":      {`{"annotations":{"sidecar-drift.io/stamp":"v1:none","sidecar-drift.io/parts":"{}"}}`, ""},
		"stamped, but escaped": {`{"annotations":{"sidecar-drift.io\/stamp":"v1\u003anone","sidecar-drift.io\/parts":"{}"}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness()
			body := podReview(test.metadata)
			response := h.review(t, body)
			if diff := cmp.Diff(test.want, string(response.Patch)); diff != "" {
				t.Error(diff)
			}
			if response.UID != "u-1" {
				t.Errorf("answers to uid %q", response.UID)
			}
			h.wantCounted(t, none)

			var pod corev1.Pod
			if err := json.Unmarshal(apply(t, body, response), &pod); err != nil {
				t.Fatal(err)
			}
			if pod.Annotations[fingerprint.StampAnnotation] != "v1:none" || pod.Annotations[fingerprint.PartsAnnotation] != "{}" {
				t.Errorf("annotations afterwards: %v", pod.Annotations)
			}
		})
	}
}

// TestReinvocation: the API server calls again after another webhook changed
// the Pod, and also where none did.
func TestReinvocation(t *testing.T) {
	again := func(object []byte) string {
		var review map[string]any
		if err := json.Unmarshal(readFixture(t), &review); err != nil {
			t.Fatal(err)
		}
		review["request"].(map[string]any)["object"] = json.RawMessage(object)
		body, err := json.Marshal(review)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	stamp := func(object []byte) string {
		var pod corev1.Pod
		if err := json.Unmarshal(object, &pod); err != nil {
			t.Fatal(err)
		}
		return pod.Annotations[fingerprint.StampAnnotation]
	}
	h := newHarness()
	body := string(readFixture(t))
	first := apply(t, body, h.review(t, body))
	if !strings.HasPrefix(stamp(first), fingerprint.Version) || stamp(first) == fingerprint.None {
		t.Fatalf("stamp %q", stamp(first))
	}
	if response := h.review(t, again(first)); response.Patch != nil || response.PatchType != nil {
		t.Errorf("patches a Pod that has its stamp: %s", response.Patch)
	}
	changed := bytes.Replace(first, []byte("proxyv2:1.27.0"), []byte("proxyv2:1.28.0"), 1)
	if bytes.Equal(changed, first) {
		t.Fatal("the fixture has no image to change")
	}
	second := apply(t, again(changed), h.review(t, again(changed)))
	if stamp(second) == stamp(first) {
		t.Error("a later injector's change did not change the stamp")
	}
}

func TestDryRunIsStamped(t *testing.T) {
	h := newHarness()
	body := strings.Replace(podReview(`{}`), `"operation"`, `"dryRun":true,"operation"`, 1)
	if response := h.review(t, body); response.Patch == nil {
		t.Error("a dry run's Pod gets no stamp")
	}
}

func TestSkipped(t *testing.T) {
	pod := podReview(`{}`)
	for name, body := range map[string]string{
		"update":        strings.Replace(pod, `"CREATE"`, `"UPDATE"`, 1),
		"delete":        `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1","kind":{"group":"","version":"v1","kind":"Pod"},"operation":"DELETE","object":null}}`,
		"subresource":   strings.Replace(pod, `"operation"`, `"subResource":"ephemeralcontainers","operation"`, 1),
		"another kind":  strings.Replace(pod, `"kind":"Pod"},"operation"`, `"kind":"Service"},"operation"`, 1),
		"another group": strings.Replace(pod, `{"group":"","version":"v1"`, `{"group":"metrics.k8s.io","version":"v1"`, 1),
		"no kind":       `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness()
			if response := h.review(t, body); response.Patch != nil {
				t.Errorf("patched: %s", response.Patch)
			}
			h.wantCounted(t, skipped)
		})
	}
}

func TestUnfingerprintable(t *testing.T) {
	const secret = "s3cr3t"
	object := func(object string) string {
		return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1","kind":{"group":"","version":"v1","kind":"Pod"},` +
			`"operation":"CREATE","namespace":"shop","name":"cart\nlevel=ERROR","object":` + object + `}}`
	}
	for name, body := range map[string]string{
		"no object":     strings.Replace(object(`1`), `,"object":1`, "", 1),
		"no spec":       object(`{"metadata":{"labels":{"a":"` + secret + `"}}}`),
		"no metadata":   object(`{"spec":{"x":"` + secret + `"}}`),
		"annotations":   object(`{"metadata":{"annotations":["` + secret + `"]},"spec":{}}`),
		"managedFields": object(`{"metadata":{"managedFields":[{"manager":"kubectl","fieldsV1":"` + secret + `"}]},"spec":{}}`),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness()
			if response := h.review(t, body); response.Patch != nil {
				t.Errorf("patched: %s", response.Patch)
			}
			h.wantCounted(t, failed)
			logged := h.log.String()
			if !strings.Contains(logged, "namespace=shop") || !strings.Contains(logged, `name="cart\nlevel=ERROR"`) {
				t.Errorf("the log does not say which Pod: %s", logged)
			}
			if strings.Contains(logged, secret) {
				t.Errorf("the log tells the Pod's content: %s", logged)
			}
			if strings.Count(logged, "\n") != 1 {
				t.Errorf("the log is not one line: %s", logged)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for name, test := range map[string]struct {
		request func() *http.Request
		status  int
	}{
		"get":                {func() *http.Request { return httptest.NewRequest(http.MethodGet, path, nil) }, 405},
		"no content type":    {func() *http.Request { return post("", podReview(`{}`)) }, 415},
		"yaml":               {func() *http.Request { return post("application/yaml", "a: b") }, 415},
		"empty":              {jsonPost(""), 400},
		"cut":                {jsonPost(podReview(`{}`)[:200]), 400},
		"two documents":      {jsonPost("{}{}"), 400},
		"duplicate member":   {jsonPost(`{"a":1,"a":2}`), 400},
		"invalid UTF-8":      {jsonPost("{\"a\":\"\xff\"}"), 400},
		"too deep":           {jsonPost(strings.Repeat("[", 1<<20)), 400},
		"too many values":    {jsonPost(strings.Replace(podReview(`{}`), `"image":"app:1"`, `"args":[`+strings.Repeat(`"",`, maxValues)+`""]`, 1)), 400},
		"no review":          {jsonPost(`{"apiVersion":"v1","kind":"Pod"}`), 400},
		"another version":    {jsonPost(strings.Replace(podReview(`{}`), "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1)), 400},
		"no request":         {jsonPost(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`), 400},
		"null request":       {jsonPost(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":null}`), 400},
		"no uid":             {jsonPost(strings.Replace(podReview(`{}`), `"uid":"u-1"`, `"uid":""`, 1)), 400},
		"number uid":         {jsonPost(strings.Replace(podReview(`{}`), `"uid":"u-1"`, `"uid":1`, 1)), 400},
		"announced too long": {jsonPost(strings.Repeat(" ", maxBody+1)), 413},
		"unannounced too long": {func() *http.Request {
			r := jsonPost(strings.Repeat(" ", maxBody+1))()
			r.ContentLength = -1
			return r
		}, 413},
		"ends early": {func() *http.Request {
			r := jsonPost("")()
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), errorReader{}))
			return r
		}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness()
			recorder := httptest.NewRecorder()
			h.ServeHTTP(recorder, test.request())
			if recorder.Code != test.status {
				t.Errorf("status %d, want %d: %s", recorder.Code, test.status, recorder.Body)
			}
			if strings.Contains(recorder.Body.String(), "allowed") || recorder.Body.Len() == 0 {
				t.Errorf("message %q", recorder.Body)
			}
			h.wantCounted(t, failed)
		})
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func post(contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

func jsonPost(body string) func() *http.Request {
	return func() *http.Request { return post("application/json; charset=utf-8", body) }
}

func TestPanic(t *testing.T) {
	h := newHarness()
	h.fingerprint = func(jsontree.Node, ...string) (fingerprint.Fingerprint, error) { panic("a defect") }
	if response := h.review(t, podReview(`{"generateName":"web-"}`)); response.Patch != nil || response.UID != "u-1" {
		t.Errorf("response %+v", response)
	}
	h.wantCounted(t, panicked)
	if logged := h.log.String(); !strings.Contains(logged, "a defect") || !strings.Contains(logged, "generateName=web-") {
		t.Errorf("log: %s", logged)
	}
}

func TestAbandoned(t *testing.T) {
	h := newHarness()
	h.ServeHTTP(brokenWriter{httptest.NewRecorder()}, jsonPost(podReview(`{}`))())
	if !strings.Contains(h.log.String(), "did not wait") {
		t.Errorf("log: %s", h.log.String())
	}
}

type brokenWriter struct{ *httptest.ResponseRecorder }

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }
