package watch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// While a first round is under way, what it has found is told every few seconds, and once it has
// ended no more.
func TestWhatAFirstRoundHasFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, begin := standingAuditor(), time.Now()
		var told []string
		a.SoFar = func(r *report.Report) {
			told = append(told, fmt.Sprintf("%s: %d of Pods, %d not judged", time.Since(begin), r.Summary.Judged(), r.Summary.NotJudged))
		}
		pods := []inventory.Pod{numbered("web", 1, 100)}
		take := a.take(map[inventory.Key]inventory.Group{{}: {Pods: pods}}, 3)
		find := func() {
			f := found(1, 1000, pods, nil)
			f.Revision.Pods = 1
			take(inventory.Revision{Pods: pods}, f, nil, shape{})
		}
		for range 12 {
			find()
			time.Sleep(time.Second)
		}
		if want := "[5s: 1 of Pods, 3 not judged 10s: 1 of Pods, 3 not judged]"; fmt.Sprint(told) != want {
			t.Errorf("told %v, want %v", told, want)
		}
		a.first.ended = true
		time.Sleep(time.Minute)
		find()
		if len(told) != 2 {
			t.Errorf("after the first round it is told of %v", told)
		}
	})
}
