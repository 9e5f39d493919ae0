package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"
)

// logging holds the flags that say what is logged, and how.
type logging struct {
	level  choice
	format choice
}

func (l *logging) addFlags(flags *pflag.FlagSet) {
	l.level = choice{value: "info", of: []string{"debug", "info", "warn", "error"}}
	l.format = choice{value: "text", of: []string{"text", "json"}}
	flags.Var(&l.level, "log-level", "least `level` that is logged: "+l.level.list())
	flags.Var(&l.format, "log-format", "`format` of logs: "+l.format.list())
}

// handler writes one line an entry: both formats escape line breaks and control
// characters.
func (l *logging) handler(w io.Writer) slog.Handler {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "warn": slog.LevelWarn, "error": slog.LevelError}
	options := &slog.HandlerOptions{Level: levels[l.level.value]}
	if l.format.value == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// choice is a flag whose value is one of a few words.
type choice struct {
	value string
	of    []string
}

func (c *choice) list() string   { return strings.Join(c.of, ", ") }
func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return "string" }

func (c *choice) Set(value string) error {
	for _, word := range c.of {
		if word == value {
			c.value = value
			return nil
		}
	}
	return fmt.Errorf("want one of %s", c.list())
}
