package cli

import (
	"fmt"
	"io"
	"strings"
)

// barWidth is the number of columns of the bar itself.
const barWidth = 24

// auditing is the label of all bars.
const auditing = "Auditing"

// progress is a bar at the foot of a terminal.
type progress struct{ *statusLines }

// newProgress shows the label until there is more to show.
func newProgress(out io.Writer) *progress {
	p := &progress{newStatusLines(out)}
	p.show(auditing + " …")
	return p
}

// count shows that done of total have been done.
func (p *progress) count(done, total int) {
	if total > 0 {
		p.show(fmt.Sprintf("%s %s %d/%d", auditing, bar(done, total), done, total))
	}
}

func bar(done, total int) string {
	filled := min(barWidth*done/max(total, 1), barWidth)
	return strings.Repeat("█", filled) + strings.Repeat("░", barWidth-filled)
}
