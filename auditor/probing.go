package auditor

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

const (
	// probes is how often a fresh injection is asked for in all before a
	// difference is believed: an injector that flips a coin agrees with itself
	// twice in half of the cases, and five times in one of sixteen.
	probes = 5
	// enoughConfirmed workloads that differ at the same paths and were probed
	// stand for all that do: a changed template makes thousands of them. They are of
	// one namespace, and stand for that, or each of another, and stand for all: who
	// writes in one namespace says nothing about others.
	enoughConfirmed = 3
)

// stability remembers which differences have been probed.
type stability struct {
	mu        sync.Mutex
	confirmed map[placesKey]map[string]int // by namespace
}

func (s *stability) known(paths placesKey, namespace string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	confirmed := s.confirmed[paths]
	return len(confirmed) >= enoughConfirmed || confirmed[namespace] >= enoughConfirmed
}

func (s *stability) confirm(paths placesKey, namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.confirmed == nil {
		s.confirmed = map[placesKey]map[string]int{}
	}
	if s.confirmed[paths] == nil {
		s.confirmed[paths] = map[string]int{}
	}
	if confirmed := s.confirmed[paths]; len(confirmed) < enoughConfirmed || confirmed[namespace] > 0 {
		confirmed[namespace]++
	}
}

// confirm asks again about a revision with sidecars whose Pods differ from the
// fresh one, and makes it Unstable if fresh Pods differ among themselves.
func (a *audit) confirm(ctx context.Context, f *finding, r inventory.Revision, e expected, judged []inventory.Pod) error {
	if len(f.revision.Changes) == 0 || len(f.revision.Sidecars) == 0 {
		return nil
	}
	paths := keyOf(f.revision.Changes)
	if a.stable.known(paths, r.Workload.Namespace) {
		return nil
	}
	for probe := 2; probe <= probes; probe++ {
		again, err := a.fresh(ctx, r, f, injection.Ordinal{})
		if _, refused := errors.AsType[*injection.Refusal](err); refused {
			return nil // the first answer is the one there is
		}
		if err != nil {
			return err
		}
		other, err := parse("fresh Pod", again)
		if err != nil {
			return err
		}
		v, err := a.differ(ctx, r, e.fresh, other, e.template)
		if err != nil {
			return err
		}
		if len(v.Changes) > 0 {
			f.unjudged(judged, verdict.Unstable, fmt.Sprintf("fresh injections of the same Pod differ among themselves at %s; --ignore-path leaves fields out",
				strings.Join(pathsOf(v.Changes), ", ")))
			f.revision.Changes, f.revision.MoreChanges = v.Changes, v.More
			f.revision.Loses = nil
			return nil
		}
	}
	a.stable.confirm(paths, r.Workload.Namespace)
	return nil
}

// placesKey identifies the places of changes.
type placesKey [sha256.Size]byte

// keyOf quotes what it joins: paths hold keys of anybody's making.
func keyOf(changes []verdict.Change) placesKey {
	return sha256.Sum256(fmt.Appendf(nil, "%q", pathsOf(changes)))
}

// pathsOf names the places of changes, each once.
func pathsOf(changes []verdict.Change) []string {
	var places []string
	for _, c := range changes {
		places = append(places, c.Place())
	}
	return slices.Compact(places)
}
