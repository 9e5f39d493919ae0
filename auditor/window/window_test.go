package window_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/window"
)

func newWindow(t testing.TB, days, start, end, zone string) window.Window {
	t.Helper()
	w, err := window.New(strings.Fields(days), start, end, zone)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// at reads "2026-10-25 02:30 +0200", or a time in UTC.
func at(t testing.TB, text string) time.Time {
	t.Helper()
	for _, layout := range []string{"2006-01-02 15:04 -0700", "2006-01-02 15:04", "2006-01-02 15:04:05"} {
		if parsed, err := time.Parse(layout, text); err == nil {
			return parsed
		}
	}
	t.Fatalf("%q is no time", text)
	return time.Time{}
}

func TestWindowOpensAndCloses(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		days, start, end, zone string
		now                    string
		opens, closes          string // of the first occurrence that ends after now
	}{
		{"every day, before", "", "22:00", "23:30", "", "2026-06-01 12:00", "2026-06-01 22:00", "2026-06-01 23:30"},
		{"its first instant", "", "22:00", "23:30", "", "2026-06-01 22:00", "2026-06-01 22:00", "2026-06-01 23:30"},
		{"its last second", "", "22:00", "23:30", "", "2026-06-01 23:29:59", "2026-06-01 22:00", "2026-06-01 23:30"},
		{"its end is outside", "", "22:00", "23:30", "", "2026-06-01 23:30", "2026-06-02 22:00", "2026-06-02 23:30"},
		{"over midnight, in the evening", "", "22:00", "06:00", "", "2026-06-01 23:00", "2026-06-01 22:00", "2026-06-02 06:00"},
		{"over midnight, in the morning", "", "22:00", "06:00", "", "2026-06-02 05:59", "2026-06-01 22:00", "2026-06-02 06:00"},
		{"over midnight, on the day it starts only", "Fri", "22:00", "06:00", "", "2026-06-06 03:00", "2026-06-05 22:00", "2026-06-06 06:00"},
		{"over midnight, not on the day it ends", "Fri", "22:00", "06:00", "", "2026-06-06 22:00", "2026-06-12 22:00", "2026-06-13 06:00"},
		{"to midnight", "Sun", "20:00", "24:00", "", "2026-06-07 23:59", "2026-06-07 20:00", "2026-06-08 00:00"},
		{"a whole day", "Sun", "00:00", "24:00", "", "2026-06-03 12:00", "2026-06-07 00:00", "2026-06-08 00:00"},
		{"in its own zone", "", "09:00", "17:00", "Asia/Kolkata", "2026-06-01 03:29", "2026-06-01 09:00 +0530", "2026-06-01 17:00 +0530"},
		{"its days are its zone's", "Mon", "00:00", "02:00", "Asia/Kolkata", "2026-05-31 19:00", "2026-06-01 00:00 +0530", "2026-06-01 02:00 +0530"},

		{"Berlin springs forward: the night is short", "", "22:00", "06:00", "Europe/Berlin", "2026-03-29 00:00", "2026-03-28 22:00 +0100", "2026-03-29 06:00 +0200"},
		{"a start left out: when the clock is put forward", "", "02:30", "04:00", "Europe/Berlin", "2026-03-29 00:00", "2026-03-29 03:00 +0200", "2026-03-29 04:00 +0200"},
		{"an end left out: when the clock is put forward", "", "01:00", "02:30", "Europe/Berlin", "2026-03-29 00:30", "2026-03-29 01:00 +0100", "2026-03-29 03:00 +0200"},
		{"both left out: not that day", "", "02:15", "02:45", "Europe/Berlin", "2026-03-29 00:00", "2026-03-30 02:15 +0200", "2026-03-30 02:45 +0200"},
		{"both left out, weekly: not that week", "Sun", "02:15", "02:45", "Europe/Berlin", "2026-03-28 12:00", "2026-04-05 02:15 +0200", "2026-04-05 02:45 +0200"},
		{"Berlin falls back: the night is long", "", "22:00", "06:00", "Europe/Berlin", "2026-10-25 03:00", "2026-10-24 22:00 +0200", "2026-10-25 06:00 +0100"},
		{"a start that comes twice: the first time", "", "02:30", "04:00", "Europe/Berlin", "2026-10-25 00:00", "2026-10-25 02:30 +0200", "2026-10-25 04:00 +0100"},
		{"an end that comes twice: the first time", "", "01:00", "02:30", "Europe/Berlin", "2026-10-25 00:00", "2026-10-25 01:00 +0200", "2026-10-25 02:30 +0200"},
		{"both come twice: once", "", "02:15", "02:45", "Europe/Berlin", "2026-10-25 00:45", "2026-10-26 02:15 +0100", "2026-10-26 02:45 +0100"},
		{"New York springs forward", "", "01:30", "02:30", "America/New_York", "2026-03-08 06:00", "2026-03-08 01:30 -0500", "2026-03-08 03:00 -0400"},
		{"New York falls back", "", "01:30", "02:30", "America/New_York", "2026-11-01 05:00", "2026-11-01 01:30 -0400", "2026-11-01 02:30 -0500"},
		{"Lord Howe springs forward by half an hour", "", "02:15", "03:00", "Australia/Lord_Howe", "2026-10-03 12:00", "2026-10-04 02:30 +1100", "2026-10-04 03:00 +1100"},
		{"Lord Howe falls back by half an hour", "", "01:45", "02:30", "Australia/Lord_Howe", "2026-04-04 14:00", "2026-04-05 01:45 +1100", "2026-04-05 02:30 +1030"},
		{"Beirut goes back at midnight: once", "", "23:30", "24:00", "Asia/Beirut", "2026-10-24 20:00", "2026-10-24 23:30 +0300", "2026-10-25 00:00 +0200"},
		{"Apia left a date out", "", "10:00", "12:00", "Pacific/Apia", "2011-12-30 09:00", "2011-12-31 10:00 +1400", "2011-12-31 12:00 +1400"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, now := newWindow(t, tt.days, tt.start, tt.end, tt.zone), at(t, tt.now)
			opens, closes := at(t, tt.opens), at(t, tt.closes)
			open := !now.Before(opens)
			if got := w.Contains(now); got != open {
				t.Errorf("Contains = %v, want %v", got, open)
			}
			wantNext := opens
			if open {
				wantNext = now
			}
			if got := w.Next(now); !got.Equal(wantNext) {
				t.Errorf("Next = %s, want %s", got, wantNext)
			}
			if got := w.End(opens); !got.Equal(closes) {
				t.Errorf("End = %s, want %s", got, closes)
			}
			if got := w.End(now); open != !got.IsZero() {
				t.Errorf("End(now) = %s, want zero unless it is open", got)
			}
		})
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	for _, tt := range []struct{ days, start, end, zone, want string }{
		{"Mon Friday", "22:00", "06:00", "", `days[1]: "Friday" is no day: choose from Mon, Tue, Wed, Thu, Fri, Sat, Sun`},
		{"", "", "06:00", "", `start: "" is no time of day: give hours and minutes, as in 06:30`},
		{"", "9:00", "17:00", "", `start: "9:00" is no time of day: give hours and minutes, as in 06:30`},
		{"", "24:00", "06:00", "", `start: "24:00" is no time of day: give hours and minutes, as in 06:30`},
		{"", "22:00", "25:00", "", `end: "25:00" is no time of day: give hours and minutes, as in 06:30`},
		{"", "22:00", "22:00", "", "end: is the same as start; a whole day is 00:00 to 24:00"},
		{"", "22:00", "06:00", "CEST", `timeZone: "CEST" is no time zone: give an IANA name, as in Europe/Berlin`},
		{"", "22:00", "06:00", "Local", `timeZone: "Local" is no time zone: give an IANA name, as in Europe/Berlin`},
		{"mon", "x", "y", "z", "days[0]: \"mon\" is no day: choose from Mon, Tue, Wed, Thu, Fri, Sat, Sun\n" +
			"start: \"x\" is no time of day: give hours and minutes, as in 06:30\n" +
			"end: \"y\" is no time of day: give hours and minutes, as in 06:30\n" +
			"timeZone: \"z\" is no time zone: give an IANA name, as in Europe/Berlin"},
	} {
		w, err := window.New(strings.Fields(tt.days), tt.start, tt.end, tt.zone)
		if err == nil || err.Error() != tt.want {
			t.Errorf("New(%q, %q, %q, %q): %v, want %s", tt.days, tt.start, tt.end, tt.zone, err, tt.want)
			continue
		}
		if fields, ok := errors.AsType[window.FieldErrors](err); !ok || !strings.HasPrefix(tt.want, fields[0].Field+": ") {
			t.Errorf("%v: its fields are %v", err, fields)
		}
		if w.String() != "never" {
			t.Errorf("%v: returned %s besides", err, w)
		}
	}
}

func TestTheZeroWindowIsNeverOpen(t *testing.T) {
	var w window.Window
	now := at(t, "2026-06-01 12:00")
	if w.Contains(now) || !w.Next(now).IsZero() || !w.End(now).IsZero() || w.String() != "never" {
		t.Errorf("%s: Contains %v, Next %s, End %s", w, w.Contains(now), w.Next(now), w.End(now))
	}
}

func TestAnOccurrenceHasOneIDEverywhere(t *testing.T) {
	const want = "Mon,Fri 22:00-06:00 Europe/Berlin 2026-10-23T20:00:00Z"
	for _, now := range []string{"2026-10-23 22:00 +0200", "2026-10-23 20:30", "2026-10-24 05:59 +0200"} {
		// Another process has read the same configuration, in another order.
		for _, days := range []string{"Mon Fri", "Fri Mon"} {
			o, open := newWindow(t, days, "22:00", "06:00", "Europe/Berlin").Occurrence(at(t, now))
			if !open || o.ID() != want {
				t.Errorf("%s: %q, open %v; want %q", now, o.ID(), open, want)
			}
		}
	}
}

func TestWindows(t *testing.T) {
	night := newWindow(t, "", "22:00", "06:00", "")
	noon := newWindow(t, "Sat", "12:00", "23:00", "")
	both := window.Windows{night, noon}
	for _, tt := range []struct {
		now, next string
		of        string
	}{
		{"2026-06-06 05:00", "2026-06-06 05:00", night.String()},
		{"2026-06-06 06:00", "2026-06-06 12:00", ""},
		{"2026-06-06 12:00", "2026-06-06 12:00", noon.String()},
		{"2026-06-06 22:30", "2026-06-06 22:30", night.String()}, // the first of two
		{"2026-06-07 12:00", "2026-06-07 22:00", ""},
	} {
		now := at(t, tt.now)
		o, open := both.Occurrence(now)
		if open != (tt.of != "") || open && o.Window.String() != tt.of || both.Contains(now) != open {
			t.Errorf("%s: occurrence of %s, open %v, want %q", tt.now, o.Window, open, tt.of)
		}
		if got := both.Next(now); !got.Equal(at(t, tt.next)) {
			t.Errorf("%s: Next = %s, want %s", tt.now, got, tt.next)
		}
	}
	if none := (window.Windows)(nil); none.Contains(time.Time{}) || !none.Next(time.Time{}).IsZero() {
		t.Error("no windows are open")
	}
}
