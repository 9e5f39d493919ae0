package cli

import (
	"os"
	"runtime/debug"
)

// collectMore has the garbage collector start when the heap has grown by a half,
// not by its whole: an audit reads Gigabytes of which it keeps little. It changes
// nothing where GOGC says when. What it returns undoes it.
func collectMore() (undo func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(50)
	return func() { debug.SetGCPercent(before) }
}
