package rollout

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// A person's run goes before the next workload of an automatic one: it writes its wish on
// the Lease, and the automatic run finishes what is under way, says so there, and gives the
// Lease up. Whoever may hold the Lease may wish for it, and nobody else.
const (
	wantedKey    = "sidecar-drift.io/rollout-wanted"
	finishingKey = "sidecar-drift.io/rollout-finishing"
)

const (
	// wishRenewal is how often who waits writes the wish anew, and wishDuration how long
	// one counts that is not: who waited was killed.
	wishRenewal  = 5 * time.Second
	wishDuration = leaseDuration
	// mostGiven is how often an automatic run gives way while nobody takes the Lease, which
	// takes who waits some five seconds. Then wishes do not count for deafFor.
	mostGiven = 5
	deafFor   = 10 * time.Minute
	// longestNote is that of an annotation that is read at all, in bytes.
	longestNote = 4096
	// namedWorkloads is how many are named that are waited for.
	namedWorkloads = 5
)

// wish is who waits for the Lease, and when they said so last, by their own clock. The time
// is there to change: how old a wish is goes by when it was seen to.
type wish struct {
	Holder string    `json:"holder"`
	Time   time.Time `json:"time"`
}

// parseWish reads a wish; what is none that was written here counts as none.
func parseWish(text string) (wish, bool) {
	var w wish
	ok := text != "" && len(text) <= longestNote && json.Unmarshal([]byte(text), &w) == nil && strings.TrimSpace(w.Holder) != ""
	return w, ok
}

// finishing is what the holder of the Lease finishes before it gives it up.
type finishing struct {
	Holder    string   `json:"holder"`
	Workloads []string `json:"workloads"`
}

// finishingOf are the workloads that a holder says it finishes, each as KIND
// NAMESPACE/NAME, fit to be shown.
func finishingOf(text, holder string) []string {
	var f finishing
	if len(text) > longestNote || json.Unmarshal([]byte(text), &f) != nil || f.Holder != holder {
		return nil
	}
	if len(f.Workloads) > namedWorkloads+1 {
		f.Workloads = f.Workloads[:namedWorkloads+1]
	}
	for i, name := range f.Workloads {
		f.Workloads[i] = sentence(name, longestName)
	}
	return f.Workloads
}

// note is an annotation's text. Names that would make it longer than is read are only
// counted.
func (f finishing) note() string {
	if more := len(f.Workloads) - namedWorkloads; more > 0 {
		f.Workloads = append(f.Workloads[:namedWorkloads:namedWorkloads], fmt.Sprintf("%d more", more))
	}
	text, err := json.Marshal(f)
	if err != nil || len(text) > longestNote {
		return ""
	}
	return string(text)
}

// WantedError is that a person waits for the Lease, and an automatic run leaves it to them.
type WantedError struct {
	By    string
	Lease string // NAMESPACE/NAME
}

// Error names who waits.
func (e *WantedError) Error() string {
	return fmt.Sprintf("%s waits for the Lease %s, and goes first", e.By, e.Lease)
}

// servePrefix begins the identities of automatic runs, by which who waits knows that they
// give way.
const servePrefix = "sidecar-drift serve as "

func automatic(holder string) bool { return strings.HasPrefix(holder, servePrefix) }

// Courtesy is what the automatic runs of one process know about who waits for their Lease.
// It believes no clock but this process', and gives way within bounds: a wish that nobody
// renews is none, and wishes that nobody makes use of count for nothing after a while. The
// zero value knows nothing. It may be used concurrently.
type Courtesy struct {
	mu      sync.Mutex
	seen    string    // the wish as it was last seen
	changed time.Time // when it was first seen so
	live    time.Time // when one was last seen that counts
	given   int       // how often it gave way, and nobody took the Lease
	deaf    time.Time // until then wishes do not count
	hands   int       // how often the Lease had changed hands when it was last seen
}

// wanted returns who waits for the Lease now; empty: nobody whose wish counts.
func (c *Courtesy) wanted(text string, now time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, ok := parseWish(text)
	if text != c.seen {
		c.seen, c.changed = text, now
	}
	if !ok || now.Sub(c.changed) >= wishDuration {
		return ""
	}
	if now.Sub(c.live) >= deafFor {
		c.given = 0
	}
	c.live = now
	if now.Before(c.deaf) {
		return ""
	}
	return sentence(w.Holder, longestName)
}

// gave takes down that an automatic run gave way.
func (c *Courtesy) gave(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.given++; c.given >= mostGiven {
		c.given, c.deaf = 0, now.Add(deafFor)
	}
}

// changedHands takes down how often the Lease has, by now. Where that was not to an
// automatic run of this process, somebody made use of what was given.
func (c *Courtesy) changedHands(times int, ours bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if times != c.hands && !ours {
		c.given = 0
	}
	c.hands = times
}
