package ui

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

func TestScreenshots(t *testing.T) {
	r := grouped()
	url := file(t, report.Page{Report: r.Masked(mask.Off()), Title: "production", History: history(80, r.Summary.Drift()), Journal: journalOf(r)})
	b := open(t, url+"#shop/Deployment/web", screen{})
	for name, on := range map[string]screen{
		"1280-light": {width: 1280}, "1280-dark": {width: 1280, dark: true}, "400-light": {width: 400}, "400-dark": {width: 400, dark: true}, "360-light": {width: 360},
	} {
		b.show(on)
		if wide := eval[int](b, `document.documentElement.scrollWidth`); int64(wide) > on.width {
			t.Errorf("%s: the page is %d px wide and scrolls sideways", name, wide)
		}
		b.shoot(name)
	}
}

func TestTheFileAsksForNothing(t *testing.T) {
	url := file(t, report.Page{Report: typical().Masked(mask.Off()), History: history(10, 1)})
	b := open(t, url, screen{})
	if got := b.requests(); len(got) != 1 || got[0] != url {
		t.Errorf("asked for %q, want the file alone", got)
	}
}

func TestSearch(t *testing.T) {
	b := open(t, file(t, report.Page{Report: typical().Masked(mask.Off())}), screen{})
	b.slash()
	b.press("shop 1.27")
	if got := b.names(); got != "web web-10 web-2 orders-db" {
		t.Errorf("found %s", got)
	}
	if got := eval[string](b, `document.getElementById('shown').textContent`); got != "4 workloads out of 15" {
		t.Errorf("says %q", got)
	}
	b.press(" nothing-has-this")
	b.until(`document.getElementById('empty').innerText.includes('No workload matches.')`)
	b.click("#empty button")
	b.until(`document.querySelectorAll('button.open').length === 15`)
	b.press("vault.hashicorp")
	if got := b.names(); got != "importer" {
		t.Errorf("by its reason: found %s", got)
	}
	b.press(kb.Escape)
	b.until(`document.querySelectorAll('button.open').length === 15`)
}

func TestSort(t *testing.T) {
	r := typical().Select(verdict.Drifted, verdict.InSync)
	b := open(t, file(t, report.Page{Report: r.Masked(mask.Off())}), screen{})
	for _, tt := range []struct{ column, sorted, first, last string }{
		{"name", "ascending", nasty, "web-10"},
		{"name", "descending", "web-10", nasty},
		{"pods", "descending", "recommendation-service-with-a-long-name-v2", nasty},
		{"pods", "ascending", nasty, "recommendation-service-with-a-long-name-v2"},
		{"namespace", "ascending", nasty, "cart"},
		{"namespace", "descending", "web", nasty},
		{"state", "ascending", nasty, "cart"},
		{"state", "descending", "recommendation-service-with-a-long-name-v2", "orders-db"},
	} {
		b.click(`[data-sort=` + tt.column + `]`)
		if got := eval[string](b, `document.querySelector('[aria-sort]').getAttribute('aria-sort') + ' ' + document.querySelector('[aria-sort] button').dataset.sort`); got != tt.sorted+" "+tt.column {
			t.Errorf("%s %s: aria-sort %s", tt.column, tt.sorted, got)
		}
		names := b.names()
		if !strings.HasPrefix(names, tt.first+" ") || !strings.HasSuffix(names, " "+tt.last) {
			t.Errorf("%s %s: %s, want first %s and last %s", tt.column, tt.sorted, names, tt.first, tt.last)
		}
	}
	b.click(`[data-sort=name]`)
	if names := b.names(); !strings.Contains(names, "web web-2 web-10") {
		t.Errorf("numbers in names are not sorted as numbers: %s", names)
	}
}

func TestFilter(t *testing.T) {
	b := open(t, file(t, report.Page{Report: typical().Masked(mask.Off())}), screen{})
	b.click(`[data-state=Missing]`)
	b.click(`[data-state=Orphaned]`)
	if got := b.names(); got != "ledger fraud-agent" {
		t.Errorf("Missing and Orphaned: %s", got)
	}
	if got := eval[bool](b, `document.activeElement.dataset.state === 'Orphaned' && document.activeElement.getAttribute('aria-pressed') === 'true'`); !got {
		t.Error("the pressed chip lost the focus")
	}
	b.click(`[data-state=Missing]`)
	if got := b.names(); got != "fraud-agent" {
		t.Errorf("Orphaned: %s", got)
	}
	b.click(`[data-state=Orphaned]`)
	b.click(`[data-group=batch]`)
	if got := b.names(); got != "nightly-report roller importer" {
		t.Errorf("namespace batch: %s", got)
	}
}

func TestADiffOpensByKeyboard(t *testing.T) {
	url := file(t, report.Page{Report: typical().Masked(mask.Off())})
	b := open(t, url, screen{})
	b.slash()
	b.press("shop/web")
	b.press(kb.Tab)
	for range 30 { // over choices, chips and heads to the first workload
		if eval[bool](b, `document.activeElement.matches('button.open')`) {
			break
		}
		b.press(kb.Tab)
	}
	b.press(kb.Enter)
	b.until(`document.querySelector('.detail .changes') !== null`)
	if got := eval[string](b, `decodeURIComponent(location.hash)`); got != "#shop/Deployment/web" {
		t.Errorf("address %s", got)
	}
	text := eval[string](b, `document.querySelector('.detail').innerText`)
	for _, want := range []string{"istio/proxyv2:1.27.0", "istio/proxyv2:1.28.0", "resources.requests.cpu", "args[--log_output_level]\tdefault:info\tdefault:warn", "A rollout would take it (restart)."} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if got := eval[string](b, `document.activeElement.getAttribute('aria-expanded')`); got != "true" {
		t.Errorf("aria-expanded of the focused workload is %q", got)
	}
	b.press(kb.ArrowDown)
	b.press(" ")
	b.until(`document.querySelectorAll('.detail').length === 2`)
	b.press(kb.Escape)
	b.press(kb.ArrowUp)
	b.press(kb.Escape)
	b.until(`document.querySelector('.detail') === null && location.hash === ''`)
}

// What was injected without a container, and what is not judged, is said of a revision.
func TestDetailsBesideTheChanges(t *testing.T) {
	r := typical()
	at := slices.IndexFunc(r.Items, func(i report.Item) bool { return i.Name == "cart" })
	of := &r.Items[at].Revisions[0]
	of.Sidecars, of.Injected, of.Undecided, of.Biased = []string{}, true, []string{"pod:imagePullSecrets[registry]"}, []string{"app/app:env[NODE]"}
	b := open(t, file(t, report.Page{Report: r.Masked(mask.Off())})+"#shop/Deployment/cart", screen{})
	b.until(`document.querySelector('.detail') !== null`)
	text := eval[string](b, `document.querySelector('.detail').innerText`)
	for _, want := range []string{"none: variables, mounts or volumes alone are injected", "Undecided", "pod:imagePullSecrets[registry]", "Not judged", "app/app:env[NODE]"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// What is of an init container that has ended is marked, once for all of it where that is
// so, and so is a workload that differs in nothing else.
func TestWhatIsSpentIsMarked(t *testing.T) {
	spent := func(c verdict.Change) verdict.Change {
		c.Spent = true
		return c
	}
	amounts := spent(change("initContainer/setup", "resources.requests.cpu", "10m", "20m"))
	r := report.New(report.DriftReport, time.Now(), []report.Item{
		workload("shop", "Deployment", "all", verdict.Drifted, 3, "", amounts, spent(change("initContainer/setup", "image", "setup:1", "setup:2"))),
		workload("shop", "Deployment", "some", verdict.Drifted, 2, "", amounts, change("initContainer/setup", "args", "a", "b"), upgrade()[3]),
		workload("shop", "Deployment", "none", verdict.Drifted, 1, "", upgrade()...),
	}, 0)
	r.Items[0].Rollout = report.Rollout{Reason: "differs only in how init containers ran that have ended (initContainer/setup image): --include-spent re-creates its Pods all the same"}
	b := open(t, file(t, report.Page{Report: r.Masked(mask.Off())}), screen{})
	const marked = `[...document.querySelectorAll('tr:has(> th > .tag, .c-details .tag)')].map((row) => row.querySelector('.open, th').innerText.split('\n')[0].trim().replace(/\s+/g, ' ')).join(', ')`
	if got := eval[string](b, marked); got != "all" {
		t.Errorf("marked workloads: %s, want the one that differs in nothing else", got)
	}
	for _, name := range []string{"all", "some", "none"} {
		b.click(`button.open[data-key="shop/Deployment/` + name + `"]`)
	}
	if got := eval[string](b, marked); got != "all, initContainer/setup spent, resources.requests.cpu spent" {
		t.Errorf("marked: %s", got)
	}
	b.shoot("spent")
	b.show(screen{width: 390, dark: true})
	b.shoot("spent-390-dark")
	b.slash()
	b.press("spent")
	if got := b.names(); got != "all some" {
		t.Errorf("the search for spent finds %s", got)
	}
}

func TestDeepLink(t *testing.T) {
	r := large(1000)
	b := open(t, file(t, report.Page{Report: r.Masked(mask.Off())})+"#team-1/Deployment/service-901", screen{})
	b.until(`document.querySelector('.detail') !== null`)
	if got := eval[string](b, `document.activeElement.textContent`); got != "service-901" {
		t.Errorf("focus on %q", got)
	}
	eval[string](b, `location.hash = 'team-0/Deployment/service-0'`)
	b.until(`document.activeElement.textContent === 'service-0'`)
}

func TestMarkupStaysText(t *testing.T) {
	b := open(t, file(t, report.Page{Report: typical().Masked(mask.Off()), Title: nasty})+"#"+url.PathEscape(nasty)+"/Deployment/"+url.PathEscape(nasty), screen{})
	b.until(`document.querySelector('.detail') !== null`)
	text := eval[string](b, `document.body.innerText`)
	for _, want := range []string{"Sidecar drift: " + nasty, "<img src=x onerror=alert(2)>", `\u202eevil`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if n := eval[int](b, `document.scripts.length + document.images.length`); n != 2 {
		t.Errorf("%d scripts and images, want the page's own script and the block of states", n)
	}
	if got := eval[string](b, `document.activeElement.textContent`); got != nasty {
		t.Errorf("the link leads to %q", got)
	}
}

func TestThemes(t *testing.T) {
	const ground = `getComputedStyle(document.body).backgroundColor`
	url := file(t, report.Page{Report: typical().Masked(mask.Off())})
	b := open(t, url, screen{})
	light := eval[string](b, ground)
	b.show(screen{dark: true})
	dark := eval[string](b, ground)
	if light == dark {
		t.Errorf("dark and light are both %s", light)
	}
	b.click("#theme")
	if got := eval[string](b, ground); got != light {
		t.Errorf("the button makes it %s, want %s", got, light)
	}
	b.do(chromedp.Reload(), chromedp.WaitVisible(chromedp.CSS("main")))
	if got := eval[string](b, ground); got != light {
		t.Errorf("after a reload it is %s, want %s", got, light)
	}
	b.click("#theme")
	b.show(screen{})
	if got := eval[string](b, ground); got != dark {
		t.Errorf("the button makes it %s, want %s", got, dark)
	}
}

func TestEmptyStates(t *testing.T) {
	for name, tt := range map[string]struct {
		report *report.Report
		want   string
	}{
		"none":        {report.New(report.DriftReport, time.Now(), nil, 0), "No workloads were selected."},
		"other state": {typical().Select(), "No workload is in the states that were asked for."},
		"no drift": {report.New(report.DriftReport, time.Now(), []report.Item{workload("shop", "Deployment", "web", verdict.InSync, 3, "")}, 0),
			"Nothing drifted: 3 Pods would be re-created as they are."},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, file(t, report.Page{Report: tt.report.Masked(mask.Off())}), screen{})
			if text := eval[string](b, `document.body.innerText`); !strings.Contains(text, tt.want) {
				t.Errorf("no %q in\n%s", tt.want, text)
			}
			b.shoot("empty-" + strings.ReplaceAll(name, " ", "-"))
		})
	}
}

func TestHistory(t *testing.T) {
	b := open(t, file(t, report.Page{Report: typical().Masked(mask.Off()), History: []report.Point{
		{Time: time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC), DriftPercent: 0},
		{Time: time.Date(2026, 1, 2, 15, 10, 0, 0, time.UTC), DriftPercent: 99.99},
		{Time: time.Date(2026, 1, 2, 15, 20, 0, 0, time.UTC), DriftPercent: 0.01},
	}}), screen{})
	const said = `document.getElementById('history-text').textContent`
	if got := eval[string](b, said); got != "0.0 % at first, <0.1 % now, at most >99.9 %" {
		t.Errorf("says %q", got)
	}
	eval[bool](b, `document.querySelector('#history svg').focus() === undefined`)
	b.press(kb.ArrowLeft)
	if got := eval[string](b, said); got != ">99.9 % at 2026-01-02 15:10:00 UTC" {
		t.Errorf("says %q", got)
	}
}

func TestALivePageFollows(t *testing.T) {
	first := report.Page{Report: typical().Masked(mask.Off())}
	url, next := serve(t, first)
	b := open(t, url, screen{})
	b.slash()
	b.press("web")
	b.click(`button.open[data-key="shop/Deployment/web"]`)
	calm := workload("shop", "Deployment", "web", verdict.InSync, 3, "")
	second := report.New(report.DriftReport, time.Now(), []report.Item{calm, workload("shop", "Deployment", "other", verdict.InSync, 1, "")}, 0)
	next(&report.Page{Report: second.Masked(mask.Off())}, 200)
	b.until(`document.getElementById('percent').textContent === '0.0 %'`)
	if got := eval[string](b, `[document.getElementById('search').value, document.querySelectorAll('.detail').length, document.activeElement.textContent].join()`); got != "web,1,web" {
		t.Errorf("search, open details and focus are %q", got)
	}
	if got := b.names(); got != "web" {
		t.Errorf("the search now finds %s", got)
	}
	b.shoot("live")
}

func TestALivePageSaysThatItIsNotLive(t *testing.T) {
	p := report.Page{Report: typical().Masked(mask.Off())}
	url, next := serve(t, p)
	b := open(t, url, screen{width: 390})
	b.expect("503") // the browser itself says so on the console
	next(&p, 503)
	b.until(`document.getElementById('status').className === 'stale'`)
	b.shoot("stale")
	next(&p, 200)
	b.until(`document.getElementById('status').className === 'live'`)
}
