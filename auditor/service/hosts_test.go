package service

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	known, err := newHosts([]string{"Drift.example.com", "page.sidecar-drift.svc.", "10.0.0.5", "[2001:DB8::1]"})
	if err != nil {
		t.Fatal(err)
	}
	handler := known.only(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("the page")) }))
	for host, want := range map[string]int{
		"localhost":                         http.StatusOK,
		"localhost:8082":                    http.StatusOK,
		"LOCALHOST.:8082":                   http.StatusOK,
		"a.localhost:1":                     http.StatusOK,
		"127.0.0.1":                         http.StatusOK,
		"127.3.2.1:80":                      http.StatusOK,
		"[::1]":                             http.StatusOK,
		"[::1]:8082":                        http.StatusOK,
		"[::ffff:127.0.0.1]:8082":           http.StatusOK,
		"drift.EXAMPLE.com:443":             http.StatusOK,
		"page.sidecar-drift.svc":            http.StatusOK,
		"10.0.0.5:8082":                     http.StatusOK,
		"[2001:db8::1]:8082":                http.StatusOK,
		"":                                  http.StatusMisdirectedRequest,
		"evil.example":                      http.StatusMisdirectedRequest,
		"evil.example:8082":                 http.StatusMisdirectedRequest,
		"localhost.evil.example":            http.StatusMisdirectedRequest,
		"127.0.0.1.evil.example":            http.StatusMisdirectedRequest,
		"evillocalhost":                     http.StatusMisdirectedRequest,
		"localhost@evil.example":            http.StatusMisdirectedRequest,
		"evil.example:127.0.0.1":            http.StatusMisdirectedRequest,
		"evil.drift.example.com":            http.StatusMisdirectedRequest,
		"10.0.0.6":                          http.StatusMisdirectedRequest,
		"0.0.0.0:8082":                      http.StatusMisdirectedRequest,
		"[::]:8082":                         http.StatusMisdirectedRequest,
		"2130706433":                        http.StatusMisdirectedRequest,
		"0x7f.1":                            http.StatusMisdirectedRequest,
		"\x1b[2J\u202e":                     http.StatusMisdirectedRequest,
		"auditor.sidecar-drift.svc.cluster": http.StatusMisdirectedRequest,
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		request.Host = host
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		body := answer.Body.String()
		if answer.Code != want || (want == http.StatusOK) != (body == "the page") {
			t.Errorf("%q: %d: %s", host, answer.Code, body)
		}
		if want != http.StatusOK && (!strings.Contains(body, "--page-host") || strings.ContainsAny(body, "\x1b\u202e")) {
			t.Errorf("%q is told %q", host, body)
		}
	}
}

func TestHostsAreNames(t *testing.T) {
	for _, name := range []string{"", "*", "example.com:8082", "https://example.com", "a b", "*.example.com", "[::1]:80"} {
		if got, err := newHosts([]string{name}); err == nil || !strings.Contains(err.Error(), "--page-host") {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
}
