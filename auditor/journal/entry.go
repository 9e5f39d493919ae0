package journal

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// Entry is the history of one change, from when it was first seen until no workload had it.
type Entry struct {
	ID      string `json:"id"`
	Summary string `json:"summary"`
	Kind    string `json:"kind,omitempty"`
	Risk    string `json:"risk,omitempty"`
	// Began is when injection began to answer so.
	Began Interval `json:"began"`
	// By says whose change it is, and Writes what may have made it: see
	// [cause.Verdict]. Empty where nobody looked.
	By     string        `json:"by,omitempty"`
	Writes []cause.Write `json:"writes,omitempty"`
	// Reach is the most workloads, Pods and namespaces that had it at a time.
	Reach Reach `json:"reach"`
	// Open is how many workloads still have it.
	Open int `json:"open"`
	// RolledOut, TakenBack, Superseded and Gone are how many workloads no longer have it: see
	// How.
	RolledOut  int `json:"rolledOut"`
	TakenBack  int `json:"takenBack"`
	Superseded int `json:"superseded"`
	Gone       int `json:"gone"`
	// Half is when half of those whom it had reached no longer had it.
	Half *time.Time `json:"half,omitempty"`
	// Ended is when, and how, it ended; nil while somebody has it.
	Ended *End `json:"ended,omitempty"`
	// Places are what it consists of, at most 40 of them, and Names some of the workloads
	// that have it or, where it has ended, had it last.
	Places []Place `json:"places,omitempty"`
	Names  []Name  `json:"workloads,omitempty"`
	// Parts name the places.
	Parts []string `json:"parts,omitempty"`

	places []string
	of     map[inventory.WorkloadRef]time.Time // who has it, and when their oldest Pods were started
	left   map[inventory.WorkloadRef]departure // who has had it
	// unnamed is how many have it whose names were not kept.
	unnamed int
	// parted: some have but a part of it now; outlived: of the same Pods.
	parted, outlived bool
	moved            bool // all that had it have it as part of other changes
}

// departure is how a workload came to have a change no longer, and when its oldest Pod had been
// started that did have it.
type departure struct {
	how    How
	oldest time.Time
}

// Interval is a time that is not known exactly: later than After, which is zero where nothing
// was known before, and not later than By.
type Interval struct {
	After time.Time `json:"after,omitzero"`
	By    time.Time `json:"by"`
}

// Reach says how many have a change.
type Reach struct {
	Workloads  int `json:"workloads"`
	Pods       int `json:"pods"`
	Namespaces int `json:"namespaces"`
}

// End is how a change ended.
type End struct {
	At  time.Time `json:"at"`
	How How       `json:"how"`
}

// How a workload, or most of all whom it had reached, no longer has a change.
type How string

// Ways to end.
const (
	// RolledOut: its oldest Pod is a new one, and in sync.
	RolledOut How = "RolledOut"
	// TakenBack: it is in sync, and its Pods are those that differed: injection answers as
	// before.
	TakenBack How = "TakenBack"
	// Superseded: it differs in something else: injection has changed once more.
	Superseded How = "Superseded"
	// Gone: there is no such workload with Pods any more among those that are audited.
	Gone How = "Gone"
)

// Name is a workload that has a change.
type Name struct {
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Oldest    time.Time `json:"oldestPod,omitzero"`
}

func (n Name) ref() inventory.WorkloadRef {
	return inventory.WorkloadRef{Kind: n.Kind, Namespace: n.Namespace, Name: n.Name}
}

// Earlier sums up changes of which no more is kept.
type Earlier struct {
	Changes int       `json:"changes"`
	Since   time.Time `json:"since,omitzero"` // the first of them
	Until   time.Time `json:"until,omitzero"` // the last
}

func (s *Earlier) add(e *Entry) {
	s.Changes++
	if s.Since.IsZero() || e.Began.By.Before(s.Since) {
		s.Since = e.Began.By
	}
	if e.Began.By.After(s.Until) {
		s.Until = e.Began.By
	}
}

// counter is that of a way to leave.
func (e *Entry) counter(how How) *int {
	switch how {
	case RolledOut:
		return &e.RolledOut
	case TakenBack:
		return &e.TakenBack
	case Superseded:
		return &e.Superseded
	}
	return &e.Gone
}

// depart takes down who has nothing of it any more. Whoever cannot be judged still has it,
// and who has a part of it goes on with that.
func (e *Entry) depart(having holders, workloads map[inventory.WorkloadRef]Workload) {
	e.parted, e.outlived = false, false
	for ref, oldest := range e.of {
		w, exists := workloads[ref]
		how, left := wayOut(w, exists, oldest)
		switch {
		case e.has(ref, having), !left:
			continue
		case e.hasSome(ref, having):
			e.parted, e.outlived = true, e.outlived || !w.OldestPod.After(oldest)
		default:
			*e.counter(how)++
			e.left[ref] = departure{how, oldest}
		}
		delete(e.of, ref)
	}
}

// comeBack takes down how those have left that were gone, and are there again: where all Pods
// of a workload are made anew while an audit asks, it finds none.
func (e *Entry) comeBack(having holders, workloads map[inventory.WorkloadRef]Workload) {
	for ref, was := range e.left {
		w, exists := workloads[ref]
		if was.how != Gone || !exists || e.hasSome(ref, having) {
			continue
		}
		if how, left := wayOut(w, exists, was.oldest); left {
			*e.counter(Gone)--
			*e.counter(how)++
			e.left[ref] = departure{how, was.oldest}
		}
	}
	if e.Ended != nil && e.Ended.How == Gone {
		e.Ended = &End{At: e.Ended.At, How: e.how()}
	}
}

// wayOut is how a workload has left a change that it has nothing of, if that can be told: when
// it had it, its oldest Pod was started then.
func wayOut(w Workload, exists bool, oldest time.Time) (how How, left bool) {
	renewed := w.OldestPod.After(oldest)
	switch {
	case !exists:
		return Gone, true
	case w.Standing == Held, w.Standing == Unclear && !renewed:
		return "", false
	case w.Standing == Drifts:
		return Superseded, true
	case renewed:
		return RolledOut, true
	}
	return TakenBack, true
}

// observe takes down who has it now.
func (e *Entry) observe(c Change, workloads map[inventory.WorkloadRef]Workload) {
	e.Summary, e.Kind, e.Risk = c.Summary, c.Kind, c.Risk
	e.Places, e.places, e.Parts = bound(c.Places, mostPlaces), c.PlaceIDs, bound(c.PlaceIDs, mostParts)
	if e.of == nil { // it had ended long ago
		e.of, e.left = map[inventory.WorkloadRef]time.Time{}, map[inventory.WorkloadRef]departure{}
	}
	namespaces := map[string]bool{}
	for _, ref := range c.Workloads {
		namespaces[ref.Namespace] = true
		if was, left := e.left[ref]; left { // it has it again
			*e.counter(was.how)--
			delete(e.left, ref)
		} else if !e.had(ref) && e.unnamed > 0 {
			e.unnamed--
		}
		e.of[ref] = workloads[ref].OldestPod
	}
	e.Reach.Workloads = max(e.Reach.Workloads, len(c.Workloads))
	e.Reach.Pods, e.Reach.Namespaces = max(e.Reach.Pods, c.Pods), max(e.Reach.Namespaces, len(namespaces))
	if e.Half != nil && 2*len(c.Workloads) > e.Reach.Workloads {
		e.Half = nil
	}
}

// settle ends it where nobody has it any more. Where all who have it have it as part of other
// changes, those go on with it, unless injection has changed once more.
func (e *Entry) settle(present, outgrown bool, having holders, workloads map[inventory.WorkloadRef]Workload, now time.Time) {
	e.resolveUnnamed(workloads)
	if !present {
		before := len(e.of)
		maps.DeleteFunc(e.of, func(ref inventory.WorkloadRef, _ time.Time) bool { return e.has(ref, having) })
		if len(e.of)+e.unnamed == 0 && (before > 0 || e.parted) {
			vanished := slices.ContainsFunc(e.places, func(place string) bool { return having[place] == nil })
			if outgrown || e.outlived && vanished {
				e.Open, e.Ended = 0, &End{At: now, How: Superseded}
				return
			}
			e.moved = true
			return
		}
	}
	e.Open = len(e.of) + e.unnamed
	e.Names = e.names()
	if e.Half == nil && e.Reach.Workloads > 1 && 2*e.Open <= e.Reach.Workloads {
		e.Half = &now
	}
	if e.Open == 0 {
		e.Ended = &End{At: now, How: e.how()}
	}
}

// resolveUnnamed finds out about those whose names a former leader did not keep: as they were
// not found to have it, they are among those that cannot be judged, or were rolled out.
func (e *Entry) resolveUnnamed(workloads map[inventory.WorkloadRef]Workload) {
	if e.unnamed == 0 {
		return
	}
	held := 0
	for _, w := range workloads {
		if w.Standing == Held {
			held++
		}
	}
	still := min(e.unnamed, held)
	e.RolledOut += e.unnamed - still
	e.unnamed = still
}

// goOn takes over what is known of a change that this is a part of, or that is a part of this.
func (e *Entry) goOn(with *Entry) {
	if e.By == "" && e.Began == with.Began {
		e.By, e.Writes = with.By, with.Writes
	}
	if with.Half != nil && (e.Half == nil || with.Half.Before(*e.Half)) {
		e.Half = with.Half
	}
	e.Reach.Workloads = max(e.Reach.Workloads, with.Reach.Workloads)
	e.Reach.Pods, e.Reach.Namespaces = max(e.Reach.Pods, with.Reach.Pods), max(e.Reach.Namespaces, with.Reach.Namespaces)
	for _, how := range []How{RolledOut, TakenBack, Superseded, Gone} {
		*e.counter(how) = max(*e.counter(how), *with.counter(how))
	}
}

func (e *Entry) had(ref inventory.WorkloadRef) bool {
	_, had := e.of[ref]
	return had
}

// has reports whether a workload has all that the change consists of.
func (e *Entry) has(ref inventory.WorkloadRef, having holders) bool {
	for _, place := range e.places {
		if !having[place][ref] {
			return false
		}
	}
	return len(e.places) > 0
}

func (e *Entry) hasSome(ref inventory.WorkloadRef, having holders) bool {
	return slices.ContainsFunc(e.places, func(place string) bool { return having[place][ref] })
}

// how is the way that most took.
func (e *Entry) how() How {
	most := RolledOut
	for _, how := range []How{TakenBack, Superseded, Gone} {
		if *e.counter(how) > *e.counter(most) {
			most = how
		}
	}
	return most
}

// names are some of those who have it; of one that has just ended, the last.
func (e *Entry) names() []Name {
	if len(e.of) == 0 {
		return e.Names
	}
	refs := slices.SortedFunc(maps.Keys(e.of), func(a, b inventory.WorkloadRef) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	names := make([]Name, 0, min(len(refs), mostNames))
	for _, ref := range bound(refs, mostNames) {
		names = append(names, Name{ref.Kind, ref.Namespace, ref.Name, e.of[ref].UTC().Truncate(time.Second)})
	}
	return names
}

func bound[T any](list []T, most int) []T { return list[:min(len(list), most)] }

// String is PART:PATH FROM → TO.
func (p Place) String() string {
	place := p.Part
	if p.Path != "" {
		place += ":" + p.Path
	}
	switch {
	case p.From == "":
		return place + " is added: " + p.To
	case p.To == "":
		return place + " is taken away: " + p.From
	}
	return fmt.Sprintf("%s %s → %s", place, p.From, p.To)
}
