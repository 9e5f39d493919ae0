package rollout

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// What the API server answers about one workload is that one's own: it has not ended well,
// and the others' traces are read.
func TestTracesOfWhatCannotBeRead(t *testing.T) {
	ended := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/rollouts/broken"):
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"InternalError","message":"conversion webhook failed","code":500}`)
		case strings.HasSuffix(r.URL.Path, "/deployments/web"):
			fmt.Fprintf(w, `{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"namespace":"shop","name":"web","annotations":{%q:%q}}}`,
				LastRolloutAnnotation, `{"digest":"x","time":"2026-01-05T12:00:00Z","result":"RolledOut"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
		}
	}))
	defer server.Close()
	web := inventory.WorkloadRef{Kind: "Deployment", Namespace: "shop", Name: "web"}
	broken := inventory.WorkloadRef{Kind: "Rollout", Namespace: "else", Name: "broken"}
	gone := inventory.WorkloadRef{Kind: "Deployment", Namespace: "shop", Name: "gone"}
	traces, err := Traces(t.Context(), &rest.Config{Host: server.URL}, []inventory.WorkloadRef{broken, web, gone})
	if err != nil || len(traces) != 2 {
		t.Fatalf("traces %v, %v", traces, err)
	}
	if got := traces[web]; !got.At.Equal(ended) || got.Result != report.RolledOut {
		t.Errorf("the trace of what can be read: %+v", got)
	}
	if got := traces[broken]; got.Result.Success() || time.Since(got.At) > time.Hour || !strings.Contains(got.Unread, "conversion webhook failed") {
		t.Errorf("what cannot be read counts as %+v", got)
	}
	server.Close()
	if _, err := Traces(t.Context(), &rest.Config{Host: server.URL}, []inventory.WorkloadRef{web}); err == nil {
		t.Error("an API server that is away is no answer about one workload")
	}
}
