package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestLogsAreOneLineAnEntry: whatever a value holds, it begins no entry of its
// own and says nothing to a terminal.
func TestLogsAreOneLineAnEntry(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		logs := logging{format: choice{value: format}}
		var out bytes.Buffer
		slog.New(logs.handler(&out)).Info("Answered", "name", "web\n\r{\"level\":\"ERROR\"}\x1b[2J\u2028\u202e", "a\nb", 1)
		if logged := out.String(); strings.Count(logged, "\n") != 1 || strings.ContainsAny(logged, "\r\x1b") {
			t.Errorf("%s: %q", format, logged)
		}
	}
}
