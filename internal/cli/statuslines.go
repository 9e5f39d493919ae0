package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// statusLines are some lines at the foot of a terminal that are overwritten as work goes
// on. On anything but a terminal it shows nothing. Its methods may be called
// concurrently.
type statusLines struct {
	size func() (columns, rows int) // of the terminal, now; 0 where there is none

	mu    sync.Mutex
	out   io.Writer
	lines []string // what stands on the terminal
}

func newStatusLines(out io.Writer) *statusLines {
	return &statusLines{out: out, size: func() (int, int) { return terminalSize(out) }}
}

// show replaces the lines, each cut to the terminal's width; those that do not
// fit its height are only counted.
func (f *statusLines) show(lines ...string) {
	columns, rows := f.size()
	if columns <= 1 {
		return
	}
	if most := max(rows-1, 1); len(lines) > most {
		more := len(lines) - most + 1
		lines = append(append([]string{}, lines[:most-1]...), fmt.Sprintf("  … and %d more", more))
	}
	shown := make([]string, len(lines))
	for i, line := range lines {
		// The last column stays free: some terminals wrap once it is written.
		shown[i] = cut(report.Printable(line), columns-1)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.Join(shown, "\n") == strings.Join(f.lines, "\n") {
		return
	}
	erasing := f.erasing()
	f.lines = shown
	fmt.Fprint(behind(f.out), erasing+strings.Join(shown, "\n"))
}

func cut(line string, columns int) string {
	if runes := []rune(line); len(runes) > columns {
		return string(runes[:columns-1]) + "…"
	}
	return line
}

// erase leaves no trace of the lines.
func (f *statusLines) erase() {
	f.mu.Lock()
	defer f.mu.Unlock()
	fmt.Fprint(behind(f.out), f.erasing())
	f.lines = nil
}

// erasing is what takes the lines off the terminal: "carriage return", "cursor
// up", "erase to the end of the screen" (ECMA-48). Hold mu.
func (f *statusLines) erasing() string {
	switch len(f.lines) {
	case 0:
		return ""
	case 1:
		return "\r\x1b[J"
	}
	return fmt.Sprintf("\r\x1b[%dA\x1b[J", len(f.lines)-1)
}

// Write lets text that ends with a line break scroll above the lines.
func (f *statusLines) Write(text []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := fmt.Fprint(behind(f.out), f.erasing()); err != nil {
		return 0, err
	}
	n, err := f.out.Write(text)
	if err == nil {
		_, err = fmt.Fprint(behind(f.out), strings.Join(f.lines, "\n"))
	}
	return n, err
}
