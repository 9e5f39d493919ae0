package window_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/window"
)

// changes are days around clock changes, and one without.
var changes = []struct{ zone, date string }{
	{"Europe/Berlin", "2026-03-29"}, {"Europe/Berlin", "2026-10-25"},
	{"America/New_York", "2026-03-08"}, {"America/New_York", "2026-11-01"},
	{"Australia/Lord_Howe", "2026-04-05"}, {"Australia/Lord_Howe", "2026-10-04"},
	{"Asia/Kolkata", "2026-03-29"}, {"Asia/Kolkata", "2026-10-25"},
	{"Asia/Beirut", "2026-10-24"}, {"Pacific/Apia", "2011-12-30"}, {"America/St_Johns", "2006-10-28"},
}

// simulated are windows that start or end before, in and after the hours that
// clock changes leave out or repeat.
var simulated = [][2]string{
	{"22:00", "06:00"}, {"00:00", "24:00"}, {"01:30", "02:30"}, {"02:15", "02:45"}, {"02:30", "03:30"},
	{"01:45", "02:00"}, {"03:00", "01:00"}, {"23:30", "24:00"}, {"00:00", "00:01"}, {"12:00", "11:59"},
}

// openMinutes says for each minute of the days around a date whether a
// window is open, by walking over them with an eye on the clock alone: it is
// turned on when the clock first reads the start of a date, or later, and off
// when it first reads the end.
func openMinutes(zone *time.Location, date time.Time, start, end time.Duration) map[time.Time]bool {
	if end <= start {
		end += 24 * time.Hour
	}
	open := map[time.Time]bool{}
	for d := date.AddDate(0, 0, -3); d.Before(date.AddDate(0, 0, 4)); d = d.AddDate(0, 0, 1) {
		started, ended := false, false
		for t := d.AddDate(0, 0, -1); t.Before(d.AddDate(0, 0, 3)) && !ended; t = t.Add(time.Minute) {
			_, offset := t.In(zone).Zone()
			reading := t.Add(time.Duration(offset) * time.Second)
			started = started || !reading.Before(d.Add(start))
			ended = ended || !reading.Before(d.Add(end))
			if started && !ended {
				open[t] = true
			}
		}
	}
	return open
}

func TestADayAroundEveryClockChange(t *testing.T) {
	for _, change := range changes {
		for _, from := range simulated {
			t.Run(fmt.Sprintf("%s %s %s-%s", change.zone, change.date, from[0], from[1]), func(t *testing.T) {
				t.Parallel()
				w := newWindow(t, "", from[0], from[1], change.zone)
				zone, err := time.LoadLocation(change.zone)
				if err != nil {
					t.Fatal(err)
				}
				date := at(t, change.date+" 00:00")
				want := openMinutes(zone, date, sinceMidnight(t, from[0]), sinceMidnight(t, from[1]))
				for minute := date.Add(-24 * time.Hour); minute.Before(date.Add(48 * time.Hour)); minute = minute.Add(time.Minute) {
					if got := w.Contains(minute); got != want[minute] {
						t.Fatalf("%s: Contains = %v, want %v", minute.In(zone), got, want[minute])
					}
				}
			})
		}
	}
}

func sinceMidnight(t testing.TB, text string) time.Duration {
	t.Helper()
	var hours, minutes int
	if _, err := fmt.Sscanf(text, "%d:%d", &hours, &minutes); err != nil {
		t.Fatal(err)
	}
	return time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
}

// TestALoopThatSleepsUntilTheNext lives through 24 hours as a daemon does: it
// sleeps until the window opens, and then until it ends.
func TestALoopThatSleepsUntilTheNext(t *testing.T) {
	for _, tt := range []struct {
		name, from, zone string
		want             []string
	}{
		{"Berlin springs forward", "2026-03-28 12:00", "Europe/Berlin", []string{"open 03:00 +0200", "shut 03:30 +0200"}},
		{"Berlin falls back", "2026-10-24 12:00", "Europe/Berlin", []string{"open 02:15 +0200", "shut 03:30 +0100"}},
		{"Kolkata", "2026-03-28 12:00", "Asia/Kolkata", []string{"open 02:15 +0530", "shut 03:30 +0530"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWindow(t, "", "02:15", "03:30", tt.zone)
			zone, err := time.LoadLocation(tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(at(t, tt.from)))
				end := time.Now().Add(24 * time.Hour)
				var got []string
				note := func(what string, at time.Time) {
					if at.Before(end) {
						time.Sleep(time.Until(at))
						got = append(got, what+time.Now().In(zone).Format(" 15:04 -0700"))
					}
				}
				for opens := w.Next(time.Now()); opens.Before(end); opens = w.Next(time.Now()) {
					note("open", opens)
					if !w.Contains(time.Now()) {
						t.Fatalf("%s: not open", time.Now().In(zone))
					}
					note("shut", w.End(time.Now()))
				}
				if fmt.Sprint(got) != fmt.Sprint(tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// FuzzWindow checks what holds for every window and instant.
func FuzzWindow(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		change := changes[random.IntN(len(changes))]
		date := at(f, change.date+" 00:00")
		f.Add(change.zone, random.IntN(128), random.IntN(24*60), 1+random.IntN(24*60), date.Unix()+random.Int64N(5*86400)-3*86400)
	}
	f.Fuzz(func(t *testing.T, zone string, on, start, end int, unix int64) {
		var days []string
		for i, name := range window.Days() {
			if on&(1<<i) != 0 {
				days = append(days, name)
			}
		}
		clock := func(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }
		w, err := window.New(days, clock(start), clock(end), zone)
		if err != nil || unix < -1<<33 || unix > 1<<33 {
			return
		}
		checkProperties(t, w, time.Unix(unix, 0))
	})
}

func checkProperties(t *testing.T, w window.Window, now time.Time) {
	t.Helper()
	o, open := w.Occurrence(now)
	next, end := w.Next(now), w.End(now)
	if w.Contains(now) != open || open != next.Equal(now) || open == end.IsZero() {
		t.Fatalf("%s at %s: Contains %v, open %v, Next %s, End %s", w, now, w.Contains(now), open, next, end)
	}
	if open && (now.Before(o.Start) || !now.Before(o.End) || !end.Equal(o.End)) {
		t.Fatalf("%s at %s: occurrence %s to %s, End %s", w, now, o.Start, o.End, end)
	}
	if next.Before(now) || !w.Contains(next) {
		t.Fatalf("%s at %s: Next %s, which is not contained", w, now, next)
	}
	// Nothing before the next is contained, its first instant has its identity,
	// and its end is outside of it.
	for t2 := now; t2.Before(next); t2 = t2.Add(13 * time.Minute) {
		if w.Contains(t2) {
			t.Fatalf("%s at %s: Next %s, but %s is contained", w, now, next, t2)
		}
	}
	following, _ := w.Occurrence(next)
	if !open && !following.Start.Equal(next) || w.Contains(next.Add(-time.Nanosecond)) && !open {
		t.Fatalf("%s at %s: Next %s is not where the occurrence %s begins", w, now, next, following.Start)
	}
	if after, still := w.Occurrence(following.End); still && after.ID() == following.ID() {
		t.Fatalf("%s: the end %s of %s is contained in it", w, following.End, following.ID())
	}
	if _, ok := w.Occurrence(following.End.Add(-time.Nanosecond)); !ok {
		t.Fatalf("%s: not open just before %s", w, following.End)
	}
}
