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

// terminalWidth is the number of columns; 0 if the stream is no terminal.
func terminalWidth(stream any) int {
	if !isTerminal(stream) {
		return 0
	}
	width, _, err := term.GetSize(int(stream.(*os.File).Fd()))
	if err != nil {
		return 0
	}
	return width
}

// colours reports whether the stream shows colours and the user wants any
// (https://no-color.org).
func colours(stream any) bool {
	return isTerminal(stream) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
