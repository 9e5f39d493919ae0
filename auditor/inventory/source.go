package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

const (
	// watchFor is how long one watch lasts at least, as client-go's reflectors
	// have it: an API server must be able to let go of its clients.
	watchFor = 5 * time.Minute
	// firstPause is the pause after a watch that failed; it doubles, up to
	// lastPause, as long as none is followed for longer than the first.
	firstPause = time.Second
	lastPause  = 30 * time.Second
	// troubled is how long a source is waited for that cannot be read.
	troubled = 5 * time.Second
)

// source is a list of Pods that is watched.
type source struct {
	query
	read    int    // how often it was begun to be read whole
	version string // to watch from; empty: to be read whole
	lists   bool   // the API server does not stream the first state

	mu      sync.Mutex
	current bool
	err     error         // why it is not
	told    chan struct{} // closed at the next change of the two
}

func newSource(q query) *source { return &source{query: q, told: make(chan struct{})} }

func (s *source) set(current bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.err = current, err
	close(s.told)
	s.told = make(chan struct{})
}

// state returns whether the source is known as it is, a channel that is closed when
// that may have changed, and why it is not.
func (s *source) state() (current bool, told <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current, s.told, s.err
}

// Run keeps the Pods up to date until ctx is done.
func (l *Live) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, s := range l.sources {
		all.Go(func() { l.follow(ctx, s) })
	}
	all.Wait()
}

// Wait returns when all that is selected is known and watched, with an error if it
// cannot be.
func (l *Live) Wait(ctx context.Context) error {
	for _, s := range l.sources {
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *source) wait(ctx context.Context) error {
	var patience <-chan time.Time // none while there is no trouble
	for {
		current, told, err := s.state()
		switch {
		case current:
			return nil
		case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
			return err
		case err != nil && patience == nil:
			patience = time.After(troubled)
		}
		select {
		case <-told:
		case <-patience:
			if _, _, err := s.state(); err != nil {
				return err
			}
			patience = nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// follow reads and watches a source, again and again.
func (l *Live) follow(ctx context.Context, s *source) {
	pause := firstPause
	for {
		begin := time.Now()
		err := l.watch(ctx, s)
		if ctx.Err() != nil {
			return
		}
		current, _, _ := s.state()
		if current && time.Since(begin) > firstPause {
			pause = firstPause
			if err == nil {
				continue // it had its time
			}
		}
		s.set(false, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

// watch reads the source whole if its state is not known, and watches it for a
// while.
func (l *Live) watch(ctx context.Context, s *source) error {
	whole := s.version == ""
	if whole {
		s.read++
		s.set(false, nil)
		if s.lists {
			if err := l.list(ctx, s); err != nil {
				return err
			}
			whole = false
		}
	}
	err := l.stream(ctx, s, whole)
	switch {
	case whole && !s.lists && streamsNot(err):
		s.lists = true
		return l.watch(ctx, s)
	case apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
		s.version = ""
		return l.watch(ctx, s)
	}
	return err
}

// streamsNot tells an API server that does not stream its state to a watch: the
// feature WatchList is off, or it is older than 1.27.
func streamsNot(err error) bool { return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) }

// list reads the source by a list out of the API server's cache, as every
// controller does that starts. The watch from there on makes up for its age.
func (l *Live) list(ctx context.Context, s *source) error {
	body, err := l.request(s).Param("resourceVersion", "0").Stream(ctx)
	if err != nil {
		return s.refused("list", s.namespace, "", err)
	}
	defer body.Close()
	read, err := readPage(body, func(raw []byte) error {
		if pod, err := jsontree.Parse(raw); err == nil {
			l.put(s, pod)
		} else {
			l.unread.Add(1)
		}
		return nil
	})
	if err != nil {
		return s.refused("list", s.namespace, "", fmt.Errorf("%w: %w", errCut, err))
	}
	l.known(s, read.version)
	return nil
}

// known says that the source was read whole.
func (l *Live) known(s *source, version string) {
	s.version = version
	l.prune(s)
	s.set(true, nil)
}

// request is what lists and watches of the source have in common.
func (l *Live) request(s *source) *rest.Request {
	r := s.in(l.client.Get(), s.namespace)
	for name, value := range map[string]string{"labelSelector": s.labels, "fieldSelector": s.fields} {
		if value != "" {
			r.Param(name, value)
		}
	}
	return r
}

// stream follows a watch until it ends by itself; if whole, one that begins with
// the state as it is.
func (l *Live) stream(ctx context.Context, s *source, whole bool) error {
	seconds := int(watchFor.Seconds() * (1 + rand.Float64()))
	r := l.request(s).Param("watch", "true").Param("allowWatchBookmarks", "true").Param("timeoutSeconds", strconv.Itoa(seconds))
	if whole {
		r.Param("sendInitialEvents", "true").Param("resourceVersionMatch", string(metav1.ResourceVersionMatchNotOlderThan))
	} else {
		r.Param("resourceVersion", s.version)
	}
	body, err := r.Stream(ctx)
	if err != nil {
		return s.refused("watch", s.namespace, "", err)
	}
	defer body.Close()
	if !whole {
		s.set(true, nil)
	}
	events := jsontree.NewStream(body)
	for {
		if _, err := events.Peek(); errors.Is(err, io.EOF) && s.version != "" {
			return nil
		}
		if err := l.next(s, events); err != nil {
			return s.refused("watch", s.namespace, "", err)
		}
	}
}

// next reads an event and acts upon it. Its type comes first, as in metav1.WatchEvent.
func (l *Live) next(s *source, events *jsontree.Stream) error {
	var kind watch.EventType
	return members(events, func(name string) error {
		value, err := events.Value()
		if err != nil {
			return err
		}
		parsed, err := jsontree.Parse(value)
		switch {
		case name == "type":
			kind = watch.EventType(parsed.String())
			return err
		case name != "object":
			return nil
		case err != nil:
			l.unread.Add(1)
			return nil //nolint:nilerr // it is counted, and the watch goes on
		}
		return l.take(s, kind, parsed)
	})
}

// take acts upon an event.
func (l *Live) take(s *source, kind watch.EventType, object jsontree.Node) error {
	metadata := object.Get("metadata")
	switch kind {
	case watch.Added, watch.Modified:
		l.put(s, object)
	case watch.Deleted:
		l.remove(metadata.Get("uid").String())
	case watch.Bookmark:
		if metadata.Get("annotations", metav1.InitialEventsAnnotationKey).String() == "true" {
			l.known(s, metadata.Get("resourceVersion").String())
		}
	case watch.Error:
		return statusError(object)
	default:
		return fmt.Errorf("an event of type %q", kind)
	}
	// Before the first state is known whole, no version stands for it.
	if s.version != "" {
		s.version = metadata.Get("resourceVersion").String()
	}
	return nil
}

// statusError is the error that a watch ends with.
func statusError(object jsontree.Node) error {
	var status metav1.Status
	if err := json.Unmarshal(object.Raw(), &status); err != nil {
		return err
	}
	return &apierrors.StatusError{ErrStatus: status}
}
