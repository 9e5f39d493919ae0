package cli

import (
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// clusterDisplay shows audits of several clusters as they go on, on a terminal: a
// line for each that is under way. Its methods may be called concurrently.
type clusterDisplay struct {
	*statusLines
	total int

	mu       sync.Mutex
	finished int
	paused   bool
	underWay []clusterLine
}

// clusterLine is a cluster under way, whose revisions are counted once there is
// a total.
type clusterLine struct {
	name        string
	done, total int
}

func newClusterDisplay(out io.Writer, total int) *clusterDisplay {
	return &clusterDisplay{statusLines: newStatusLines(out), total: total}
}

// count shows that so many revisions of a cluster are done of how many; 0 of 0
// before they are known.
func (b *clusterDisplay) count(name string, done, total int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	line := clusterLine{name, done, total}
	if at := b.find(name); at >= 0 {
		b.underWay[at] = line
	} else {
		b.underWay = append(b.underWay, line)
	}
	b.draw()
}

// done takes a cluster off the display.
func (b *clusterDisplay) done(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finished++
	if at := b.find(name); at >= 0 {
		b.underWay = slices.Delete(b.underWay, at, at+1)
	}
	b.draw()
}

// pause leaves the terminal to somebody else, or takes it back.
func (b *clusterDisplay) pause(paused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused = paused
	if paused {
		b.erase()
		return
	}
	b.draw()
}

func (b *clusterDisplay) find(name string) int {
	return slices.IndexFunc(b.underWay, func(l clusterLine) bool { return l.name == name })
}

// draw shows what is under way. Hold mu.
func (b *clusterDisplay) draw() {
	if b.paused {
		return
	}
	lines := []string{fmt.Sprintf("Auditing %s %d/%d clusters", bar(b.finished, b.total), b.finished, b.total)}
	for _, l := range b.underWay {
		text := "…"
		if l.total > 0 {
			text = fmt.Sprintf("%s %d/%d", bar(l.done, l.total), l.done, l.total)
		}
		lines = append(lines, fmt.Sprintf("  %s  %s", report.Printable(l.name), text))
	}
	b.show(lines...)
}
