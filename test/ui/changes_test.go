package ui

import (
	"fmt"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// What workloads differ in alike is listed once, and leaves those in the table that do.
func TestAChangeSelectsItsWorkloads(t *testing.T) {
	r := typical()
	r.Group()
	if len(r.Changes) < 2 || r.Changes[0].Workloads < 2 {
		t.Fatalf("changes %+v", r.Changes)
	}
	b := open(t, file(t, report.Page{Report: r.Masked(mask.Off())}), screen{})
	b.until(`!document.getElementById('changes').hidden`)
	if got, want := eval[string](b, `document.querySelector('#change-list li').innerText`), "#1 "+r.Changes[0].Summary; len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("begins with %q, want %q", got, want)
	}
	b.click(fmt.Sprintf(`#change-list button[data-change="%s"]`, r.Changes[0].ID))
	b.until(fmt.Sprintf(`document.querySelectorAll('button.open').length === %d`, r.Changes[0].Workloads))
	if got := eval[string](b, `document.getElementById('search').value`); got != r.Changes[0].ID {
		t.Errorf("searches for %q", got)
	}
	if more := len(r.Changes) - 5; more > 0 {
		b.click("#changes-more")
		b.until(fmt.Sprintf(`document.querySelectorAll('#change-list li').length === %d && document.getElementById('changes-more').hidden`, len(r.Changes)))
	}
}
