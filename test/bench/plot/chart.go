package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// chart is a column of the file against the number of Pods.
type chart struct {
	name, title, unit string
	series            []series
}

// series is a line of a chart.
type series struct{ benchmark, column, label string }

var charts = []chart{
	{"time", "Time of an audit", "seconds", []series{
		{"audit", "seconds", "in sync"},
		{"audit-drifted", "seconds", "drifted"},
		{"audit-replay", "cpu_seconds", "processor time, replayed"},
	}},
	{"memory", "Memory, at most", "MB resident", []series{
		{"audit", "rss_mb", "audit"},
		{"audit-drifted", "rss_mb", "audit, drifted"},
		{"audit-replay", "rss_mb", "audit, replayed"},
		{"daemon", "rss_mb", "daemon"},
	}},
}

// mostPods bounds what is drawn: all but replays ends there.
const mostPods = 20_000

// The chart's measures, in pixels.
const (
	width, height            = 720, 360
	left, right, top, bottom = 56, 208, 48, 44
	// lineHeight is how far labels are apart at least.
	lineHeight = 16
)

// style has its colours from whoever looks: light or dark.
const style = `
  svg { --text: #1f2328; --faint: #59636e; --grid: #d1d9e0; --s0: #0969da; --s1: #bc4c00; --s2: #1a7f37; --s3: #8250df; background: #ffffff }
  @media (prefers-color-scheme: dark) {
    svg { --text: #f0f6fc; --faint: #9198a1; --grid: #3d444d; --s0: #58a6ff; --s1: #f0883e; --s2: #3fb950; --s3: #bc8cff; background: #0d1117 }
  }
  text { font: 12px system-ui, sans-serif; fill: var(--faint) }
  .title { font-size: 15px; font-weight: 600; fill: var(--text) }
  .grid { stroke: var(--grid) }
  .line { fill: none; stroke-width: 2 }
`

// svg draws the chart. What was not measured is left out.
func (c chart) svg(rows []row) string {
	var b strings.Builder
	all := make([][]point, len(c.series))
	for i, s := range c.series {
		all[i] = slices.DeleteFunc(points(rows, s.benchmark, s.column), func(p point) bool { return p.pods > mostPods })
	}
	x, y := c.axes(all)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s against Pods">`+"\n",
		width, height, width, height, html.EscapeString(c.title))
	fmt.Fprintf(&b, "<style>%s</style>\n", style)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="20">%s</text>`+"\n", left, html.EscapeString(c.title))
	fmt.Fprintf(&b, `<text x="%d" y="38">%s</text>`+"\n", left, html.EscapeString(c.unit))
	y.grid(&b)
	x.ticks(&b)
	ends := labels(all, y)
	for i, list := range all {
		draw(&b, i, list, x, y)
		if len(list) > 0 {
			fmt.Fprintf(&b, `<text x="%d" y="%.0f" style="fill: var(--s%d)">%s %s</text>`+"\n",
				width-right+12, ends[i]+4, i, marks[i], html.EscapeString(c.series[i].label))
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// axis maps values from 0 to most to pixels.
type axis struct {
	most, step float64
	from, to   float64
}

func (a axis) at(value float64) float64 { return a.from + (a.to-a.from)*value/a.most }

func (c chart) axes(all [][]point) (x, y axis) {
	pods, value := 1.0, 1.0
	for _, p := range slices.Concat(all...) {
		pods, value = max(pods, p.pods), max(value, p.value)
	}
	x, y = axis{from: left, to: width - right}, axis{from: height - bottom, to: top}
	x.step, y.step = step(pods), step(value)
	x.most, y.most = math.Ceil(pods/x.step)*x.step, math.Ceil(value/y.step)*y.step
	return x, y
}

// step is 1, 2 or 5 times a power of ten, of which most has at most five.
func step(most float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(most/5)))
	for _, times := range []float64{1, 2, 5} {
		if most/(times*power) <= 5 {
			return times * power
		}
	}
	return 10 * power
}

// grid draws a line for each step of the vertical axis.
func (a axis) grid(b *strings.Builder) {
	for value := 0.0; value <= a.most; value += a.step {
		fmt.Fprintf(b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`+"\n", left, width-right, a.at(value), a.at(value))
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left-8, a.at(value)+4, number(value))
	}
}

// ticks names each step of the horizontal axis.
func (a axis) ticks(b *strings.Builder) {
	for value := 0.0; value <= a.most; value += a.step {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", a.at(value), height-bottom+18, number(value))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">Pods</text>`+"\n", width-right, height-8)
}

// number has commas between thousands.
func number(value float64) string {
	text := strconv.FormatFloat(math.Round(value*1e6)/1e6, 'f', -1, 64)
	if value < 1000 {
		return text
	}
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// marks tell the lines apart for who does not see their colours.
var marks = []string{"●", "■", "▲", "◆"}

func draw(b *strings.Builder, series int, list []point, x, y axis) {
	var corners []string
	for _, p := range list {
		corners = append(corners, fmt.Sprintf("%.1f,%.1f", x.at(p.pods), y.at(p.value)))
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" style="fill: var(--s%d)">%s<title>%s Pods: %s</title></text>`+"\n",
			x.at(p.pods), y.at(p.value)+4, series, marks[series], number(p.pods), number(p.value))
	}
	if len(corners) > 1 {
		fmt.Fprintf(b, `<polyline class="line" style="stroke: var(--s%d)" points="%s"/>`+"\n", series, strings.Join(corners, " "))
	}
}

// labels returns where the labels of lines stand: beside their last points, and
// apart.
func labels(all [][]point, y axis) []float64 {
	at := make([]float64, len(all))
	var order []int
	for i, list := range all {
		if len(list) > 0 {
			at[i] = y.at(list[len(list)-1].value)
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int { return int(at[j] - at[i]) }) // from below
	for k := 1; k < len(order); k++ {
		at[order[k]] = min(at[order[k]], at[order[k-1]]-lineHeight)
	}
	return at
}
