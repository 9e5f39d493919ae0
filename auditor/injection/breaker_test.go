package injection

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest/fake"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// faulty is an API server with an injector for all Pods, which is up or not.
type faulty struct {
	down  func(namespace string) bool
	asked int
}

func (f *faulty) injector() *Injector {
	answer := func(code int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader([]byte(body)))}, nil
	}
	client := &fake.RESTClient{
		NegotiatedSerializer: scheme.Codecs.WithoutConversion(), GroupVersion: schema.GroupVersion{},
		Client: fake.CreateHTTPClient(func(r *http.Request) (*http.Response, error) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/mutatingwebhookconfigurations"):
				return answer(http.StatusOK, configurations)
			case strings.HasSuffix(r.URL.Path, "configurations"), r.Method == http.MethodGet:
				return answer(http.StatusOK, `{}`)
			}
			f.asked++
			if f.down(strings.Split(r.URL.Path, "/")[4]) {
				return answer(http.StatusInternalServerError, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":500,"reason":"InternalError",`+
					`"message":"Internal error occurred: failed calling webhook \"everything\": connection refused"}`)
			}
			return answer(http.StatusCreated, `{"spec":{}}`)
		}),
	}
	return New(client, logr.Discard())
}

// run asks for n Pods and numbers those that are Unknown.
func (f *faulty) run(t *testing.T, i *Injector, namespace string, n int) (unknown int) {
	t.Helper()
	for range n {
		if _, err := i.Inject(t.Context(), namespace, []byte(`{}`), Identity{}); err != nil {
			if refusal, ok := err.(*Refusal); !ok || refusal.State != verdict.Unknown { //nolint:errorlint // it is none else
				t.Fatal(err)
			}
			unknown++
		}
	}
	return unknown
}

// Failures that an answer follows are none of an outage, however many there are.
func TestBreakerForgivesFailures(t *testing.T) {
	calls := 0
	f := &faulty{down: func(string) bool { calls++; return calls%3 != 0 }} // two of three
	if unknown := f.run(t, f.injector(), "shop", 300); unknown != 200 || f.asked != 300 {
		t.Errorf("%d Unknown, %d asked", unknown, f.asked)
	}
}

// A webhook that is down is left alone, tried again after pauses that grow, and asked
// about as ever once it answers.
func TestBreakerOpensAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		f := &faulty{down: func(string) bool { return down }}
		i := f.injector()
		if unknown := f.run(t, i, "shop", 100); unknown != 100 || f.asked != failuresToOpen {
			t.Errorf("%d Unknown, %d asked", unknown, f.asked)
		}
		if f.run(t, i, "payments", 1); f.asked != failuresToOpen+1 {
			t.Errorf("one namespace speaks for another: %d asked", f.asked)
		}
		begin, tried := f.asked, []time.Duration{}
		at := time.Now()
		for range 600 {
			if f.run(t, i, "shop", 1); f.asked > begin {
				begin, tried = f.asked, append(tried, time.Since(at).Round(time.Second))
			}
			time.Sleep(time.Second)
		}
		if got := fmt.Sprint(tried); got != "[10s 30s 1m10s 2m30s 4m30s 6m30s 8m30s]" {
			t.Errorf("tried after %s", got)
		}
		down = false
		time.Sleep(longestOpen)
		if unknown := f.run(t, i, "shop", 100); unknown != 0 {
			t.Errorf("%d Unknown once it answers", unknown)
		}
		down = true
		if f.run(t, i, "shop", 2); f.run(t, i, "shop", 1) != 1 {
			t.Error("not Unknown")
		}
	})
}

// Failures in three namespaces are an outage everywhere, unless one answers between.
func TestBreakerEverywhere(t *testing.T) {
	f := &faulty{down: func(namespace string) bool { return namespace != "well" }}
	i := f.injector()
	for n := range 10 {
		f.run(t, i, fmt.Sprintf("sick-%d", n), 1)
		f.run(t, i, "well", 1)
	}
	if f.asked != 20 {
		t.Errorf("%d of 20 asked: answers elsewhere do not count", f.asked)
	}
	for n := range 10 {
		f.run(t, i, fmt.Sprintf("other-%d", n), 1)
	}
	if f.asked != 20+failuresToOpen {
		t.Errorf("%d asked of ten more namespaces", f.asked-20)
	}
}
