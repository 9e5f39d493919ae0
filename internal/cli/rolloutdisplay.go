package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
)

// rolloutDisplay shows a rollout as it goes on: on a terminal a line for each workload
// under way, updated in place, below a line for each that has finished;
// elsewhere a line for each that starts or finishes. Its methods may be called
// concurrently.
type rolloutDisplay struct {
	*statusLines
	terminal bool
	style    report.TextOptions
	now      func() time.Time
	stop     chan struct{}
	ticking  sync.WaitGroup

	mu          sync.Mutex
	done, total int
	underWay    []line
	soaking     string
}

// line is a workload under way.
type line struct {
	workload inventory.WorkloadRef
	since    time.Time
	message  string
}

func newRolloutDisplay(out io.Writer, total int) *rolloutDisplay {
	b := &rolloutDisplay{
		statusLines: newStatusLines(out), terminal: isTerminal(out), style: textOptions(out), now: time.Now, total: total,
		stop: make(chan struct{}),
	}
	if b.terminal {
		b.ticking.Go(b.tick)
	}
	return b
}

// tick keeps the times that are shown current.
func (b *rolloutDisplay) tick() {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-second.C:
			b.mu.Lock()
			b.draw()
			b.mu.Unlock()
		}
	}
}

// close leaves only the lines that stay.
func (b *rolloutDisplay) close() {
	close(b.stop)
	b.ticking.Wait()
	b.erase()
}

// event shows a step.
func (b *rolloutDisplay) event(e rollout.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done, b.total = e.Done, e.Total
	at := slices.IndexFunc(b.underWay, func(l line) bool { return l.workload == e.Workload })
	switch e.Phase {
	case rollout.Soaking:
		b.soak(e.Message)
	case rollout.Started:
		b.underWay = append(b.underWay, line{e.Workload, b.now(), "started"})
		if !b.terminal {
			b.say(e.Workload, "started")
		}
	case rollout.Finished:
		took := ""
		if at >= 0 {
			took = " after " + b.now().Sub(b.underWay[at].since).Round(time.Second).String()
			b.underWay = slices.Delete(b.underWay, at, at+1)
		}
		text := b.style.PaintResult(e.Result) + took
		if e.Message != "" {
			text += ": " + report.Printable(e.Message)
		}
		b.soaking = ""
		b.say(e.Workload, text)
	default:
		if at >= 0 {
			b.underWay[at].message = phaseText(e)
		}
	}
	b.draw()
}

func phaseText(e rollout.Event) string {
	if e.Phase == rollout.Verifying {
		return "auditing it again"
	}
	return report.Printable(e.Message)
}

// soak shows how long the canaries are still watched; elsewhere than on a
// terminal, that they are.
func (b *rolloutDisplay) soak(message string) {
	if b.soaking == "" && !b.terminal {
		fmt.Fprintln(b, message)
	}
	b.soaking = message
}

// say writes a line that stays. Hold mu.
func (b *rolloutDisplay) say(w inventory.WorkloadRef, text string) {
	fmt.Fprintf(b, "%s: %s\n", report.Printable(w.String()), text)
}

// names are the workloads under way.
func (b *rolloutDisplay) names() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := make([]string, len(b.underWay))
	for i, l := range b.underWay {
		names[i] = report.Printable(l.workload.String())
	}
	return strings.Join(names, ", ")
}

// draw shows what is under way. Hold mu.
func (b *rolloutDisplay) draw() {
	if b.done == b.total {
		b.erase()
		return
	}
	lines := []string{fmt.Sprintf("Rolling out %s %d/%d", bar(b.done, b.total), b.done, b.total)}
	if b.soaking != "" {
		lines = append(lines, "  "+b.soaking)
	}
	for _, l := range b.underWay {
		since := b.now().Sub(l.since).Round(time.Second)
		lines = append(lines, fmt.Sprintf("  %s  %s  %s", report.Printable(l.workload.String()), since, l.message))
	}
	b.show(lines...)
}
