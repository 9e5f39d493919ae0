package candidate

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiserver/pkg/admission/plugin/webhook"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// hookOf is a webhook that is asked about all Pods, with what differs from that.
func hookOf(name string, change func(*admissionregistrationv1.MutatingWebhook)) *hook {
	m := &admissionregistrationv1.MutatingWebhook{Name: name, AdmissionReviewVersions: []string{"v1"}}
	if change != nil {
		change(m)
	}
	return &hook{configuration: "some", webhook: name, client: m.ClientConfig, accessor: webhook.NewMutatingWebhookAccessor(name, "some", m)}
}

// answering is a server whose answer is a function of the review.
type answering func(review []byte) ([]byte, error)

func (a answering) ask(_ context.Context, review []byte) ([]byte, error) { return a(review) }
func (answering) close()                                                 {}

var replicaSetController = accountOf(injection.Identity{User: "system:serviceaccount:kube-system:replicaset-controller", UID: "7"})

// A review is what API servers send: this one is as one of Kubernetes 1.37 wrote it, but for the uid.
func TestReview(t *testing.T) {
	var sent []byte
	h := hookOf("a.example.com", nil)
	pod := objectOf(t, somePod)
	after, err := h.ask(t.Context(), answering(func(review []byte) ([]byte, error) {
		sent = review
		return answerTo(review, `"allowed":true`), nil
	}), pod, replicaSetController)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pod, after); diff != "" {
		t.Errorf("without a patch it has changed:\n%s", diff)
	}
	got := objectOf(t, string(sent))
	request := child(got, "request")
	if text(request, "uid") == "" {
		t.Error("it has no uid")
	}
	request["uid"] = "…"
	request["object"] = nil
	want := objectOf(t, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"…",
		"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},
		"requestKind":{"group":"","version":"v1","kind":"Pod"},"requestResource":{"group":"","version":"v1","resource":"pods"},
		"namespace":"shop","operation":"CREATE",
		"userInfo":{"username":"system:serviceaccount:kube-system:replicaset-controller","uid":"7",
			"groups":["system:serviceaccounts","system:serviceaccounts:kube-system","system:authenticated"]},
		"object":null,"oldObject":null,"dryRun":true,
		"options":{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1","dryRun":["All"]}}}`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// answerTo answers a review with these members of a response.
func answerTo(review []byte, members string) []byte {
	var asked admissionv1.AdmissionReview
	if err := json.Unmarshal(review, &asked); err != nil {
		panic(err)
	}
	return []byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"` + string(asked.Request.UID) + `",` + members + `}}`)
}

func TestHostileAnswers(t *testing.T) {
	for answer, want := range map[string]string{
		"":           "no AdmissionReview",
		"null":       "no AdmissionReview",
		"[]":         "no AdmissionReview",
		"{":          "no AdmissionReview",
		`{"a":"b"}`:  "no AdmissionReview",
		"\x1b[31mhi": "no AdmissionReview",
		`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v2"}`:                                                                          "unknown version: admission.k8s.io/v2",
		`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`:                                                                          "response was absent",
		`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"other","allowed":true}}`:                                "expected response.uid",
		`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"` + strings.Repeat("\x07", 9000) + `","allowed":true}}`: "no AdmissionReview",
		`"allowed":true,"patch":"W10="`:                                                         "patchType",
		`"allowed":true,"patchType":"JSONPatch"`:                                                "not response.patch",
		`"allowed":true,"patch":"W10=","patchType":"Merge\u001b[0m"`:                            "API servers know JSONPatch only",
		`"allowed":true,"patch":"!","patchType":"JSONPatch"`:                                    "no AdmissionReview",
		`"allowed":true,"patch":"e30=","patchType":"JSONPatch"`:                                 "no JSON patch",
		`"allowed":true,"warnings":["\u001b[31m\u0000"],"patch":"bm8=","patchType":"JSONPatch"`: "no JSON patch",
	} {
		_, err := hookOf("a.example.com", nil).ask(t.Context(), answering(func(review []byte) ([]byte, error) {
			if strings.HasPrefix(answer, `"allowed"`) {
				return answerTo(review, answer), nil
			}
			return []byte(answer), nil
		}), objectOf(t, somePod), replicaSetController)
		if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\x1b\x00\x07") || len(err.Error()) > 2000 {
			t.Errorf("%.100q: %v, want %q", answer, err, want)
		}
	}
}

func TestDenial(t *testing.T) {
	_, err := hookOf("a.example.com", nil).ask(t.Context(), answering(func(review []byte) ([]byte, error) {
		return answerTo(review, `"allowed":false,"status":{"message":"not here"}`), nil
	}), objectOf(t, somePod), replicaSetController)
	refusal, is := errors.AsType[*injection.Refusal](err)
	if want := `admission webhook "a.example.com" denied the request: not here`; !is || refusal.State != verdict.Blocked || refusal.Reason != want {
		t.Errorf("%v, want Blocked: %s", err, want)
	}
}

// FuzzAnswer finds that no answer does more than change the Pod, or say in a line why not.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`"allowed":true`, `"allowed":false,"status":{"message":"no"}`, `"allowed":true,"patch":"W10=","patchType":"JSONPatch"`,
		`"allowed":true,"warnings":["\u001b[2J"]`, `"allowed":false,"status":{"code":99999,"details":{"causes":[{}]}}`, `}},"x":{"a":{`,
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	h := hookOf("a.example.com", nil)
	f.Fuzz(func(t *testing.T, answer string, whole bool) {
		pod, err := h.ask(t.Context(), answering(func(review []byte) ([]byte, error) {
			if whole {
				return []byte(answer), nil
			}
			return answerTo(review, answer), nil
		}), objectOf(t, somePod), replicaSetController)
		_, denied := errors.AsType[*injection.Refusal](err)
		switch {
		case err == nil:
			if err := samePod(objectOf(t, somePod), pod); err != nil {
				t.Fatal(err)
			}
		case len(err.Error()) > 8192 || !denied && strings.ContainsAny(err.Error(), "\x1b\n\x00"):
			t.Fatalf("says %q", err)
		}
	})
}

func TestServers(t *testing.T) {
	var paths []string
	mux := http.NewServeMux()
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") })
	mux.HandleFunc("/redirects", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/fails", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "out of\x1b[31m order", http.StatusInternalServerError)
	})
	mux.HandleFunc("/floods", func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat("x", 1<<16))
		for range 2 * maxAnswer / len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return // nobody reads any more
			}
		}
	})
	mux.HandleFunc("/answers", func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.Method+" "+r.URL.String()+" "+r.Header.Get("Content-Type"))
		_, _ = w.Write([]byte("answer"))
	})
	secure := httptest.NewTLSServer(mux)
	t.Cleanup(secure.Close)
	of := func(path string, ca []byte) server {
		at, err := url.Parse(secure.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := reach{concurrency: 1}.to(Where{URL: at}, ca)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.close)
		return s
	}
	ca := pemOf(secure)
	for path, want := range map[string]string{
		"/redirects": "redirects to another place", "/fails": "500 Internal Server Error: out of", "/floods": errTooLarge.Error(),
	} {
		if _, err := of(path, ca).ask(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if _, err := of("/answers", nil).ask(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server that nobody vouches for: %v", err)
	}
	closed := httptest.NewTLSServer(mux)
	closed.Close()
	gone, err := url.Parse(closed.URL)
	if err != nil {
		t.Fatal(err)
	}
	s, err := reach{concurrency: 1}.to(Where{URL: gone}, ca)
	if err != nil {
		t.Fatal(err)
	}
	for attempt := range failuresToGiveUp + 1 {
		_, err := s.ask(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "not asked") != (attempt == failuresToGiveUp) {
			t.Errorf("attempt %d of one that is gone: %v", attempt, err)
		}
	}
	h := hookOf("a.example.com", nil)
	ctx, cancel := context.WithTimeout(t.Context(), h.timeout())
	defer cancel()
	if answer, err := of("/answers", ca).ask(ctx, []byte("{}")); err != nil || string(answer) != "answer" {
		t.Errorf("%q, %v", answer, err)
	}
	if want := []string{"POST /answers?timeout=10s application/json"}; !cmp.Equal(want, paths) {
		t.Errorf("asked %q, want %q", paths, want)
	}
}

func TestCommands(t *testing.T) {
	if answer, err := command("tr a-z A-Z").ask(t.Context(), []byte("review")); err != nil || string(answer) != "REVIEW" {
		t.Errorf("%q, %v", answer, err)
	}
	for line, want := range map[string]string{
		"exit 3":                            "exit status 3",
		"printf 'no\\033[31m' >&2; exit 1":  "exit status 1: no",
		"true":                              "no AdmissionReview",
		"yes":                               errTooLarge.Error(),
		"yes | head -c 3000000 >&2; exit 1": "exit status 1: y y",
	} {
		if _, err := command(line).ask(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("over"))
	if _, err := command("cat").ask(ctx, nil); err == nil || err.Error() != "over" {
		t.Errorf("after its end: %v", err)
	}
}

func pemOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// answerWithPatch allows a Pod with a JSON patch.
func answerWithPatch(review, patch []byte) []byte {
	return answerTo(review, `"allowed":true,"patchType":"JSONPatch","patch":"`+base64.StdEncoding.EncodeToString(patch)+`"`)
}
