package cli

import (
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"

	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

type (
	logLevel  string
	logFormat string
)

const (
	logText logFormat = "text"
	logJSON logFormat = "json"
)

// logging holds the flags of commands that log.
type logging struct {
	level  logLevel
	format logFormat
}

// levelsOfPython are what Python, and so the script k8s-sidecar-rollout, calls
// levels otherwise.
var levelsOfPython = map[string]logLevel{"warning": "warn", "critical": "error"}

func (l *logging) addFlags(flags *pflag.FlagSet) {
	addChoice(flags, &l.level, "log-level", "", "Least `level` that is logged, on the error stream: %s.", "debug", "info", "warn", "error")
	flags.Lookup("log-level").Value.(*choice[logLevel]).aliases = levelsOfPython
	addChoice(flags, &l.format, "log-format", "", "Log `format`: %s.", logText, logJSON)
}

func (l *logging) logger(w io.Writer) logr.Logger {
	options := &slog.HandlerOptions{ReplaceAttr: masked(mask.Constant())}
	switch l.level {
	case "debug":
		options.Level = slog.LevelDebug
	case "warn":
		options.Level = slog.LevelWarn
	case "error":
		options.Level = slog.LevelError
	}
	if l.format == logJSON {
		return logr.FromSlogHandler(slog.NewJSONHandler(w, options))
	}
	return logr.FromSlogHandler(slog.NewTextHandler(w, options))
}

// levelName is one of four: logr's verbosities lie between those of slog.
func levelName(level slog.Level) string {
	for _, named := range []slog.Level{slog.LevelError, slog.LevelWarn, slog.LevelInfo} {
		if level >= named {
			return named.String()
		}
	}
	return slog.LevelDebug.String()
}

// masked returns what masks secrets in the texts of a log: errors quote others.
func masked(m *mask.Masker) func([]string, slog.Attr) slog.Attr {
	return func(groups []string, attr slog.Attr) slog.Attr {
		if level, is := attr.Value.Any().(slog.Level); is && len(groups) == 0 && attr.Key == slog.LevelKey {
			attr.Value = slog.StringValue(levelName(level))
			return attr
		}
		switch attr.Value.Kind() {
		case slog.KindString:
			attr.Value = slog.StringValue(m.Prose(attr.Value.String()))
		case slog.KindAny:
			if err, ok := attr.Value.Any().(error); ok {
				attr.Value = slog.StringValue(m.Prose(err.Error()))
			}
		}
		return attr
	}
}
