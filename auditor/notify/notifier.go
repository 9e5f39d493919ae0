package notify

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
)

// Options of New.
type Options struct {
	// Namespace and Name are the auditor's own, and stand in the source of CloudEvents: see
	// [Source].
	Namespace, Name string
	// Count is told what became of each message, by its sink's name and one of Results.
	Count func(sink, result string)
	Log   logr.Logger

	firstPause, flush time.Duration // of tests; 0 for those below
	cluster           func() string // how messages call it
}

const (
	// firstPause is that after a first attempt; the next are longer.
	firstPause = time.Second
	// flush bounds how long the end of a sink waits for what is queued.
	flush = 3 * time.Second
)

// Notifier tells sinks. It may be used concurrently.
type Notifier struct {
	options Options
	running sync.WaitGroup

	cluster atomic.Pointer[string]

	mu     sync.Mutex
	sinks  []running
	closed bool
}

// running is a sink at work.
type running struct {
	*sink
	end context.CancelFunc
}

// New returns a Notifier without any sinks.
func New(o Options) *Notifier {
	o.firstPause, o.flush = cmp.Or(o.firstPause, firstPause), cmp.Or(o.flush, flush)
	n := &Notifier{}
	o.cluster = func() string {
		if name := n.cluster.Load(); name != nil {
			return *name
		}
		return ""
	}
	n.options = o
	return n
}

// Configure has these be the sinks. One whose settings stay goes on; of one that goes, or is
// another now, what is queued is still tried once.
func (n *Notifier) Configure(list []Settings) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	former := n.sinks
	n.sinks = nil
	for _, settings := range list {
		next := newSink(settings, n.options)
		at := slices.IndexFunc(former, func(r running) bool { return reflect.DeepEqual(r.Settings, next.Settings) })
		if at >= 0 {
			n.sinks = append(n.sinks, former[at])
			former = slices.Delete(former, at, at+1)
			continue
		}
		ending, end := context.WithCancel(context.Background())
		n.running.Go(func() { next.run(ending) })
		n.sinks = append(n.sinks, running{next, end})
	}
	for _, r := range former {
		r.end()
	}
}

// In says how messages call the cluster from now on; empty for not at all.
func (n *Notifier) In(cluster string) { n.cluster.Store(new(word(cluster))) }

// Tell has the sinks be told that chose the event, soon. It does not wait for any.
func (n *Notifier) Tell(m Message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m.Cluster = n.options.cluster()
	for _, s := range n.sinks {
		s.put(m)
	}
}

// Close ends all sinks, and returns when what they had queued was tried, or after a few
// seconds. Nobody is told anything afterwards.
func (n *Notifier) Close() {
	n.Configure(nil)
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.running.Wait()
}
