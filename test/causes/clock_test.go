package causes

import (
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
)

// clock is the auditor's: on it hours pass between changes that nobody has to wait for. What
// the cluster tells of times is put on it, so that all stay in their order.
type clock struct{ hours []time.Time } // when they began, by the real one

// anHourLater has what comes from now on be an hour later. Writes tell seconds, so a new one
// begins first.
func (c *clock) anHourLater() {
	next := time.Now().Truncate(time.Second).Add(time.Second)
	time.Sleep(time.Until(next))
	c.hours = append(c.hours, next)
}

func (c *clock) of(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	passed := 0
	for passed < len(c.hours) && !at.Before(c.hours[passed]) {
		passed++
	}
	return at.Add(time.Duration(passed) * time.Hour)
}

func (c *clock) seen(s cause.Seen) cause.Seen {
	s.Began, s.At = c.of(s.Began), c.of(s.At)
	s.Objects = slices.Clone(s.Objects)
	for i := range s.Objects {
		o := &s.Objects[i]
		o.Created, o.Settled, o.Told, o.Entries = c.of(o.Created), c.of(o.Settled), c.of(o.Told), slices.Clone(o.Entries)
		for n := range o.Entries {
			o.Entries[n].Time = c.of(o.Entries[n].Time)
		}
	}
	return s
}
