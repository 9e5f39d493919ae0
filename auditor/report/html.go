package report

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// HTML is one self-contained page for people.
const HTML Format = "html"

//go:embed page
var pageFiles embed.FS

// Page is what the HTML page shows. The zero value of all but Report leaves
// out what it is for.
type Page struct {
	Report Shown
	// Title names what was audited, such as a cluster.
	Title string
	// History is the drift so far, oldest first. Fewer than two points are
	// not drawn.
	History []Point
	// Journal is what is known of changes, the last that began first.
	Journal []journal.Entry
	// Live has the page fetch its data anew.
	Live Live
}

// Point is the drift at one time.
type Point struct {
	Time time.Time `json:"time"`
	// DriftPercent is [Summary]'s, 0 to 100.
	DriftPercent float64 `json:"driftPercent"`
}

// Live says where an open page finds newer data.
type Live struct {
	// URL answers with what [Page.WriteJSON] writes. It is of the page's own
	// origin, and relative to the page.
	URL string
	// Every is the time between two fetches, in whole seconds, at least one.
	Every time.Duration
}

// pageState tells the page's script how to show a state.
type pageState struct {
	Name    verdict.State `json:"name"`
	Colour  string        `json:"colour"`
	Mark    string        `json:"mark"`
	Meaning string        `json:"meaning"`
	Drift   bool          `json:"drift"`
	Counted bool          `json:"counted"`
}

// WriteHTML writes one self-contained HTML document: style, script and data
// are part of it, and its Content-Security-Policy allows nothing else, but for
// fetches of Live.URL.
func (p Page) WriteHTML(w io.Writer) error {
	data, err := p.json()
	if err != nil {
		return err
	}
	states, err := json.Marshal(pageStates())
	if err != nil {
		return fmt.Errorf("encode the states: %w", err)
	}
	style, err := pageParts("page.css", "overview.css")
	if err != nil {
		return err
	}
	script, err := pageParts("detail.js", "model.js", "list.js", "filters.js", "changes.js", "timeline.js", "versions.js", "page.js", "start.js")
	if err != nil {
		return err
	}
	page, err := template.ParseFS(pageFiles, "page/page.html.tmpl")
	if err != nil {
		return fmt.Errorf("parse the page: %w", err)
	}
	return page.Execute(w, map[string]any{
		"Policy":  p.policy(script, style),
		"Heading": p.heading(),
		"Summary": strings.TrimSpace(p.Report.report.summaryText(TextOptions{})),
		"Style":   template.CSS(style),
		"Script":  template.JS(script),
		"States":  template.JS(states),
		"Data":    template.JS(data),
	})
}

// pageParts joins files that are embedded.
func pageParts(names ...string) (string, error) {
	var b strings.Builder
	for _, name := range names {
		text, err := pageFiles.ReadFile("page/" + name)
		if err != nil {
			return "", fmt.Errorf("read the page's parts: %w", err)
		}
		b.Write(text)
	}
	return b.String(), nil
}

// WriteJSON writes what an open page fetches from Live.URL.
func (p Page) WriteJSON(w io.Writer) error {
	data, err := p.json()
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// heading is the page's title: by the name that it is given, or those of its clusters.
func (p Page) heading() string {
	title := p.Title
	if of := p.Report.report; title == "" && len(of.Clusters) > 0 {
		names := make([]string, len(of.Clusters))
		for i, cluster := range of.Clusters {
			names[i] = cluster.Name
		}
		title = list(names)
	} else if title == "" {
		title = cmp.Or(of.identity().Name, of.identity().Server)
	}
	if title == "" {
		return "Sidecar drift"
	}
	return "Sidecar drift: " + Printable(title)
}

// policy allows the page's own script and style, and nothing from elsewhere.
func (p Page) policy(script, style string) string {
	connect := "'none'"
	if p.Live.URL != "" {
		connect = "'self'"
	}
	return strings.Join([]string{
		"default-src 'none'",
		"script-src " + sourceHash(script),
		"style-src " + sourceHash(style),
		"img-src data:",
		"connect-src " + connect,
		"base-uri 'none'",
		"form-action 'none'",
	}, "; ")
}

// sourceHash is an inline script or style, as a policy names it.
func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// pageStates are all states, worst first, and last how to show any other.
func pageStates() []pageState {
	var states []pageState
	for _, state := range append(verdict.States(), "") {
		states = append(states, pageState{
			Name: state, Colour: StateColour(state), Mark: stateMark(state), Meaning: stateMeaning(state),
			Drift: state.Drift(), Counted: state.Counted(),
		})
	}
	return states
}
