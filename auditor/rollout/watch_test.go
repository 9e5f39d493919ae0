package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// script answers one request after the other, each by its own step, as an API
// server would; a request too many gets a 500.
type script struct {
	mu       sync.Mutex
	steps    []step
	requests []string
}

type step func(http.ResponseWriter)

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	verb := "get"
	if r.URL.Query().Get("watch") != "" {
		verb = "watch from " + r.URL.Query().Get("resourceVersion")
	}
	next := func(w http.ResponseWriter) { http.Error(w, "out of steps", http.StatusInternalServerError) }
	s.mu.Lock()
	s.requests = append(s.requests, verb)
	if len(s.steps) > 0 {
		next, s.steps = s.steps[0], s.steps[1:]
	}
	s.mu.Unlock()
	next(w) // which may take its time
}

// cluster is served by the script.
func (s *script) cluster(t *testing.T) *cluster {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := connect(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func web(uid, version string, settled bool) map[string]any {
	return map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"namespace": "shop", "name": "web", "uid": uid, "resourceVersion": version},
		"settled":  settled,
	}
}

func answer(status int, body any) step {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(body); err != nil {
			panic(err)
		}
	}
}

// events is a watch that ends after them.
func events(events ...any) step {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		for _, e := range events {
			if err := json.NewEncoder(w).Encode(e); err != nil {
				panic(err)
			}
		}
	}
}

func event(kind string, object any) map[string]any {
	return map[string]any{"type": kind, "object": object}
}

func refusal(code int32, reason metav1.StatusReason) metav1.Status {
	return metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: code, Reason: reason, Message: string(reason),
	}
}

func TestAwait(t *testing.T) {
	errBroken := errors.New("broken")
	for name, test := range map[string]struct {
		steps    []step
		requests []string
		want     error
	}{
		"settles while watched": {
			steps:    []step{events(event("MODIFIED", web("1", "6", false)), event("MODIFIED", web("1", "7", true)))},
			requests: []string{"watch from 5"}},
		"the watch breaks and goes on": {
			steps: []step{
				events(event("MODIFIED", web("1", "6", false))),
				answer(http.StatusOK, web("1", "8", false)),
				events(event("MODIFIED", web("1", "9", true))),
			},
			requests: []string{"watch from 5", "get", "watch from 8"}},
		"settles while nobody watches": {
			steps:    []step{events(), answer(http.StatusOK, web("1", "8", true))},
			requests: []string{"watch from 5", "get"}},
		"the version is too old to watch from": {
			steps: []step{
				events(event("ERROR", refusal(http.StatusGone, metav1.StatusReasonExpired))),
				answer(http.StatusOK, web("1", "8", true)),
			},
			requests: []string{"watch from 5", "get"}},
		"watching is forbidden": {
			steps: []step{
				answer(http.StatusForbidden, refusal(http.StatusForbidden, metav1.StatusReasonForbidden)),
				answer(http.StatusOK, web("1", "8", false)),
				answer(http.StatusForbidden, refusal(http.StatusForbidden, metav1.StatusReasonForbidden)),
				answer(http.StatusOK, web("1", "9", true)),
			},
			requests: []string{"watch from 5", "get", "watch from 8", "get"}},
		"the API server is away for a while": {
			steps: []step{
				events(),
				answer(http.StatusInternalServerError, refusal(http.StatusInternalServerError, metav1.StatusReasonInternalError)),
				answer(http.StatusOK, web("1", "8", true)),
			},
			requests: []string{"watch from 5", "get", "get"}},
		"deleted": {
			steps:    []step{events(event("DELETED", web("1", "6", false)))},
			requests: []string{"watch from 5"}, want: errGone},
		"deleted while nobody watches": {
			steps:    []step{events(), answer(http.StatusNotFound, refusal(http.StatusNotFound, metav1.StatusReasonNotFound))},
			requests: []string{"watch from 5", "get"}, want: errGone},
		"created anew": {
			steps:    []step{events(), answer(http.StatusOK, web("2", "8", true))},
			requests: []string{"watch from 5", "get"}, want: errGone},
		"will never settle": {
			steps:    []step{events(event("MODIFIED", web("1", "broken", false)))},
			requests: []string{"watch from 5"}, want: errBroken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{steps: test.steps}
			c := s.cluster(t)
			err := c.await(t.Context(), &unstructured.Unstructured{Object: web("1", "5", false)}, &versions{}, func(seen *unstructured.Unstructured) (bool, error) {
				if seen.GetResourceVersion() == "broken" {
					return false, errBroken
				}
				settled, _, _ := unstructured.NestedBool(seen.Object, "settled")
				return settled, nil
			})
			if !errors.Is(err, test.want) {
				t.Errorf("ended with %v, want %v", err, test.want)
			}
			if diff := cmp.Diff(test.requests, s.requests); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLook: one request says what a workload is and what becomes of it, as long as it may be
// watched and is there.
func TestLook(t *testing.T) {
	forbidden := answer(http.StatusForbidden, refusal(http.StatusForbidden, metav1.StatusReasonForbidden))
	stays := func(steps ...any) step {
		return func(w http.ResponseWriter) {
			events(steps...)(w)
			w.(http.Flusher).Flush()
			time.Sleep(firstVersion + time.Second)
		}
	}
	for name, test := range map[string]struct {
		steps    []step
		requests []string
		want     error // of look, or of await
		last     string
	}{
		"one watch": {
			steps:    []step{events(event("ADDED", web("1", "5", false)), event("MODIFIED", web("1", "6", false)), event("MODIFIED", web("1", "7", true)))},
			requests: []string{"watch from "}, last: "7"},
		"it ends too early": {
			steps: []step{
				events(event("ADDED", web("1", "5", false)), event("MODIFIED", web("1", "6", false))),
				answer(http.StatusOK, web("1", "8", false)),
				events(event("MODIFIED", web("1", "9", true))),
			},
			requests: []string{"watch from ", "get", "watch from 8"}, last: "9"},
		"deleted": {
			steps:    []step{events(event("ADDED", web("1", "5", false)), event("DELETED", web("1", "6", false)))},
			requests: []string{"watch from "}, want: errGone, last: "6"},
		"it may not be watched": {
			steps:    []step{forbidden, answer(http.StatusOK, web("1", "5", false)), forbidden, answer(http.StatusOK, web("1", "8", true))},
			requests: []string{"watch from ", "get", "watch from 6", "get"}, last: "8"},
		"it is not there": {
			steps:    []step{stays(), answer(http.StatusNotFound, refusal(http.StatusNotFound, metav1.StatusReasonNotFound))},
			requests: []string{"watch from ", "get"}, want: errors.New("NotFound")},
		"nobody answers the watch": {
			steps: []step{func(http.ResponseWriter) { time.Sleep(firstVersion + time.Second) }, answer(http.StatusOK, web("1", "5", false)),
				events(event("MODIFIED", web("1", "7", true)))},
			requests: []string{"watch from ", "get", "watch from 6"}, last: "7"},
		"the wait ends": {
			steps:    []step{stays(event("ADDED", web("1", "5", false)))},
			requests: []string{"watch from "}, want: context.DeadlineExceeded, last: "6"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{steps: test.steps}
			c := s.cluster(t)
			object, v, err := c.readAndWatch(t.Context(), inventory.WorkloadRef{Kind: "Deployment", Namespace: "shop", Name: "web"})
			defer v.end()
			if err == nil {
				if object.GetResourceVersion() != "5" {
					t.Errorf("it looked at version %s", object.GetResourceVersion())
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				if test.want != nil {
					ctx, cancel = context.WithTimeout(t.Context(), time.Second)
				}
				defer cancel()
				// The patch's answer.
				err = c.await(ctx, &unstructured.Unstructured{Object: web("1", "6", false)}, &v, func(seen *unstructured.Unstructured) (bool, error) {
					settled, _, _ := unstructured.NestedBool(seen.Object, "settled")
					return settled, nil
				})
				if got := v.last.GetResourceVersion(); got != test.last || !strings.Contains(string(v.json()), `"resourceVersion":"`+got+`"`) {
					t.Errorf("the last version is %s, want %s: %s", got, test.last, v.json())
				}
			}
			if !errors.Is(err, test.want) && (err == nil || test.want == nil || err.Error() != test.want.Error()) {
				t.Errorf("ended with %v, want %v", err, test.want)
			}
			if diff := cmp.Diff(test.requests, s.requests); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}
