package notify

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"sync"
	"text/template"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
)

const (
	// longestQueue is how many messages wait for a sink that is slow.
	longestQueue = 64
	// A message is tried as often, and given up after that long.
	mostTries    = 5
	longestTries = 10 * time.Minute
	longestPause = time.Minute
)

// Results of a message, for metrics.
const (
	Sent    = "sent"
	Failed  = "failed"  // tried, and given up
	Dropped = "dropped" // the queue was full
	Limited = "limited" // over the sink's rate
)

// Results lists them.
func Results() []string { return []string{Sent, Failed, Dropped, Limited} }

// sink brings messages to one place, by a goroutine of its own.
type sink struct {
	Settings
	options  Options
	template *template.Template // nil: none
	limit    *rate.Limiter
	found    *rate.Limiter // besides: of messages that tenants can bring about
	queue    chan Message
	log      logr.Logger
	shouting sync.Mutex // held while shoutrrr sends

	mu   sync.Mutex
	left map[Event]int // not told since the last message that was
	tell bool          // that, if nothing else comes
}

func (s *sink) put(m Message) {
	if !slices.Contains(s.Events, m.Event) {
		return
	}
	select {
	case s.queue <- m:
	default:
		s.leaveOut(m.Event, Dropped)
	}
}

// leaveOut counts a message that is not told. One that could not be delivered is mentioned
// in the next; the others are worth a message.
func (s *sink) leaveOut(event Event, result string) {
	s.options.Count(s.Name, result)
	s.mu.Lock()
	defer s.mu.Unlock()
	if event != Suppressed {
		s.left[event]++
	}
	s.tell = s.tell || result != Failed
}

// run delivers until ending is done, and then what is queued, once each, for as long as the
// flush lasts.
func (s *sink) run(ending context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ending))
	defer cancel()
	defer context.AfterFunc(ending, func() { time.AfterFunc(s.options.flush, cancel) })()
	tick := time.NewTicker(s.Period / time.Duration(s.MaxMessages)) // then the limit lets another one pass
	defer tick.Stop()
	for ending.Err() == nil {
		select {
		case <-ending.Done():
		case m := <-s.queue:
			s.pass(ctx, ending, m)
		case <-tick.C:
			if s.owes() && s.allows(Suppressed) {
				m := suppressed(time.Now())
				m.Cluster = s.options.cluster()
				s.deliver(ctx, ending, m)
			}
		}
	}
	for ctx.Err() == nil {
		select {
		case m := <-s.queue:
			s.pass(ctx, ending, m)
		default:
			return
		}
	}
}

func (s *sink) owes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tell
}

// allows reports whether the rate lets a message of the event pass now, which counts then.
// Only run asks. What tenants can bring about, and the mention of what was left out, never
// takes the part that is kept for other events.
func (s *sink) allows(event Event) bool {
	now := time.Now()
	if event != DriftFound && event != BlockedFound && event != Suppressed {
		return s.limit.AllowN(now, 1)
	}
	return s.found.TokensAt(now) >= 1 && s.limit.AllowN(now, 1) && s.found.AllowN(now, 1)
}

// kept is the part of so many messages that is for other events than those that tenants can
// bring about: a third, and at least one, unless there is but one.
func kept(messages int) int {
	if messages < 2 {
		return 0
	}
	return max(messages/3, 1)
}

// pass delivers a message if the limit lets it.
func (s *sink) pass(ctx, ending context.Context, m Message) {
	if !s.allows(m.Event) {
		s.leaveOut(m.Event, Limited)
		return
	}
	s.deliver(ctx, ending, m)
}

// deliver tries to bring a message to its place, again and again for as long as that may
// help, and not again once all ends.
func (s *sink) deliver(ctx, ending context.Context, m Message) {
	s.mu.Lock()
	m.Suppressed, s.left, s.tell = s.left, map[Event]int{}, false
	s.mu.Unlock()
	id := rand.Text()
	send, err := s.prepare(m, id)
	if err == nil {
		pause := backoff.NewExponentialBackOff()
		pause.InitialInterval, pause.MaxInterval, pause.Multiplier = s.options.firstPause, longestPause, 2
		_, err = backoff.Retry(ending, func() (struct{}, error) { return struct{}{}, send(ctx) },
			backoff.WithBackOff(pause), backoff.WithMaxTries(mostTries), backoff.WithMaxElapsedTime(longestTries),
			backoff.WithNotify(func(err error, next time.Duration) {
				s.log.V(1).Info("A notification is tried again", "event", m.Event, "after", next.String(), "error", err.Error())
			}))
	}
	if err == nil {
		s.options.Count(s.Name, Sent)
		return
	}
	s.log.Error(err, "A notification could not be delivered", "event", m.Event)
	s.mu.Lock()
	for event, n := range m.Suppressed {
		s.left[event] += n
	}
	s.mu.Unlock()
	s.leaveOut(m.Event, Failed)
}

// prepare makes of a message what is sent, once for all attempts. The address is looked up
// for each.
func (s *sink) prepare(m Message, id string) (send func(context.Context) error, err error) {
	var contentType string
	var body []byte
	switch s.Kind {
	case ToWebhook:
		m.Text = s.say(m)
		contentType = "application/cloudevents+json; charset=utf-8"
		body, err = json.Marshal(m.cloudEvent(id, Source(m.Cluster, s.options.Namespace, s.options.Name)))
	case ToSlack:
		contentType = "application/json"
		body, err = json.Marshal(map[string]any{
			"text": s.say(m.shown(inSlack.Replace)), "mrkdwn": s.template != nil, "unfurl_links": false,
		})
	default:
		text := s.say(m.shown(unmentioning.Replace))
		return func(ctx context.Context) error {
			address, err := s.address()
			if err != nil {
				return err
			}
			return s.shout(ctx, address, text)
		}, nil
	}
	return func(ctx context.Context) error {
		address, err := s.address()
		if err != nil {
			return err
		}
		return post(ctx, address, contentType, s.CAFile, body)
	}, err
}

func (s *sink) say(m Message) string {
	text, err := s.text(m)
	if err != nil {
		s.log.Error(err, "A notification's template failed: it is sent without", "event", m.Event)
	}
	return text
}

func newSink(settings Settings, o Options) *sink {
	s := &sink{Settings: settings, options: o, log: o.Log.WithValues("sink", settings.Name), left: map[Event]int{}}
	s.MaxMessages = cmp.Or(s.MaxMessages, DefaultMaxMessages)
	s.Period = cmp.Or(s.Period, DefaultPeriod)
	if len(s.Events) == 0 {
		s.Events = Events()
	}
	if s.Template != "" {
		var err error
		if s.template, err = ParseTemplate(s.Template, s.Events); err != nil {
			s.log.Error(err, "The template is not used")
		}
	}
	limiter := func(messages int) *rate.Limiter {
		return rate.NewLimiter(rate.Every(s.Period/time.Duration(messages)), messages)
	}
	s.limit, s.found = limiter(s.MaxMessages), limiter(s.MaxMessages-kept(s.MaxMessages))
	s.queue = make(chan Message, longestQueue)
	return s
}
