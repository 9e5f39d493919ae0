package service

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

func TestPage(t *testing.T) {
	p := &page{masker: mask.Constant, journal: func() []journal.Entry { return []journal.Entry{{ID: "0123abcdef", Summary: "proxy image 1 → 2"}} }}
	get := func(method, path, tag string) *httptest.ResponseRecorder {
		request := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		request.Header.Set("If-None-Match", tag)
		answer := httptest.NewRecorder()
		p.ServeHTTP(answer, request)
		return answer
	}
	if r := get("GET", "/", ""); r.Code != http.StatusServiceUnavailable || !strings.Contains(r.Body.String(), "holder of the Lease") {
		t.Errorf("before the first audit: %d: %s", r.Code, r.Body)
	}

	drifted := workload("web", verdict.Drifted)
	drifted.Revisions = []report.Revision{{Name: "web-1", State: verdict.Drifted, Changes: []verdict.Change{{
		Part: "container/proxy", Path: "env[A_TOKEN].value", From: []byte(`"hunter2"`), To: []byte(`"b"`),
	}}}}
	p.audited(reportOf(drifted))
	first := get("GET", "/", "")
	if body := first.Body.String(); first.Code != http.StatusOK || !strings.Contains(body, "<html") || !strings.Contains(body, `"web"`) || !strings.Contains(body, "proxy image 1 → 2") || strings.Contains(body, "hunter2") {
		t.Errorf("%d: %.300s", first.Code, body)
	}
	if got := first.Header().Get("Content-Security-Policy"); got != "frame-ancestors 'none'" {
		t.Errorf("Content-Security-Policy: %s", got)
	}
	tag := first.Header().Get("ETag")
	if r := get("GET", "/", tag); r.Code != http.StatusNotModified {
		t.Errorf("what the browser has: %d", r.Code)
	}
	p.audited(reportOf(workload("web", verdict.InSync), workload("api", verdict.InSync)))
	if r := get("GET", "/", tag); r.Code != http.StatusOK || !strings.Contains(r.Body.String(), `"api"`) {
		t.Errorf("after another audit: %d", r.Code)
	}
	if r := get("GET", "/report.json", ""); r.Code != http.StatusOK || !strings.Contains(r.Body.String(), `"api"`) || r.Header().Get("Content-Type") != "application/json" {
		t.Errorf("data: %d: %.200s", r.Code, r.Body)
	}
	if r := get("POST", "/", ""); r.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", r.Code)
	}
	if r := get("GET", "/other", ""); r.Code != http.StatusNotFound {
		t.Errorf("another path: %d", r.Code)
	}
	zipped := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	zipped.Header.Set("Accept-Encoding", "gzip")
	answer := httptest.NewRecorder()
	p.ServeHTTP(answer, zipped)
	if plain := get("GET", "/", ""); answer.Header().Get("Content-Encoding") != "gzip" || 2*answer.Body.Len() > plain.Body.Len() {
		t.Errorf("%d bytes zipped, %d plain", answer.Body.Len(), plain.Body.Len())
	}
}

func TestHistoryIsBounded(t *testing.T) {
	p := &page{masker: mask.Constant}
	begin := time.Now()
	for i := range 10 * maxPoints {
		found := reportOf(report.Item{Namespace: "shop", Kind: "Deployment", Name: "web", State: verdict.InSync, Pods: map[verdict.State]int{verdict.InSync: 1}})
		found.GeneratedAt = begin.Add(time.Duration(i) * time.Minute)
		p.audited(found)
	}
	if n := len(p.history); n < maxPoints/2 || n > maxPoints {
		t.Errorf("%d points, want at most %d", n, maxPoints)
	}
	if !p.history[0].Time.Equal(begin) || !p.history[len(p.history)-1].Time.Equal(begin.Add((10*maxPoints-1)*time.Minute)) {
		t.Error("the first or the last point is gone")
	}
}

// An audit does not wait for a page that is being drawn, and neither does who asks
// while there is an earlier one; one is drawn at a time, and once.
func TestNobodyWaitsForThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drawn := make(chan struct{})
		drawings := 0
		p := &page{masker: func() *mask.Masker {
			if drawings++; drawings == 2 {
				<-drawn
			}
			return mask.Constant()
		}}
		get := func() string {
			answer := httptest.NewRecorder()
			p.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/report.json", nil))
			return answer.Body.String()
		}
		p.audited(reportOf(workload("first", verdict.InSync)))
		if got := get(); !strings.Contains(got, `"first"`) {
			t.Errorf("the first page: %.300s", got)
		}
		p.audited(reportOf(workload("slow", verdict.InSync)))
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				if got := get(); !strings.Contains(got, `"first"`) {
					t.Errorf("while the second is drawn: %.300s", got)
				}
			})
		}
		clients.Wait()
		p.audited(reportOf(workload("third", verdict.InSync)))
		if got := get(); !strings.Contains(got, `"first"`) {
			t.Errorf("while the second is drawn and there is a third: %.300s", got)
		}
		close(drawn)
		p.drawings.Wait()
		if got := get(); !strings.Contains(got, `"third"`) || drawings != 3 {
			t.Errorf("after %d drawings: %.300s", drawings, got)
		}
	})
}
