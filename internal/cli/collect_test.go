package cli

import (
	"runtime/debug"
	"testing"
)

func TestCollectMore(t *testing.T) {
	percent := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	before := percent()
	for variable, want := range map[string]int{"": 50, "200": before, "off": before} {
		t.Setenv("GOGC", variable)
		undo := collectMore()
		if got := percent(); got != want {
			t.Errorf("GOGC=%s: at %d %%, want %d", variable, got, want)
		}
		undo()
		if got := percent(); got != before {
			t.Errorf("GOGC=%s: at %d %% afterwards, want %d", variable, got, before)
		}
	}
}
