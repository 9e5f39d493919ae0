package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// lost is, in place of a status code, a connection that is lost without an answer.
const lost = 0

// podServer serves one Pod. It answers requests by the codes first that it is given, of
// which the last stays if always is set.
type podServer struct {
	mu         sync.Mutex
	pod        *corev1.Pod
	other      *corev1.Pod // of another name
	get, patch []int
	always     bool
	namesake   bool // the first patch finds another Pod of that name
	patches    []string
}

func (s *podServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	codes := &s.get
	if r.Method == http.MethodPatch {
		codes = &s.patch
		body, _ := io.ReadAll(r.Body)
		s.patches = append(s.patches, string(body))
		if s.namesake {
			s.pod.UID = "2"
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if len(*codes) > 0 {
		code := (*codes)[0]
		if !s.always || len(*codes) > 1 {
			*codes = (*codes)[1:]
		}
		if code == lost {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"message":"because of %d"}`, code, code)
		return
	}
	pod := s.pod.DeepCopy()
	if s.other != nil && strings.Contains(r.URL.Path, "/pods/"+s.other.Name) {
		pod = s.other.DeepCopy()
	}
	pod.Kind, pod.APIVersion = "Pod", "v1"
	if err := json.NewEncoder(w).Encode(pod); err != nil {
		panic(err)
	}
}

// resizeOne resizes the server's Pod to 200m of CPU.
func resizeOne(t *testing.T, s *podServer, pace Pace) error {
	t.Helper()
	return resizingOf(t, s, pace, "1").finish(t.Context(), inShop(), func(string) {})
}

// resizingOf resizes Pods of the server's to 200m of CPU.
func resizingOf(t *testing.T, s *podServer, pace Pace, uids ...string) *resizing {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := connect(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	r := &resizing{
		cluster: c, pace: pace, others: map[string]bool{}, done: map[string]bool{}, hurried: true, wanted: map[string]amounts{},
		away: func(context.Context) (map[string]bool, error) { return map[string]bool{"lost": true}, nil },
	}
	for _, uid := range uids {
		r.targets = append(r.targets, report.PodRef{Name: "web-" + uid, UID: uid})
		r.wanted[uid] = wanted(t, amountChange("container/proxy", "resources.requests.cpu", "100m", "200m"))
	}
	return r
}

func inShop() *unstructured.Unstructured {
	workload := &unstructured.Unstructured{}
	workload.SetNamespace("shop")
	return workload
}

// A Pod whose node is lost while it is resized has what it had, and holds no other up.
func TestResizeLosesANode(t *testing.T) {
	unanswered := livePod()
	unanswered.Spec.NodeName, unanswered.Status.ContainerStatuses[1].Resources.Requests = "lost", nil
	fine := livePod()
	fine.Name, fine.UID = "web-2", "2"
	s := &podServer{pod: unanswered, other: fine}
	r := resizingOf(t, s, Pace{Timeout: time.Minute}, "1", "2")
	if err := r.finish(t.Context(), inShop(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	if !r.done["2"] || r.done["1"] || !r.untouched()["1"] || r.lost.keep() != "its Pods on lost, which is not ready, keep what they have until it is back" {
		t.Errorf("done %v, untouched %v: %s", r.done, r.untouched(), r.lost.keep())
	}
	if len(s.patches) != 3 || !strings.Contains(s.patches[1], `"cpu":"100m"`) {
		t.Errorf("asked for %q", s.patches)
	}

	r = resizingOf(t, &podServer{pod: unanswered}, Pace{Timeout: time.Minute}, "1")
	err := r.finish(t.Context(), inShop(), func(string) {})
	if unfit, ok := errors.AsType[*resizeError](err); !ok || !unfit.untouched || unfit.reason != "its Pods that were to be resized are on lost, which is not ready" {
		t.Errorf("nothing could be resized: %v", err)
	}

	s = &podServer{pod: unanswered, other: fine}
	r = resizingOf(t, s, Pace{Timeout: time.Minute}, "1", "2")
	r.away = func(context.Context) (map[string]bool, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.patch = []int{http.StatusForbidden} // what it had
		return map[string]bool{"lost": true}, nil
	}
	err = r.finish(t.Context(), inShop(), func(string) {})
	if unfit, ok := errors.AsType[*resizeError](err); !ok || unfit.untouched || !strings.Contains(unfit.reason, "is on lost, which is not ready, and could not be given back what it had") {
		t.Errorf("it was not put back: %v", err)
	}
}

// Only a final answer keeps a Pod from being resized: not one that comes from an API server
// that is busy or away, nor a conflict with another change of the Pod.
func TestResizeIsAskedForAgain(t *testing.T) {
	for name, test := range map[string]struct {
		server  *podServer
		patches int
		refused string // why; empty: it was resized, or is gone
	}{
		"at once":                        {&podServer{}, 1, ""},
		"throttled":                      {&podServer{patch: []int{http.StatusTooManyRequests}}, 2, ""},
		"throttled at the look":          {&podServer{get: []int{http.StatusTooManyRequests}}, 1, ""},
		"away":                           {&podServer{patch: []int{http.StatusInternalServerError, http.StatusServiceUnavailable}}, 3, ""},
		"no answer":                      {&podServer{patch: []int{lost}}, 2, ""},
		"the Pod has changed":            {&podServer{patch: []int{http.StatusConflict}}, 2, ""},
		"the Pod is gone":                {&podServer{patch: []int{http.StatusConflict}, namesake: true}, 1, ""},
		"forbidden":                      {&podServer{patch: []int{http.StatusForbidden}}, 1, "because of 403"},
		"invalid":                        {&podServer{patch: []int{http.StatusTooManyRequests, http.StatusUnprocessableEntity}}, 2, "because of 422"},
		"denied by a webhook":            {&podServer{patch: []int{http.StatusBadRequest}}, 1, "because of 400"},
		"forbidden, but of the namesake": {&podServer{patch: []int{http.StatusForbidden}, namesake: true}, 1, ""},
	} {
		test.server.pod = livePod()
		err := resizeOne(t, test.server, Pace{Timeout: time.Minute})
		unfit, ok := errors.AsType[*resizeError](err)
		switch {
		case test.refused == "" && err != nil, test.refused != "" && !ok:
			t.Errorf("%s: %v", name, err)
		case ok && (!unfit.refused || !strings.Contains(unfit.reason, test.refused)):
			t.Errorf("%s: %+v", name, unfit)
		}
		if len(test.server.patches) != test.patches {
			t.Errorf("%s: asked %d times", name, len(test.server.patches))
		}
	}
}

// What has no answer to the end is no refusal, after which Pods would be re-created.
func TestResizeWithoutAnAnswer(t *testing.T) {
	for code, want := range map[int]string{
		http.StatusTooManyRequests: "no progress within 1.5s (Pod web-1 waits for because of 429)",
		http.StatusUnauthorized:    "because of 401",
		lost:                       "could not be given back what it had",
	} {
		s := &podServer{pod: livePod(), patch: []int{code}, always: true}
		err := resizeOne(t, s, Pace{Timeout: 1500 * time.Millisecond})
		if _, unfit := errors.AsType[*resizeError](err); err == nil || unfit || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v, want %q", code, err, want)
		}
	}
}

// A workload that has had the longest that it may take is left, with the Pod as it was, and
// re-created by none of the other strategies.
func TestResizeTakesTooLong(t *testing.T) {
	pod := livePod()
	pod.Status.ContainerStatuses[1].Resources.Requests = nil // its kubelet never gives it anything
	s := &podServer{pod: pod}
	err := resizeOne(t, s, Pace{Timeout: time.Minute, MaxDuration: 1500 * time.Millisecond})
	if _, unfit := errors.AsType[*resizeError](err); unfit || !errors.Is(err, errSlow) {
		t.Fatal(err)
	}
	if got := err.Error(); !strings.Contains(got, "more than 1.5s (Pod web-1 waits for its kubelet") || !strings.Contains(got, "has again what it had") || strings.Contains(got, "within") {
		t.Error(got)
	}
	if len(s.patches) != 2 || !strings.Contains(s.patches[1], `"cpu":"100m"`) {
		t.Errorf("asked for %q", s.patches)
	}
}

// What nobody could resize, as its nodes are lost, has not failed.
func TestNothingIsResizedOnLostNodes(t *testing.T) {
	opts := Options{Strategy: Resize, Now: time.Now}.withDefaults()
	task := task{opts: opts, asked: opts}
	_, d, err := task.recreateInstead(t.Context(), begun{at: time.Now()}, &resizeError{reason: "its Pods are on lost", untouched: true, lost: "lost"})
	if err != nil || d.result != report.Skipped || !strings.Contains(d.reason, "not started, as its Pods are on lost") {
		t.Errorf("%+v %v", d, err)
	}
}

// Where hardly any time is left, nothing is begun with that could not be ended.
func TestNothingIsReCreatedAtTheEnd(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	opts := Options{Strategy: Resize, Now: func() time.Time { return now }}.withDefaults()
	opts.Pace.MaxDuration = time.Hour
	asked := opts
	asked.Strategy = Auto
	for _, spent := range []time.Duration{59*time.Minute + 40*time.Second, time.Hour, 2 * time.Hour} {
		task := task{opts: opts, asked: asked}
		_, d, err := task.recreateInstead(t.Context(), begun{at: now.Add(-spent)}, &resizeError{reason: "Pod web-1 could not be resized"})
		if err != nil || d.result != report.Interrupted || !strings.Contains(d.reason, "hardly any time is left of --max-duration") {
			t.Errorf("after %s: %+v %v", spent, d, err)
		}
	}
}
