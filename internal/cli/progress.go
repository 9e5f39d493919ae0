package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// barWidth is the number of columns of the bar itself.
const barWidth = 24

// progress is a line at the foot of a terminal that is overwritten as work goes
// on. On anything but a terminal it writes nothing. Its methods may be called
// concurrently.
type progress struct {
	label string
	width func() int // of the terminal, now; 0 where there is none

	mu   sync.Mutex
	out  io.Writer
	line string // what stands on the terminal
}

// newProgress shows the label until there is more to show.
func newProgress(out io.Writer, label string) *progress {
	p := &progress{label: label, out: out, width: func() int { return terminalWidth(out) }}
	p.say(label + " …")
	return p
}

// count shows that done of total have been done.
func (p *progress) count(done, total int) {
	if total <= 0 {
		return
	}
	filled := min(barWidth*done/total, barWidth)
	p.say(fmt.Sprintf("%s %s%s %d/%d", p.label, strings.Repeat("█", filled), strings.Repeat("░", barWidth-filled), done, total))
}

// say shows a line, cut to the terminal's width.
func (p *progress) say(line string) {
	width := p.width()
	if width <= 1 {
		return
	}
	// The last column stays free: some terminals wrap once it is written.
	if runes := []rune(line); len(runes) > width-1 {
		line = string(runes[:width-2]) + "…"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if line != p.line {
		p.line = line
		fmt.Fprint(p.out, eraseLine+line)
	}
}

// erase leaves no trace of the line.
func (p *progress) erase() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line != "" {
		p.line = ""
		fmt.Fprint(p.out, eraseLine)
	}
}

// Write lets log lines scroll above the line.
func (p *progress) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line == "" {
		return p.out.Write(text)
	}
	if _, err := fmt.Fprint(p.out, eraseLine); err != nil {
		return 0, err
	}
	n, err := p.out.Write(text)
	if err == nil {
		_, err = fmt.Fprint(p.out, p.line)
	}
	return n, err
}

// eraseLine is "carriage return, erase to the end of the line" (ECMA-48).
const eraseLine = "\r\x1b[K"
