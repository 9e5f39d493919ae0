package cli

import (
	"fmt"
	"io"
	"strings"
)

// barWidth is the number of columns of the bar itself.
const barWidth = 24

// progress is a bar at the foot of a terminal.
type progress struct {
	*foot
	label string
}

// newProgress shows the label until there is more to show.
func newProgress(out io.Writer, label string) *progress {
	p := &progress{newFoot(out), label}
	p.show(label + " …")
	return p
}

// count shows that done of total have been done.
func (p *progress) count(done, total int) {
	if total > 0 {
		p.show(fmt.Sprintf("%s %s %d/%d", p.label, bar(done, total), done, total))
	}
}

func bar(done, total int) string {
	filled := min(barWidth*done/max(total, 1), barWidth)
	return strings.Repeat("█", filled) + strings.Repeat("░", barWidth-filled)
}
