package ui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// grouped is typical with labels, and its changes found.
func grouped() *report.Report {
	r := typical()
	r.Group()
	for i := range r.Items {
		r.Items[i].Labels = map[string]string{"example.com/team": []string{"storefront", "payments", ""}[i%3]}
	}
	return r
}

// inWaves is a report of which the first change is half way through its waves.
func inWaves(r *report.Report) *report.Report {
	r.Waves = []report.Progress{{
		Places: []string{"container/proxy:image"}, Changes: []string{r.Changes[0].ID}, Since: r.GeneratedAt.Add(-time.Hour),
		Waves: []report.WaveProgress{
			{Name: "staging", Workloads: 2, Phase: report.WaveOver},
			{Name: "production", Workloads: 4, Drifted: 3, Namespaces: []string{"shop"}, Phase: report.WaveRollingOut},
		},
	}}
	return r
}

// The card of a change that goes in waves says how far each is, and the waves say which change
// they are of.
func TestWavesOnTheCards(t *testing.T) {
	r := inWaves(grouped())
	b := open(t, file(t, report.Page{Report: r.Masked(mask.Off())}), screen{})
	text := strings.Join(strings.Fields(eval[string](b, `document.querySelector('.change').innerText`)), " ")
	if want := "staging over, 2 of 2 workloads production rolls out, 1 of 4 workloads, left in shop"; !strings.Contains(text, want) {
		t.Errorf("no %q on the card:\n%s", want, text)
	}
	if got := eval[int](b, `document.querySelectorAll('.change .waves').length`); got != 1 {
		t.Errorf("%d cards have waves, want one", got)
	}
	if got := eval[string](b, `document.getElementById('wave-list').innerText`); !strings.HasPrefix(got, "#1 container/proxy:image since ") {
		t.Errorf("the waves begin with %q", got)
	}
}

// What workloads differ in alike has a card, which leaves those in the table that do.
func TestAChangeSelectsItsWorkloads(t *testing.T) {
	r := grouped()
	if len(r.Changes) < 7 || r.Changes[0].Workloads < 2 {
		t.Fatalf("changes %+v", r.Changes)
	}
	first := r.Changes[0]
	b := open(t, file(t, report.Page{Report: r.Masked(mask.Off())}), screen{})
	b.until(`!document.getElementById('changes').hidden`)
	text := eval[string](b, `document.querySelector('.change').innerText`)
	for _, want := range []string{"#1 " + first.Summary, fmt.Sprintf("%d workloads · %d Pods · 1 namespace", first.Workloads, first.Pods), string(first.Risk), first.RiskReason, "A rollout would take all of them.", first.ID} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q on the card:\n%s", want, text)
		}
	}
	button := fmt.Sprintf(`button[data-change="%s"]`, first.ID)
	b.click(button)
	b.until(fmt.Sprintf(`document.querySelectorAll('button.open').length === %d`, first.Workloads))
	if got := eval[string](b, `document.getElementById('by-change').value + ' ' + location.hash + ' ' + document.activeElement.id`); got != first.ID+" #?change="+first.ID+" table" {
		t.Errorf("chosen, address and focus: %s", got)
	}
	b.click(button)
	b.until(`document.querySelectorAll('button.open').length === 15 && location.hash === ''`)
	b.click("#changes-more")
	b.until(fmt.Sprintf(`document.querySelectorAll('.change').length === %d && document.getElementById('changes-more').hidden`, len(r.Changes)))
	b.slash()
	b.press(first.ID)
	b.until(fmt.Sprintf(`document.querySelectorAll('button.open').length === %d`, first.Workloads))
}

// Filters are taken together, by the keyboard alone, and their address leads to the same.
func TestFiltersByChangeAndLabel(t *testing.T) {
	r := grouped()
	url := file(t, report.Page{Report: r.Masked(mask.Off())})
	b := open(t, url, screen{})
	eval[bool](b, `document.getElementById('by-change').focus() === undefined`)
	b.press(kb.ArrowDown)
	b.until(fmt.Sprintf(`document.querySelectorAll('button.open').length === %d`, r.Changes[0].Workloads))
	eval[bool](b, `document.getElementById('by-label').focus() === undefined`)
	b.press("payments")
	b.until(`location.hash.includes('label=')`)
	want := map[string]bool{}
	for _, item := range r.Items {
		for _, c := range item.Revisions[0].Changes {
			if c.ID == r.Changes[0].ID && item.Labels["example.com/team"] == "payments" {
				want[item.Name] = true
			}
		}
	}
	found := b.names()
	if len(want) == 0 || len(strings.Fields(found)) != len(want) {
		t.Errorf("found %q, want %v", found, want)
	}
	other := open(t, url+eval[string](b, `location.hash`), screen{})
	if got := other.names(); got != found {
		t.Errorf("the address leads to %q, want %q", got, found)
	}
	other.click("#clear")
	other.until(`document.querySelectorAll('button.open').length === 15 && location.hash === ''`)
}

// What the journal knows of a change stands on its card, and in the timeline.
func TestTimeline(t *testing.T) {
	r := grouped()
	entries := journalOf(r)
	b := open(t, file(t, report.Page{Report: r.Masked(mask.Off()), Journal: entries, History: history(80, 9)}), screen{})
	text := eval[string](b, `document.querySelectorAll('.change')[1].innerText`)
	for _, want := range []string{"Since 10 hours ago (", "between ", "71 % healed 4 rolled out, 1 gone, 2 left"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q on the card:\n%s", want, text)
		}
	}
	lanes := `document.querySelectorAll('#lanes li')`
	if got := eval[int](b, lanes+`.length`); got != 6 {
		t.Errorf("%d changes that were there in the last 24 h, want 6", got)
	}
	b.click(`[data-range="30 days"]`)
	b.click("#lanes-more")
	b.until(fmt.Sprintf(`%s.length === %d`, lanes, len(entries)))
	if got := eval[string](b, lanes+`[7].innerText`); !strings.Contains(got, "taken back") {
		t.Errorf("of a change that was taken back it says %q", got)
	}
	b.click(fmt.Sprintf(`[data-lane="%s"]`, entries[0].ID))
	b.until(fmt.Sprintf(`document.querySelectorAll('button.open').length === %d`, r.Changes[0].Workloads))
}
