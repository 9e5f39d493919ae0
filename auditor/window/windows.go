package window

import "time"

// Windows are several windows; one is open if any is.
type Windows []Window

// Contains reports whether a window is open.
func (ws Windows) Contains(t time.Time) bool {
	_, open := ws.Occurrence(t)
	return open
}

// Occurrence returns the occurrence that contains t, of the first window that
// is open where they overlap; false if none is.
func (ws Windows) Occurrence(t time.Time) (Occurrence, bool) {
	for _, w := range ws {
		if o, open := w.Occurrence(t); open {
			return o, true
		}
	}
	return Occurrence{}, false
}

// Next returns the first instant from t on at which a window is open; zero if
// there are none.
func (ws Windows) Next(t time.Time) time.Time {
	var first time.Time
	for _, w := range ws {
		if next := w.Next(t); first.IsZero() || !next.IsZero() && next.Before(first) {
			first = next
		}
	}
	return first
}
