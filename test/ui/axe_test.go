package ui

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// axe returns the source of axe-core, which npm brings.
func axe(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("axe")); err != nil {
		t.Fatal(err)
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	npm.Dir = dir
	if output, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci, which needs Node.js (Debian: apt-get install nodejs npm): %v\n%s", err, output)
	}
	source, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// violations are those of all rules but the experimental ones, and what axe cannot decide but
// for colours over what is no plain colour, each with the elements that have them. It is an
// expression.
const violations = `axe.run(document).then(({ violations }) =>
	violations.flatMap(({ id, help, nodes }) => nodes.map(({ target, failureSummary }) => id + ': ' + help + ': ' + target.join(' ') + ': ' + failureSummary)).join('\n'))`

// Everybody can use the page: in sight and by a screen reader, wide and narrow, in both themes,
// with something opened, filtered and empty.
func TestEverybodyCanUseThePage(t *testing.T) {
	source := axe(t)
	r := inWaves(grouped())
	large := varied(500)
	large.Group()
	empty := report.New(report.DriftReport, time.Now(), nil, 0)
	for name, p := range map[string]report.Page{
		"typical": {Report: r.Masked(mask.Off()), Title: "production", History: history(80, r.Summary.Drift()), Journal: journalOf(r)},
		"large":   {Report: large.Masked(mask.Off()), Journal: journalOf(large)},
		"empty":   {Report: empty.Masked(mask.Off())},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, file(t, p), screen{})
			eval[string](b, source+`; axe.version`)
			screens := []screen{{width: 1280}, {width: 400, dark: true}}
			if name != "large" { // which takes the longest, and is of the same parts
				screens = append(screens, screen{width: 1280, dark: true}, screen{width: 400})
			}
			for _, on := range screens {
				b.show(on)
				for _, does := range []string{``, `document.querySelector('button.open')?.click()`, `document.querySelector('[data-change]')?.click()`, `document.querySelector('[data-group]')?.click()`, `clearFilters()`} {
					eval[string](b, does+`; ''`)
					if found := eval[string](b, violations); found != "" {
						t.Errorf("%d px, dark %t, after %q:\n%s", on.width, on.dark, does, found)
					}
				}
				if wide := eval[int](b, `document.documentElement.scrollWidth`); int64(wide) > on.width {
					t.Errorf("on %d px the page is %d px wide and scrolls sideways", on.width, wide)
				}
			}
		})
	}
}

// Tab leads through the page from its top to its end, in the order in which it is read, and
// each stop has a name.
func TestFocusOrder(t *testing.T) {
	r := grouped()
	b := open(t, file(t, report.Page{Report: r.Masked(mask.Off()), History: history(80, 9), Journal: journalOf(r)}), screen{})
	var stops []string
	for range 200 {
		b.press(kb.Tab)
		stop := eval[string](b, `(() => {
			const at = document.activeElement;
			if (at === document.body) return '';
			const name = at.getAttribute('aria-label') || at.labels?.[0]?.innerText || at.innerText;
			const place = at.closest('section, header');
			return name.trim() === '' ? 'nameless ' + at.outerHTML : (place ? place.id || 'header' : 'skip') + (at.matches('select, input, svg') ? ' ' + at.tagName.toLowerCase() : '');
		})()`)
		if stop == "" {
			break
		}
		if len(stops) == 0 || stops[len(stops)-1] != stop {
			stops = append(stops, stop)
		}
	}
	want := "skip, header, blocked, changes, timeline, timeline svg, timeline, namespaces, workloads input, workloads select, workloads"
	if got := strings.Join(stops, ", "); got != want {
		t.Errorf("Tab leads to %s, want %s", got, want)
	}
}
