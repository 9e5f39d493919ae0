package webhook

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
)

// BenchmarkHandler is for profiles; `make bench-handler` compares.
func BenchmarkHandler(b *testing.B) {
	body := readFixture(b)
	handler := NewHandler(logr.Discard(), prometheus.NewRegistry())
	reader := bytes.NewReader(body)
	request := httptest.NewRequest(http.MethodPost, path, reader)
	request.Header.Set("Content-Type", "application/json")
	request.Body = io.NopCloser(reader)
	recorder := httptest.NewRecorder()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		recorder.Body.Reset()
		handler.ServeHTTP(recorder, request)
	}
}
