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
	"sync/atomic"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
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
// concurrently. An audit never waits for what is being drawn.
type page struct {
	// masker makes what masks one report.
	masker func() *mask.Masker

	shown atomic.Pointer[drawing] // nil before the first audit
	// history is that of the audits, which come one after the other.
	history []report.Point
}

// drawing is the page of one report, drawn once, when it is first asked for.
type drawing func() (html, data []byte, err error)

// audited shows a report from now on, which must not change any more. It is not to
// be called concurrently.
func (p *page) audited(found *report.Report) {
	if len(p.history) == maxPoints {
		kept := make([]report.Point, 0, maxPoints)
		for i := 0; i < maxPoints; i += 2 {
			kept = append(kept, p.history[i])
		}
		p.history = kept
	}
	// Drawings have what was there before; nothing of that is written again.
	p.history = append(p.history, report.Point{Time: found.GeneratedAt, DriftPercent: found.Summary.DriftPercent})
	next := p.draw(found, p.history)
	p.shown.Store(&next)
}

func (p *page) draw(found *report.Report, history []report.Point) drawing {
	type documents struct{ html, data []byte }
	draw := sync.OnceValues(func() (documents, error) {
		view := report.Page{Report: found.Masked(p.masker()), History: history, Live: report.Live{URL: "report.json", Every: pageEvery}}
		html, err := gzipped(view.WriteHTML)
		if err != nil {
			return documents{}, err
		}
		data, err := gzipped(view.WriteJSON)
		return documents{html, data}, err
	})
	return func() (html, data []byte, err error) {
		drawn, err := draw()
		return drawn.html, drawn.data, err
	}
}

// render returns the page and its data, gzipped; nil before the first audit. Those
// who ask at the same time wait for one drawing.
func (p *page) render() (html, data []byte, err error) {
	shown := p.shown.Load()
	if shown == nil {
		return nil, nil, nil
	}
	return (*shown)()
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
