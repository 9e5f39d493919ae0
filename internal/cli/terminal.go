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

// terminalOf is the terminal that a stream, an io.Reader or io.Writer, is; nil if it
// is none.
func terminalOf(stream any) *os.File {
	if out, is := stream.(io.Writer); is {
		stream = behind(out)
	}
	if file, is := stream.(*os.File); is && term.IsTerminal(int(file.Fd())) {
		return file
	}
	return nil
}

func isTerminal(stream any) bool { return terminalOf(stream) != nil }

// terminalSize is the number of columns and rows; 0 if the stream is no terminal.
func terminalSize(stream any) (columns, rows int) {
	terminal := terminalOf(stream)
	if terminal == nil {
		return 0, 0
	}
	columns, rows, err := term.GetSize(int(terminal.Fd()))
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
