// Package window tells when a window that recurs by the clock on the wall, such
// as a maintenance window, is open. It is pure: callers say what time it is.
package window

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // an image built from scratch has no time zones, and a configuration must be as valid there as where it was checked
)

// days in the order of time.Weekday.
var days = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

// Days lists the names of days, Monday first.
func Days() []string { return append(slices.Clone(days[1:]), days[0]) }

// Window is open on some days of the week from one time of day to another, in a
// time zone. If it ends at or before the time at which it starts, it ends on the
// next day; its days are those on which it starts.
//
// It opens and closes when the clock of its zone first reads the time, or a
// later one, of that date. Where a clock change leaves the time out, that is the
// instant of the change: a window that would start and end within the hour left
// out is not open at all on that day. Where an hour comes twice, it is the first
// time in both cases: a window goes on no longer once the clock has read its end.
//
// The zero Window is never open.
type Window struct {
	days       [7]bool // by time.Weekday
	start, end time.Duration
	zone       *time.Location
}

// New returns the window that is open on the given days, all if there are none,
// named as Days does. Start and end are "HH:MM", and may also be "24:00" for the
// end; they differ. The zone is an IANA name such as "Europe/Berlin", UTC if
// empty. The error is a FieldErrors.
func New(on []string, start, end, zone string) (Window, error) {
	var w Window
	var problems FieldErrors
	report := func(field string, err error) {
		if err != nil {
			problems = append(problems, FieldError{field, err})
		}
	}
	for i, day := range on {
		n := slices.Index(days, day)
		if n < 0 {
			report(fmt.Sprintf("days[%d]", i), fmt.Errorf("%q is no day: choose from %s", day, strings.Join(Days(), ", ")))
			continue
		}
		w.days[n] = true
	}
	if len(on) == 0 {
		w.days = [7]bool{true, true, true, true, true, true, true}
	}
	var startErr, endErr, err error
	w.start, startErr = parseTime(start, false)
	report("start", startErr)
	w.end, endErr = parseTime(end, true)
	report("end", endErr)
	if startErr == nil && endErr == nil && w.start == w.end {
		report("end", errors.New("is the same as start; a whole day is 00:00 to 24:00"))
	}
	w.zone, err = loadZone(zone)
	report("timeZone", err)
	if len(problems) > 0 {
		return Window{}, problems
	}
	return w, nil
}

// FieldErrors is all that is wrong with a window.
type FieldErrors []FieldError

func (e FieldErrors) Error() string {
	lines := make([]string, len(e))
	for i, problem := range e {
		lines[i] = problem.Field + ": " + problem.Err.Error()
	}
	return strings.Join(lines, "\n")
}

// FieldError is what is wrong with one field.
type FieldError struct {
	Field string // "days[2]", "start", "end", "timeZone"
	Err   error
}

// parseTime reads HH:MM as the time since midnight.
func parseTime(text string, end bool) (time.Duration, error) {
	if end && text == "24:00" {
		return 24 * time.Hour, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, fmt.Errorf("%q is no time of day: give hours and minutes, as in 06:30", text)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// loadZone does not take "Local": it is another zone on every machine.
func loadZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || zone == time.Local {
		return nil, fmt.Errorf("%q is no time zone: give an IANA name, as in Europe/Berlin", name)
	}
	return zone, nil
}

// String returns "Mon,Tue 22:00-06:00 Europe/Berlin". Equal windows have equal
// strings.
func (w Window) String() string {
	if w.zone == nil {
		return "never"
	}
	var on []string
	for _, day := range Days() {
		if w.days[slices.Index(days, day)] {
			on = append(on, day)
		}
	}
	return fmt.Sprintf("%s %s-%s %s", strings.Join(on, ","), clock(w.start), clock(w.end), w.zone)
}

func clock(d time.Duration) string {
	pad := func(n int) string {
		if n < 10 {
			return "0" + strconv.Itoa(n)
		}
		return strconv.Itoa(n)
	}
	return pad(int(d/time.Hour)) + ":" + pad(int(d%time.Hour/time.Minute))
}
