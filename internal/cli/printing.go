package cli

import (
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

// printing has all that is said to the user pass a printable.Writer: what comes
// from a cluster or a file cannot obey the terminal, wherever it is said. Our own
// colours pass where there are any.
func printing(streams genericiooptions.IOStreams) genericiooptions.IOStreams {
	streams.Out, streams.ErrOut = printingTo(streams.Out), printingTo(streams.ErrOut)
	return streams
}

func printingTo(out io.Writer) io.Writer {
	if _, already := out.(*printable.Writer); already {
		return out
	}
	if colours(out) {
		return printable.NewWriter(out, report.Sequences()...)
	}
	return printable.NewWriter(out)
}

// flush writes what a stream still keeps: it ended within a character.
func flush(streams genericiooptions.IOStreams) {
	for _, out := range []io.Writer{streams.Out, streams.ErrOut} {
		if w, is := out.(*printable.Writer); is {
			_ = w.Flush() // as little as of any other message
		}
	}
}

// behind is the stream itself: to ask what it is, to move a cursor, or to hand it
// to another program.
func behind(out io.Writer) io.Writer {
	if w, is := out.(*printable.Writer); is {
		return w.Unwrap()
	}
	return out
}

// adoptLogs has libraries log where we do, and not to the error stream itself.
func adoptLogs(log logr.Logger) {
	klog.SetLogger(log)
	ctrllog.SetLogger(log)                             // which else prints a stack, once it has something to log
	slog.SetDefault(slog.New(logr.ToSlogHandler(log))) // net/http logs there
}
