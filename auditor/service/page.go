package service

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

const (
	// pageEvery is how often an open page looks for newer data.
	pageEvery = 15 * time.Second
	// pageTimeout is how long a client may take to read it.
	pageTimeout = time.Minute
	// drawingPatience is how long a page is waited for where there is an earlier one.
	drawingPatience = 500 * time.Millisecond
	// maxPoints bounds the history; when it is full, every second point goes.
	maxPoints = 400
)

// page shows the last report to people, read-only. Its methods may be called
// concurrently. Nobody holds its lock while something is drawn: an audit does not
// wait for that, and people get the page before it where that takes long.
type page struct {
	// masker makes what masks one report.
	masker func() *mask.Masker
	// progress is that of the first audit, and leader where the replica runs that audits.
	progress *progress
	leader   func(context.Context) (namespace, pod string)
	// journal is what is known of changes, the last that began first.
	journal func() []journal.Entry

	mu   sync.Mutex
	last *report.Report // nil while nothing is known
	// complete: an audit has ended; earlier is what another leader had found before.
	complete bool
	earlier  *report.Report
	history  []report.Point
	drawn    *drawing // the last one that is complete; nil before there is one
	// drawing is closed when what is being drawn is complete; nil while nothing is.
	drawing  chan struct{}
	drawings sync.WaitGroup
}

// drawing is the page of a report and its data, gzipped, or why there is none.
type drawing struct {
	of         *report.Report
	html, data []byte
	err        error
}

// audited shows a report from now on, which must not change any more.
func (p *page) audited(found *report.Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.complete, p.earlier = found, true, nil
	if len(p.history) == maxPoints {
		kept := p.history[:0]
		for i := 0; i < maxPoints; i += 2 {
			kept = append(kept, p.history[i])
		}
		p.history = kept
	}
	if drift := found.Summary.DriftPercent; drift != nil {
		p.history = append(p.history, report.Point{Time: found.GeneratedAt, DriftPercent: *drift})
	}
}

// render returns the page, nil before the first audit. One is drawn when it is asked
// for, once a report and one at a time; who asks meanwhile waits for it, but not for
// long where there is an earlier one.
func (p *page) render() *drawing {
	earlier, drawing := p.current()
	if drawing == nil {
		return earlier
	}
	var patience <-chan time.Time // without end
	if earlier != nil {
		patience = time.After(drawingPatience)
	}
	select {
	case <-drawing:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.drawn
	case <-patience:
		return earlier
	}
}

// current returns what is drawn and, if that is not of the last report, what is to be
// waited for.
func (p *page) current() (*drawing, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil || p.drawn != nil && p.drawn.of == p.last {
		return p.drawn, nil
	}
	if p.drawing == nil {
		p.drawing = make(chan struct{})
		found, history := p.last, slices.Clone(p.history)
		p.drawings.Go(func() {
			next := p.draw(found, history)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.drawn = next
			close(p.drawing)
			p.drawing = nil
		})
	}
	return p.drawn, p.drawing
}

func (p *page) draw(found *report.Report, history []report.Point) *drawing {
	view := report.Page{Report: found.Masked(p.masker()), History: history, Live: report.Live{URL: "report.json", Every: pageEvery}}
	if p.journal != nil {
		view.Journal = p.journal()
	}
	d := &drawing{of: found}
	if d.html, d.err = gzipped(view.WriteHTML); d.err == nil {
		d.data, d.err = gzipped(view.WriteJSON)
	}
	return d
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
	shown := p.render()
	switch {
	case shown != nil && shown.err != nil:
		http.Error(w, shown.err.Error(), http.StatusInternalServerError)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "this page is read-only", http.StatusMethodNotAllowed)
	case r.URL.Path != "/" && r.URL.Path != "/report.json":
		http.NotFound(w, r)
	case shown == nil:
		p.answerNotYet(w, r)
	case r.URL.Path == "/":
		answer(w, r, shown.html, "text/html; charset=utf-8")
	default:
		answer(w, r, shown.data, "application/json")
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
