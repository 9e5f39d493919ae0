package report

import (
	"io"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

const (
	// narrowest is the least width of the last column: where less is left for it, it has
	// lines of its own.
	narrowest = 20
	// longestCell is the number of columns of a cell: nobody's name shall make
	// everybody's lines long.
	longestCell = 64
	// shortestName is the number of columns to which a name is shortened at least.
	shortestName = 12
	// shortestCell is the same of all columns, where they do not fit otherwise.
	shortestCell = 4
	// ownLine is how far the last column is indented where it has lines of its own.
	ownLine = "    "
)

// A grid is lines of cells; all columns but the last are padded to their
// widest cell, and to longestCell at most. The last one has what is left.
type grid struct {
	titles []string
	rows   []row
	// named is how many of the first columns have names, which are shortened in their
	// middle where the last column has too little room.
	named int
	// least is the least width of the last column, where that is not narrowest.
	least int
	// whole: longer cells are not cut, and push the rest of their own line.
	whole bool
}

type row struct {
	cells []string
	// styled gives a colour to the cell of that index.
	styled map[int]style
	// details render the last column for the width that is left for it (0:
	// no limit), one string a line.
	details func(width int) []string
}

// writeGrid writes changes that several workloads have, the table, or nothing where it has
// no rows, and the summary.
func (r *Report) writeGrid(w io.Writer, g grid, o TextOptions) error {
	var b strings.Builder
	r.told().write(&b, o, nothing)
	if len(g.rows) > 0 {
		g.write(&b, o)
		b.WriteByte('\n')
	}
	b.WriteString(r.summaryText(o))
	_, err := io.WriteString(w, b.String())
	return err
}

// widths are those of all columns but the last, and left what that one has; 0 sets no limit,
// and less says that it has lines of its own.
func (g grid) widths(o TextOptions) (widths []int, left int) {
	widths = make([]int, len(g.titles)-1)
	sum := 0
	for i := range widths {
		widths[i] = len(g.titles[i])
		for _, row := range g.rows {
			widths[i] = max(widths[i], min(cells(row.cells[i]), longestCell))
		}
		sum += widths[i] + len("  ")
	}
	if o.Width <= 0 {
		return widths, 0
	}
	// The last column wants three tenths, and names make room for it down to the length
	// that names have as a rule.
	least := max(narrowest, g.least)
	sum = shorten(widths[:g.named], sum, o.Width-max(least, o.Width*3/10), shortestName)
	if o.Width-sum < least {
		whole := o.Width + len("  ") // nothing stands behind the last one
		sum = shorten(widths[:g.named], sum, whole, len("NAMESPACE"))
		sum = shorten(widths[:g.named], sum, whole, shortestCell+2)
		shorten(widths, sum, whole, shortestCell)
		return widths, -1
	}
	return widths, o.Width - sum
}

// shorten makes the widest of these columns narrower, down to a least width, until the sum of
// all that there are is what it may be, and returns that.
func shorten(widths []int, sum, may, least int) int {
	for ; sum > may && len(widths) > 0; sum-- {
		longest := 0
		for i := range widths {
			if widths[i] > widths[longest] {
				longest = i
			}
		}
		if widths[longest] <= least {
			break
		}
		widths[longest]--
	}
	return sum
}

func (g grid) write(b *strings.Builder, o TextOptions) {
	for _, row := range g.rows {
		for i := range row.cells {
			row.cells[i] = Printable(row.cells[i])
		}
	}
	widths, left := g.widths(o)
	indent := ownLine
	if left >= 0 {
		indent = strings.Repeat(" ", sum(widths)+len(widths)*len("  "))
	}
	var line strings.Builder
	for i, width := range widths {
		line.WriteString(o.padded(bold, truncate(g.titles[i], width), width))
	}
	if last := g.titles[len(widths)]; left >= 0 || cells(line.String())+len(last) <= o.Width {
		line.WriteString(o.paint(bold, last))
	}
	if left < 0 {
		left = max(o.Width-len(ownLine), 1)
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		g.writeBelow(b, o, widths, left)
		return
	}
	b.WriteString(line.String() + "\n")
	for _, row := range g.rows {
		line.Reset()
		g.writeCells(&line, o, row, widths)
		for i, detail := range row.details(left) {
			if i > 0 {
				line.WriteString(indent)
			}
			line.WriteString(detail)
			b.WriteString(strings.TrimRight(line.String(), " "))
			b.WriteByte('\n')
			line.Reset()
		}
	}
}

// writeBelow writes rows whose last column has lines of its own, where it does not fit.
func (g grid) writeBelow(b *strings.Builder, o TextOptions, widths []int, left int) {
	for _, row := range g.rows {
		var line strings.Builder
		g.writeCells(&line, o, row, widths)
		details := row.details(left)
		if len(details) == 1 && cells(line.String())+cells(details[0]) <= o.Width {
			b.WriteString(strings.TrimRight(line.String()+details[0], " ") + "\n")
			continue
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		for _, detail := range details {
			if detail != "" {
				b.WriteString(ownLine + detail + "\n")
			}
		}
	}
}

func (g grid) writeCells(line *strings.Builder, o TextOptions, row row, widths []int) {
	for i, cell := range row.cells {
		if !g.whole {
			cell = printable.CutMiddle(cell, widths[i])
		}
		line.WriteString(o.padded(row.styled[i], cell, widths[i]))
	}
}

// padded is a cell and the space behind it.
func (o TextOptions) padded(s style, cell string, width int) string {
	return o.paint(s, cell) + strings.Repeat(" ", max(0, width-cells(cell))+2)
}

func sum(numbers []int) int {
	all := 0
	for _, n := range numbers {
		all += n
	}
	return all
}
