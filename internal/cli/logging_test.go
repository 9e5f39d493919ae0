package cli

import (
	"bytes"
	"errors"
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

// Levels have four names, whatever verbosity a library logs at.
func TestLogLevelNames(t *testing.T) {
	var out bytes.Buffer
	logger := (&logging{level: "debug", format: logText}).logger(&out)
	logger.V(0).Info("a")
	logger.V(1).Info("b")
	logger.V(4).Info("c")
	logger.Error(errors.New("d"), "d")
	for _, want := range []string{"level=INFO msg=a", "level=DEBUG msg=b", "level=ERROR msg=d"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %q:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "DEBUG+") || strings.Contains(out.String(), "DEBUG-") {
		t.Errorf("a level that nobody knows:\n%s", &out)
	}
}
