package notify

import (
	"net/http"
	"testing"
	"time"
)

func TestTheRateIsLimited(t *testing.T) {
	s := serve(t, nil)
	settings := webhook(s.URL)
	settings.MaxMessages, settings.Period = 2, 24*time.Hour
	n := start(t, settings)
	for range 5 {
		n.Tell(Sample(RolloutFailed))
	}
	n.becomes(t, 3, "hook limited")
	n.becomes(t, 2, "hook sent")
	s.next(t)
	s.next(t)
	s.none(t)
}

// What tenants can bring about takes no more than its part of the rate, and what was left
// out of that is not mentioned at the expense of the rest.
func TestTenantsLeavePartOfTheRate(t *testing.T) {
	s := serve(t, nil)
	for maximum, kept := range map[int]int{1: 0, 2: 1, 3: 1, 10: 3} {
		settings := webhook(s.URL)
		settings.MaxMessages, settings.Period = maximum, 24*time.Hour
		n := start(t, settings)
		blocked := drifted(1)
		blocked.Event = BlockedFound
		for range maximum {
			n.Tell(drifted(1))
			n.Tell(blocked)
		}
		n.becomes(t, maximum+kept, "hook limited")
		for range maximum - kept {
			s.next(t)
		}
		s.none(t)
		if n.sinks[0].allows(Suppressed) {
			t.Errorf("of %d: the mention takes what is kept", maximum)
		}
		for range kept + 1 {
			n.Tell(Sample(InjectorDown))
		}
		n.becomes(t, maximum+kept+1, "hook limited")
		for range kept {
			if got := s.event(t).Data.Event; got != InjectorDown {
				t.Errorf("of %d: %s", maximum, got)
			}
		}
		s.none(t)
	}
}

// What was over the limit is told when there is room again, whether something else comes
// or not.
func TestWhatIsOverTheLimitIsSummarised(t *testing.T) {
	s := serve(t, nil)
	settings := webhook(s.URL)
	settings.MaxMessages, settings.Period = 1, 300*time.Millisecond
	n := start(t, settings)
	for range 4 {
		n.Tell(drifted(1))
	}
	n.becomes(t, 3, "hook limited")
	if first := s.event(t); first.Type != "io.sidecar-drift.drift.found" || len(first.Data.Suppressed) > 0 {
		t.Errorf("%+v", first)
	}
	r := s.next(t)
	conforms(t, r.body)
	contains(t, string(r.body), `"io.sidecar-drift.notifications.suppressed"`, `"suppressed":{"drift.found":3}`)
}

// A sink that hangs keeps nobody waiting, and what is too much for it is dropped, and counted.
func TestNobodyWaitsForASink(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	fine := serve(t, nil)
	other := webhook(fine.URL)
	other.Name, other.MaxMessages = "other", 1000
	slow := webhook(s.URL)
	slow.MaxMessages = 1000
	n := start(t, slow, other)
	n.Tell(drifted(1))
	s.next(t)
	for range longestQueue + 10 {
		n.Tell(drifted(1))
		fine.next(t) // the other one has them all
	}
	n.becomes(t, 10, "hook dropped")
	close(release)
	n.becomes(t, longestQueue+1, "hook sent")
	if got := s.event(t).Data.Suppressed[DriftFound]; got != 10 {
		t.Errorf("the next message tells of %d that were dropped", got)
	}
}

// The end waits for what is queued, and not for a server that hangs.
func TestTheEndIsShort(t *testing.T) {
	s := serve(t, nil)
	n := start(t, webhook(s.URL))
	for range 3 {
		n.Tell(drifted(1))
	}
	n.Close()
	n.becomes(t, 3, "hook sent")
	n.Tell(drifted(1)) // nobody is there any more
	n.Configure([]Settings{webhook(s.URL)})
	n.Tell(drifted(1))

	release := make(chan struct{})
	hanging := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	n = start(t, webhook(hanging.URL))
	n.Tell(drifted(1))
	hanging.next(t)
	n.Close()
	n.becomes(t, 1, "hook failed")
}

func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		header string
		want   time.Duration
		ok     bool
	}{
		{"", 0, false}, {"soon", 0, false}, {"-1", 0, false},
		{"7", 7 * time.Second, true}, {"99999999999999", longestRetryAfter, true}, {"86400", longestRetryAfter, true},
		{noon.Add(time.Minute).Format(http.TimeFormat), time.Minute, true},
		{noon.Add(-time.Minute).Format(http.TimeFormat), 0, true},
		{noon.Add(24 * time.Hour).Format(http.TimeFormat), longestRetryAfter, true},
	} {
		if got, ok := retryAfter(tt.header, noon); got != tt.want || ok != tt.ok {
			t.Errorf("%q: %v %v, want %v %v", tt.header, got, ok, tt.want, tt.ok)
		}
	}
}

// A changed configuration leaves a sink alone that is as before, with what it has used of
// its rate; and what a former one has queued is still sent.
func TestConfigure(t *testing.T) {
	one, two := serve(t, nil), serve(t, nil)
	stays := Settings{Name: "stays", Kind: ToWebhook, URL: one.URL, MaxMessages: 1, Period: 24 * time.Hour}
	n := start(t, stays, webhook(two.URL))
	n.Tell(drifted(1))
	one.next(t)
	two.next(t)
	third := serve(t, nil)
	n.Configure([]Settings{{Name: "hook", Kind: ToWebhook, URL: third.URL, Events: []Event{RolloutFailed}}, stays})
	n.Tell(drifted(1))
	n.becomes(t, 1, "stays limited")
	n.Tell(Sample(RolloutFailed))
	third.next(t)
	n.becomes(t, 2, "stays limited")
	one.none(t)
	two.none(t)
	third.none(t)
}
