package cli

import (
	"bytes"
	"strings"
	"testing"
)

// TestLogsAreOneLineAnEntry: whatever a reason quotes, it begins no entry of its
// own and says nothing to a terminal.
func TestLogsAreOneLineAnEntry(t *testing.T) {
	for _, format := range []logFormat{logText, logJSON} {
		logs := logging{format: format}
		var out bytes.Buffer
		logs.logger(&out).Info("Skipped", "reason", "denied\n\r{\"level\":\"ERROR\"}\x1b[2J", "a\nb", 1)
		if logged := out.String(); strings.Count(logged, "\n") != 1 || strings.ContainsAny(logged, "\r\x1b") {
			t.Errorf("%s: %q", format, logged)
		}
	}
}
