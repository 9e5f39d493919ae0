package main

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// Size of the terminal that commands are recorded in, in characters.
const (
	columns = 118
	rows    = 24
)

// scene is a command and what it printed, with its colours.
type scene struct{ command, output string }

// lines are those of the screen: the prompt with the command, and the output.
func (s scene) lines() []string {
	return append([]string{"\x1b[p]$ \x1b[0m" + s.command}, strings.Split(strings.TrimRight(s.output, "\n"), "\n")...)
}

// record runs the command in a terminal (util-linux' script) and keeps what it prints as
// a report; what is for the moment, as a progress bar, goes nowhere.
func (s *stage) record(ctx context.Context, args []string) error {
	line := fmt.Sprintf("stty cols %d rows %d; exec %q", columns, rows, s.program)
	for _, arg := range args {
		line += fmt.Sprintf(" %q", arg)
	}
	cmd := exec.CommandContext(ctx, "script", "-qec", line+" 2>/dev/null", "/dev/null")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.cluster.Kubeconfig(), "TERM=xterm")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("record sidecar-drift %s: %w\n%s", args[0], err, out)
	}
	s.scenes = append(s.scenes, scene{"sidecar-drift " + strings.Join(args, " "), string(bytes.ReplaceAll(out, []byte("\r"), nil))})
	return nil
}

// Measures of the picture, in pixels and seconds.
const (
	glyph, lineHeight, margin = 7.85, 18, 16
	sceneTime                 = 6
)

// drawing is an SVG that shows the scenes in turns, each as it was printed.
func drawing(scenes []scene) string {
	longest := 0
	for _, s := range scenes {
		longest = max(longest, len(s.lines()))
	}
	width, height := columns*glyph+2*margin, min(rows, longest)*lineHeight+2*margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="13">`+"\n", width, height)
	b.WriteString("<title>sidecar-drift: an audit, a rollout, and an audit again</title>\n<style>\n")
	b.WriteString("text { white-space: pre; fill: #d8dee9 } .b { font-weight: bold } .r { fill: #ff7b72 } .y { fill: #e3b341 } .g { fill: #7ee787 } .c { fill: #8b949e } .p { fill: #79c0ff }\n")
	total := float64(len(scenes) * sceneTime)
	for i := range scenes {
		from, to := 100*float64(i*sceneTime)/total, 100*float64((i+1)*sceneTime)/total
		fmt.Fprintf(&b, "#s%d { animation: s%d %.0fs step-end infinite }\n@keyframes s%d { 0%% { opacity: %d } %.2f%% { opacity: 1 } %.2f%% { opacity: %d } 100%% { opacity: %d } }\n",
			i, i, total, i, first(i), from, to, last(i, len(scenes)), last(i, len(scenes)))
	}
	b.WriteString("@media (prefers-reduced-motion) { g { animation: none !important; opacity: 0 } #s0 { opacity: 1 } }\n</style>\n")
	fmt.Fprintf(&b, `<rect width="%.0f" height="%d" rx="8" fill="#0d1117"/>`+"\n", width, height)
	for i, s := range scenes {
		fmt.Fprintf(&b, "<g id=\"s%d\">\n", i)
		for n, line := range s.lines() {
			if n == rows {
				break // as a terminal's screen ends
			}
			fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\">%s</text>\n", margin, margin+(n+1)*lineHeight-5, spans(line))
		}
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// first is whether a scene is seen at the start, last whether it is after its own end.
func first(i int) int {
	if i == 0 {
		return 1
	}
	return 0
}

func last(i, scenes int) int {
	if i == scenes-1 {
		return 1
	}
	return 0
}

var (
	sgr = regexp.MustCompile("\x1b\\[([0-9;p]*)[m\\]]")
	// classes of the sequences that reports use; p is the prompt's own.
	classes = map[string]string{"1": "b", "31": "r", "1;31": "r b", "32": "g", "33": "y", "2": "c", "36": "p", "p": "p"}
)

// spans renders a line's colours.
func spans(line string) string {
	var b strings.Builder
	class, at := "", 0
	write := func(text string) {
		switch text = html.EscapeString(text); {
		case text == "":
		case class == "":
			b.WriteString(text)
		default:
			fmt.Fprintf(&b, `<tspan class="%s">%s</tspan>`, class, text)
		}
	}
	for _, m := range sgr.FindAllStringSubmatchIndex(line, -1) {
		write(line[at:m[0]])
		class, at = classes[line[m[2]:m[3]]], m[1]
	}
	write(line[at:])
	return b.String()
}
