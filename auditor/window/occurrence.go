package window

import "time"

// Occurrence is one time that a window is open: from Start, to just before End.
type Occurrence struct {
	Window     Window
	Start, End time.Time
}

// ID names the occurrence, the same in every process that knows the window: its
// text and the instant at which it opens.
func (o Occurrence) ID() string {
	return o.Window.String() + " " + o.Start.UTC().Format(time.RFC3339)
}

func (o Occurrence) contains(t time.Time) bool {
	return !t.Before(o.Start) && t.Before(o.End)
}

const (
	day = 24 * time.Hour
	// lookAhead is how far the next occurrence is looked for. Two weeks would
	// do for a weekly one that a clock change leaves out.
	lookAhead = 60
	// farthestOffset is more than any zone has been away from UTC.
	farthestOffset = 36 * time.Hour
)

// Contains reports whether the window is open.
func (w Window) Contains(t time.Time) bool {
	_, open := w.Occurrence(t)
	return open
}

// Occurrence returns the occurrence that contains t; false if the window is not
// open.
func (w Window) Occurrence(t time.Time) (Occurrence, bool) {
	next, ok := w.next(t)
	if !ok || !next.contains(t) {
		return Occurrence{}, false
	}
	return next, true
}

// Next returns the first instant from t on at which the window is open: t
// itself if it is open. Zero for the zero Window.
func (w Window) Next(t time.Time) time.Time {
	next, ok := w.next(t)
	switch {
	case !ok:
		return time.Time{}
	case next.contains(t):
		return t
	}
	return next.Start
}

// End returns when the occurrence that contains t ends; zero if the window is
// not open.
func (w Window) End(t time.Time) time.Time {
	open, _ := w.Occurrence(t)
	return open.End
}

// next returns the first occurrence that ends after t.
func (w Window) next(t time.Time) (Occurrence, bool) {
	if w.zone == nil {
		return Occurrence{}, false
	}
	year, month, date := t.In(w.zone).Date()
	today := time.Date(year, month, date, 0, 0, 0, 0, time.UTC)
	// One that contains t began at most a day ago; a zone may leave a date out.
	for i := -2; i < lookAhead; i++ {
		if o := w.on(today.Add(time.Duration(i) * day)); o.Start.Before(o.End) && t.Before(o.End) {
			return o, true
		}
	}
	return Occurrence{}, false
}

// on returns the occurrence that starts on a date, which is given as its
// midnight in UTC. It is empty on a day that is none of the window's.
func (w Window) on(date time.Time) Occurrence {
	if !w.days[date.Weekday()] {
		return Occurrence{}
	}
	end := date.Add(w.end)
	if w.end <= w.start {
		end = end.Add(day)
	}
	return Occurrence{w, firstReading(date.Add(w.start), w.zone), firstReading(end, w.zone)}
}

// firstReading returns the first instant at which the clock of the zone reads
// what the wall clock does, which is given as if it were UTC, or later.
func firstReading(wall time.Time, zone *time.Location) time.Time {
	for t := wall.Add(-farthestOffset).In(zone); ; {
		from, until := t.ZoneBounds()
		_, offset := t.Zone()
		at := wall.Add(-time.Duration(offset) * time.Second)
		if at.Before(from) {
			at = from // the clock skipped it
		}
		if until.IsZero() || at.Before(until) {
			return at.In(zone)
		}
		t = until
	}
}
