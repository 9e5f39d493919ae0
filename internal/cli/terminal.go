package cli

import (
	"io"
	"os"

	"golang.org/x/term"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// textOptions fit a report to where it is written.
func textOptions(out io.Writer) report.TextOptions {
	return report.TextOptions{Width: terminalWidth(out), Colour: colours(out)}
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// terminalSize is the number of columns and rows; 0 if the stream is no terminal.
func terminalSize(stream any) (columns, rows int) {
	if !isTerminal(stream) {
		return 0, 0
	}
	columns, rows, err := term.GetSize(int(stream.(*os.File).Fd()))
	if err != nil {
		return 0, 0
	}
	return columns, rows
}

func terminalWidth(stream any) int {
	columns, _ := terminalSize(stream)
	return columns
}

// colours reports whether the stream shows colours and the user wants any
// (https://no-color.org).
func colours(stream any) bool {
	return isTerminal(stream) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
