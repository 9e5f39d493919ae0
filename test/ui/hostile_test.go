package ui

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// hostileNames are what those who may create a Pod may call things.
func hostileNames() []string {
	return []string{
		nasty, `"><img src=x onerror=alert(1)>`, `</script><script>alert(1)</script>`, `<!--<script>`, `' onmouseover='alert(1)`,
		`javascript:alert(1)`, `${alert(1)}`, "\u202egnp.exe", "line\u2028break", "a\x00b", `#shop/Deployment/web`, `../../shop/web`, `%3Cscript%3E`,
		strings.Repeat("w", 253), strings.Repeat("long-name.", 25), strings.Repeat("W ", 120), strings.Repeat("😀", 60), strings.Repeat("ᄀ̈", 80),
	}
}

// Whatever a stranger writes into names, kinds, reasons, paths and values is text, in
// cells of the size of everybody else's.
func TestHostileNames(t *testing.T) {
	items := []report.Item{workload("shop", "Deployment", "web", verdict.Drifted, 3, "", upgrade()...)}
	states := []verdict.State{verdict.Blocked, verdict.Drifted, verdict.Unknown}
	for i, name := range hostileNames() {
		item := workload("evil", name, name, states[i%len(states)], 1, strings.Repeat(name+" ", 20),
			change("container/"+name, "env["+name+"].value", name, strings.Repeat(name, 20)),
			change("app/"+name, "image", name, name+"2"), change("volumes", "["+name+"]", nil, map[string]string{name: name}))
		item.Revisions[0].Name, item.Revisions[0].Sidecars, item.Revisions[0].MoreChanges = name, []string{name}, 1234
		item.Revisions[0].Stamps[0].Stamp = name
		items = append(items, item)
	}
	found := report.New(report.DriftReport, time.Now(), items, 0)
	for _, on := range []screen{{width: 1280}, {width: 360}} {
		b := open(t, file(t, report.Page{Report: found.Masked(mask.Off())}), on)
		b.until(`document.querySelectorAll('button.open').length === ` + strconv.Itoa(len(items)))
		if tall := eval[int](b, `Math.max(...[...document.querySelectorAll('tr.row')].map((row) => row.offsetHeight))`); tall > 250 {
			t.Errorf("on %d px a row is %d px high", on.width, tall)
		}
		eval[int](b, `[...document.querySelectorAll('button.open')].map((button) => button.dataset.key).map((key) => toggle(key, true)).length`)
		if n := eval[int](b, `document.querySelectorAll('.detail').length`); n != len(items) {
			t.Errorf("%d of %d workloads open", n, len(items))
		}
		if wide := eval[int](b, `document.documentElement.scrollWidth`); int64(wide) > on.width {
			t.Errorf("on %d px the page is %d px wide and scrolls sideways", on.width, wide)
		}
		// Elements of a report's making would be among them.
		if n := eval[int](b, `document.querySelectorAll('script, img, iframe, [onerror], [onmouseover]').length`); n != eval[int](b, `document.querySelectorAll('head script, body > script').length`) {
			t.Errorf("%d elements of somebody else's making", n)
		}
		if text := eval[string](b, `document.body.innerText`); strings.ContainsAny(text, "\u202e\u2028\x00") || !strings.Contains(text, `\u202egnp.exe`) || !strings.Contains(text, "1,234 more changes") {
			t.Error("characters that turn or hide text are not spelled out, or what is left out is not numbered")
		}
		b.shoot(fmt.Sprintf("hostile-%d", on.width))
	}
}
