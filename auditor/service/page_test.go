package service

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func TestPage(t *testing.T) {
	p := &page{mask: func(_, value string) string { return strings.ReplaceAll(value, "hunter2", "***") }}
	server := httptest.NewServer(p)
	defer server.Close()
	get := func(method, path, tag string) (*http.Response, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("If-None-Match", tag)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(body)
	}
	if response, body := get("GET", "/", ""); response.StatusCode != 503 || !strings.Contains(body, "holder of the Lease") {
		t.Errorf("before the first audit: %s: %s", response.Status, body)
	}

	drifted := workload("web", verdict.Drifted)
	drifted.Revisions = []report.Revision{{Name: "web-1", State: verdict.Drifted, Changes: []verdict.Change{{
		Part: "container/proxy", Path: "env[A_TOKEN].value", From: []byte(`"hunter2"`), To: []byte(`"b"`),
	}}}}
	p.audited(reportOf(drifted))
	response, body := get("GET", "/", "")
	if response.StatusCode != 200 || !strings.Contains(body, "<html") || !strings.Contains(body, `"web"`) || strings.Contains(body, "hunter2") {
		t.Errorf("%s: %.300s", response.Status, body)
	}
	if got := response.Header.Get("Content-Security-Policy"); got != "frame-ancestors 'none'" {
		t.Errorf("Content-Security-Policy: %s", got)
	}
	tag := response.Header.Get("ETag")
	if response, _ := get("GET", "/", tag); response.StatusCode != 304 {
		t.Errorf("what the browser has: %s", response.Status)
	}
	p.audited(reportOf(workload("web", verdict.InSync), workload("api", verdict.InSync)))
	if response, body := get("GET", "/", tag); response.StatusCode != 200 || !strings.Contains(body, `"api"`) {
		t.Errorf("after another audit: %s", response.Status)
	}
	if response, body := get("GET", "/report.json", ""); response.StatusCode != 200 || !strings.Contains(body, `"api"`) || response.Header.Get("Content-Type") != "application/json" {
		t.Errorf("data: %s: %.200s", response.Status, body)
	}
	if response, _ := get("POST", "/", ""); response.StatusCode != 405 {
		t.Errorf("POST: %s", response.Status)
	}
	if response, _ := get("GET", "/other", ""); response.StatusCode != 404 {
		t.Errorf("another path: %s", response.Status)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	p := &page{mask: func(_, value string) string { return value }}
	begin := time.Now()
	for i := range 10 * maxPoints {
		found := reportOf()
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
