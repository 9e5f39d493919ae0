package change

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// App is the part of a place in any container of the app.
const App = "app"

// place is a difference that workloads may share.
type place struct {
	id ID
	// shown are the places inside of its value, or it alone.
	shown    []verdict.Change
	assessed assessment
	worst    int // the one of shown that is assessed so
}

func (p place) at() string { return p.shown[p.worst].Place() }

// places are numbered.
type places struct {
	all    []place
	byKey  map[[sha256.Size]byte]int
	masker *mask.Masker
	known  map[known]int
}

// difference tells changes apart.
type difference struct{ part, path, from, to string }

// known is what a place follows from, where no name of the workload is in it.
type known struct {
	difference
	lost, oneShot bool
}

// tellsApart is a key with which masks differ where secrets do. Such masks never leave this
// package, which makes them alike.
const tellsApart = "change"

func newPlaces() *places {
	return &places{byKey: map[[sha256.Size]byte]int{}, masker: mask.New([]byte(tellsApart)), known: map[known]int{}}
}

// numbers are those of the places of a revision's differences; -1 for what is unstable.
func (p *places) numbers(w Workload, r Revision) []int {
	own, native := ownNames(w), nativeSidecars(r.Changes)
	lost := lostOf(r)
	numbers := make([]int, len(r.Changes))
	for i, c := range r.Changes {
		if c.Unstable {
			numbers[i] = -1
			continue
		}
		kind, name, _ := strings.Cut(c.Part, "/")
		if was, becomes := native[name]; becomes && c.Path == "" && (kind == "container" || kind == "initContainer") {
			numbers[i] = p.add(p.becoming(own, name, was, r.Changes), lost(c))
			continue
		}
		numbers[i] = p.number(own, r.Sidecars, c, lost(c))
	}
	return numbers
}

// unstable are the places of what is unstable in a workload. They are part of no change, and
// a re-created Pod gets one of what they may be all the same.
func (p *places) unstable(w Workload) (all []place) {
	own := ownNames(w)
	for _, r := range w.Revisions {
		lost := lostOf(r)
		for _, c := range r.Changes {
			if c.Unstable {
				shown := p.split(c, own, own)
				assessed, worst := assess(shown, lost(c))
				all = append(all, place{shown: shown, assessed: assessed, worst: worst})
			}
		}
	}
	return all
}

// lostOf reports of a revision's differences whether what was injected is lost by them.
func lostOf(r Revision) func(verdict.Change) bool {
	takes := verdict.TakesAway(r.Changes, r.Loses)
	return func(c verdict.Change) bool {
		_, name, _ := strings.Cut(c.Part, "/")
		return takes || c.Path == "" && c.To == nil && slices.Contains(r.Loses, name)
	}
}

// number is that of one difference's place.
func (p *places) number(own names, sidecars []string, c verdict.Change, lost bool) int {
	inValues := own
	switch kind, _, _ := strings.Cut(c.Part, "/"); {
	case c.Part == "order":
		c.From, c.To = withoutApps(c.From, sidecars), withoutApps(c.To, sidecars)
		inValues = nil
	case c.Path == "" && (kind == "container" || kind == "initContainer"):
		c.From, c.To = marked(c.From), essence(c.To)
		inValues = nil
	case c.Path == "image" && kind != App:
		inValues = nil
	}
	if own.in(c) {
		return p.add(p.split(c, own, inValues), lost)
	}
	known := known{difference{c.Part, c.Path, string(c.From), string(c.To)}, lost, c.OneShot}
	number, ok := p.known[known]
	if !ok {
		number = p.add(p.split(c, nil, nil), lost)
		p.known[known] = number
	}
	return number
}

// split is a difference as the places inside of its value, without secrets and names. What
// differs is found before these go: where nothing but a secret, or a name, differs is a place too.
func (p *places) split(c verdict.Change, inKeys, inValues names) []verdict.Change {
	return shared(inside(Masked(p.masker, []verdict.Change{c})[0]), inKeys, inValues)
}

// shared makes of places what workloads may share.
func shared(all []verdict.Change, inKeys, inValues names) []verdict.Change {
	for i := range all {
		c := &all[i]
		c.ID, c.Spent = "", false
		if kind, _, _ := strings.Cut(c.Part, "/"); kind == App {
			c.Part = App
		}
		c.Path = mask.Alike(inKeys.withoutInKeys(c.Path))
		c.From, c.To = alike(inValues.withoutIn(c.From)), alike(inValues.withoutIn(c.To))
	}
	return all
}

func alike(value json.RawMessage) json.RawMessage {
	if value == nil {
		return nil
	}
	return json.RawMessage(mask.Alike(string(value)))
}

// add numbers a place, of which the same may have come in another part before: one new image
// of several containers is one place.
func (p *places) add(all []verdict.Change, lost bool) int {
	digest := sha256.New()
	for _, inner := range all {
		part := inner.Part
		if len(all) == 1 && inner.Path == "image" && part != App {
			part = ""
		}
		for _, text := range []string{part, inner.Path, string(inner.From), string(inner.To)} {
			digest.Write([]byte(text))
			digest.Write([]byte{0})
		}
	}
	var key [sha256.Size]byte
	digest.Sum(key[:0])
	assessed, worst := assess(all, lost)
	number, ok := p.byKey[key]
	if !ok {
		number = len(p.all)
		p.byKey[key] = number
		p.all = append(p.all, place{idOf(key), all, assessed, worst})
		return number
	}
	found := &p.all[number]
	if slices.CompareFunc(all, found.shown, compare) < 0 {
		found.shown = all
	}
	if found.assessed != assessed && worse(found.assessed, assessed) == assessed {
		found.assessed, found.worst = assessed, worst
	}
	return number
}

// essence is what of a container that comes is the same for all workloads:
// what runs and what it may do. Its variables and ports have much of their own.
func essence(of json.RawMessage) json.RawMessage {
	if of == nil {
		return nil
	}
	var container struct {
		Image           string          `json:"image,omitempty"`
		SecurityContext json.RawMessage `json:"securityContext,omitempty"`
	}
	if json.Unmarshal(of, &container) != nil {
		return marked(of)
	}
	text, err := json.Marshal(container)
	if err != nil {
		return marked(of)
	}
	return text
}

// marked says of a container that goes that there was one.
func marked(of json.RawMessage) json.RawMessage {
	if of == nil {
		return nil
	}
	return json.RawMessage("{}")
}

// becoming is that a container becomes a native sidecar, and what else of it differs then.
func (p *places) becoming(own names, name string, was json.RawMessage, all []verdict.Change) []verdict.Change {
	places := []verdict.Change{{Part: "initContainer/" + name, Path: BecomesNative}}
	for _, c := range all {
		if c.Part != places[0].Part || c.Path != "" {
			continue
		}
		for _, d := range whenNative(p.masker.At("", was), p.masker.At("", c.To)) {
			inValues := own
			if d.Path == "image" {
				inValues = nil
			}
			places = append(places, shared([]verdict.Change{{Part: c.Part, Path: d.Path, From: d.From, To: d.To}}, own, inValues)...)
		}
	}
	return places
}

// withoutApps is a sequence of containers in which a run of the app's is one.
func withoutApps(sequence json.RawMessage, sidecars []string) json.RawMessage {
	var all []string
	if json.Unmarshal(sequence, &all) != nil {
		return sequence
	}
	var shown []string
	for _, name := range all {
		if !slices.Contains(sidecars, name) {
			name = "{" + App + "}"
		}
		if len(shown) == 0 || shown[len(shown)-1] != name {
			shown = append(shown, name)
		}
	}
	text, err := json.Marshal(shown)
	if err != nil {
		return sequence
	}
	return text
}
