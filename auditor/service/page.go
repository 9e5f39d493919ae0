package service

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

const (
	// pageEvery is how often an open page looks for newer data.
	pageEvery = 15 * time.Second
	// pageTimeout is how long a client may take to read it.
	pageTimeout = time.Minute
	// maxPoints bounds the history; when it is full, every second point goes.
	maxPoints = 400
)

// page shows the last report to people, read-only. Its methods may be called
// concurrently.
type page struct {
	mask func(name, value string) string

	mu      sync.Mutex
	last    *report.Report // nil before the first audit
	history []report.Point
	html    []byte // rendered once a report
	data    []byte
}

// audited shows a report from now on.
func (p *page) audited(found *report.Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.html, p.data = found, nil, nil
	if len(p.history) == maxPoints {
		kept := p.history[:0]
		for i := 0; i < maxPoints; i += 2 {
			kept = append(kept, p.history[i])
		}
		p.history = kept
	}
	p.history = append(p.history, report.Point{Time: found.GeneratedAt, DriftPercent: found.Summary.DriftPercent})
}

// render returns the page and its data, gzipped; nil before the first audit.
func (p *page) render() (html, data []byte, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil || p.html != nil {
		return p.html, p.data, nil
	}
	view := report.Page{Report: p.last.Masked(p.mask), History: p.history, Live: report.Live{URL: "report.json", Every: pageEvery}}
	if p.html, err = gzipped(view.WriteHTML); err != nil {
		return nil, nil, err
	}
	p.data, err = gzipped(view.WriteJSON)
	return p.html, p.data, err
}

func gzipped(write func(io.Writer) error) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if err := write(w); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

// ServeHTTP answers / with the page and /report.json with its data.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The server sets no limit for who does not read; a recorder has none to set.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(pageTimeout))
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "frame-ancestors 'none'")
	header.Set("Cache-Control", "no-cache")
	html, data, err := p.render()
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "this page is read-only", http.StatusMethodNotAllowed)
	case r.URL.Path != "/" && r.URL.Path != "/report.json":
		http.NotFound(w, r)
	case html == nil:
		http.Error(w, "No audit has ended here yet. Of several replicas one audits, the holder of the Lease.", http.StatusServiceUnavailable)
	case r.URL.Path == "/":
		answer(w, r, html, "text/html; charset=utf-8")
	default:
		answer(w, r, data, "application/json")
	}
}

// answer writes a gzipped document, or that the client has it already.
func answer(w http.ResponseWriter, r *http.Request, document []byte, contentType string) {
	sum := sha256.Sum256(document)
	tag := fmt.Sprintf(`"%x"`, sum[:8])
	w.Header().Set("ETag", tag)
	w.Header().Set("Vary", "Accept-Encoding")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", contentType)
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(document)
		return
	}
	plain, err := gzip.NewReader(bytes.NewReader(document))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.Copy(w, plain)
}
