package ui

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// many is how many workloads the page must still be usable with.
const many = 20000

// watchesPaint takes down when workloads are painted first.
const watchesPaint = `new MutationObserver((_, observer) => {
	if (!document.querySelector('#rows tr.row')) return;
	observer.disconnect();
	requestAnimationFrame(() => setTimeout(() => { window.paintedAt = performance.now(); }));
}).observe(document, { childList: true, subtree: true })`

// latency is an expression: what is to be done, until what it leads to is painted, in
// milliseconds.
func latency(what string) string {
	return `(() => { const begin = performance.now(); ` + what + `; return new Promise((painted) =>
		requestAnimationFrame(() => setTimeout(() => painted(performance.now() - begin)))); })()`
}

func figure(name string, value float64, unit string) {
	fmt.Printf("figure %s %.0f %s\n", name, value, unit)
}

// The table is usable with twenty thousand workloads: little of it is drawn, all of it is
// reached by search, filters, scrolling and keys.
func TestTwentyThousandWorkloads(t *testing.T) {
	r := varied(many)
	r.Group()
	p := report.Page{Report: r.Masked(mask.Off()), Journal: journalOf(r), History: history(400, r.Summary.Drift())}
	whole := render(t, p)
	figure("page.changes", float64(len(r.Changes)), "changes")
	figure("page.size", float64(len(whole))/1e6, "MB")
	b := newTab(t, screen{})
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watchesPaint})
	b.do(chromedp.Navigate(file(t, p)), chromedp.WaitVisible(chromedp.CSS("main")))
	b.until(`window.paintedAt > 0`)
	figure("page.firstContentfulPaint", eval[float64](b, `performance.getEntriesByName('first-contentful-paint')[0].startTime`), "ms")
	figure("page.workloadsPainted", eval[float64](b, `window.paintedAt`), "ms")

	const drawn = `document.querySelectorAll('tr.row').length`
	if n := eval[int](b, drawn); n == 0 || n > 100 {
		t.Errorf("%d workloads are drawn", n)
	}
	if got := eval[string](b, `document.getElementById('shown').textContent + ', ' + document.getElementById('table').getAttribute('aria-rowcount')`); got != "20,000 workloads, 20001" {
		t.Errorf("says %q", got)
	}
	type to = func(string) string
	input := func(id, event string) to {
		return func(value string) string {
			return fmt.Sprintf(`const field = document.getElementById('%s'); field.value = %q; field.dispatchEvent(new Event('%s'))`, id, value, event)
		}
	}
	search, byChange, byLabel := input("search", "input"), input("by-change", "change"), input("by-label", "change")
	change := r.Changes[0].ID
	for _, each := range []struct{ name, do, want string }{
		{"firstSearch", search("service-19998"), "1 workload out of 20,000"},
		{"search", search("service-1"), ""},
		{"searchOfAValue", search("value 17"), ""},
		{"searchForNothing", search("nothing has this"), ""},
		{"all", search(""), "20,000 workloads"},
		{"filterByChange", byChange(change), fmt.Sprintf("%d workloads out of 20,000", r.Changes[0].Workloads)},
		{"filterByChangeAndLabel", byLabel(`["example.com/team","team-8"]`), ""},
		{"clear", `document.getElementById('clear').click()`, "20,000 workloads"},
		{"filterByState", `document.querySelector('[data-state=Unknown]').click()`, "1,000 workloads out of 20,000"},
		{"clearState", `document.querySelector('[data-state=Unknown]').click()`, "20,000 workloads"},
		{"sortByName", `document.querySelector('[data-sort=name]').click()`, "20,000 workloads"},
		{"scrollToTheMiddle", `scrollTo(0, document.body.scrollHeight / 2)`, "20,000 workloads"},
	} {
		figure("page."+each.name, eval[float64](b, latency(each.do)), "ms")
		if got := eval[string](b, `document.getElementById('shown').textContent`); each.want != "" && strings.ReplaceAll(got, ",", "") != strings.ReplaceAll(each.want, ",", "") {
			t.Errorf("%s: says %q, want %q", each.name, got, each.want)
		}
	}

	// In the middle there are workloads in sight, and as few nodes as before.
	b.until(`document.elementFromPoint(600, 450)?.closest('tr.row') !== null`)
	if n := eval[int](b, drawn); n > 100 {
		t.Errorf("%d workloads are drawn", n)
	}
	at := eval[int](b, `+document.elementFromPoint(600, 450).closest('tr.row').getAttribute('aria-rowindex')`)
	if at < many/4 || at > many*3/4 {
		t.Errorf("in the middle stands workload %d", at)
	}
	b.glance("20000")

	// Keys lead on past what is drawn, and what has the focus keeps it wherever one scrolls.
	eval[bool](b, `document.querySelector('button.open').focus() === undefined`)
	first := eval[int](b, `+document.activeElement.closest('tr').getAttribute('aria-rowindex')`)
	for range 60 {
		b.press(kb.ArrowDown)
	}
	if got := eval[int](b, `+document.activeElement.closest('tr').getAttribute('aria-rowindex')`); got != first+60 {
		t.Errorf("60 below workload %d is %d", first, got)
	}
	if !eval[bool](b, `(({ top, bottom }) => top >= 0 && bottom <= innerHeight)(document.activeElement.getBoundingClientRect())`) {
		t.Error("what has the focus is out of sight")
	}
	name := eval[string](b, `document.activeElement.textContent`)
	b.press(kb.Enter)
	b.until(`document.querySelector('.detail') !== null`)
	eval[float64](b, latency(`scrollTo(0, 0)`))
	eval[float64](b, latency(`scrollTo(0, document.body.scrollHeight)`))
	b.until(`[...document.querySelectorAll('tr.row')].some((row) => row.getAttribute('aria-rowindex') === '20001')`)
	b.glance("20000-end")
	if got := eval[string](b, `document.activeElement.textContent`); got != name {
		t.Errorf("after scrolling the focus is on %q, want %q", got, name)
	}
}
