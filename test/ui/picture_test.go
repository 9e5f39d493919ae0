package ui

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

var (
	pageFile = flag.String("page", "", "draw this file, of \"audit -o html\"")
	picture  = flag.String("picture", "", "keep the drawing in this file")
)

// width of the picture; its height is the page's, up to that of a first screen.
const pictureWidth, mostHeight = 1280, 1000

// serialised is what the page shows, as XHTML without its scripts and data, and with the styles
// that it has at this width, at whichever the picture is shown.
const serialised = `(() => {
	const page = document.documentElement.cloneNode(true)
	page.querySelectorAll('script, noscript, meta, link, title, style, [hidden], .skip').forEach((e) => e.remove())
	const byWidth = (rule) => rule instanceof CSSMediaRule && rule.conditionText.includes('width')
	const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])
		.flatMap((rule) => !byWidth(rule) ? [rule] : matchMedia(rule.conditionText).matches ? [...rule.cssRules] : [])
	const style = document.createElement('style')
	style.textContent = rules.map((rule) => rule.cssText).join('\n')
	page.prepend(style)
	return new XMLSerializer().serializeToString(page)
})()`

// TestPicture draws the page as an SVG, which README shows: text that scales, in the reader's
// colours.
func TestPicture(t *testing.T) {
	url := "file://" + *pageFile
	if *pageFile == "" {
		url = file(t, report.Page{Report: typical().Masked(mask.Off()), History: history(80, typical().Summary.Drift())})
	}
	b := open(t, url, screen{width: pictureWidth})
	height := min(eval[int](b, `document.documentElement.scrollHeight`), mostHeight)
	drawn := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d"><title>The page of an audit</title><style>html { background: var(--page) }</style><foreignObject width="100%%" height="100%%">%[3]s</foreignObject></svg>`+"\n",
		pictureWidth, height, eval[string](b, serialised))
	for decoder := xml.NewDecoder(strings.NewReader(drawn)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("it is no XML: %v", err)
		}
	}
	path := *picture
	if path == "" {
		path = filepath.Join(t.TempDir(), "page.svg")
	}
	if err := os.WriteFile(path, []byte(drawn), 0o644); err != nil {
		t.Fatal(err)
	}
	drawing := open(t, "file://"+path, screen{width: pictureWidth})
	drawing.shoot("picture")
	if got := drawing.names(); got != b.names() || got == "" {
		t.Errorf("it shows the workloads %q, the page shows %q", got, b.names())
	}
	if len(drawing.requests()) != 1 || strings.Contains(drawn, "<script") {
		t.Errorf("it asks for %q, or has a script", drawing.requests())
	}
}
