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
	id       ID
	shown    verdict.Change
	assessed assessment
}

// places are numbered.
type places struct {
	all    []place
	byKey  map[[sha256.Size]byte]int
	masker *mask.Masker
	masked map[difference]verdict.Change
	known  map[known]int
}

// difference tells changes apart.
type difference struct{ part, path, from, to string }

// known is what a place follows from.
type known struct {
	difference
	lost, oneShot bool
}

func newPlaces() *places {
	return &places{
		byKey: map[[sha256.Size]byte]int{}, masker: mask.Constant(),
		masked: map[difference]verdict.Change{}, known: map[known]int{},
	}
}

// numbers are those of the places of a revision's differences; -1 for what is unstable.
func (p *places) numbers(w Workload, r Revision) []int {
	own, native := ownNames(w), nativeSidecars(r.Changes)
	takes := verdict.TakesAway(r.Changes, r.Loses)
	numbers := make([]int, len(r.Changes))
	for i, c := range r.Changes {
		if c.Unstable {
			numbers[i] = -1
			continue
		}
		kind, name, _ := strings.Cut(c.Part, "/")
		if was, becomes := native[name]; becomes && c.Path == "" && (kind == "container" || kind == "initContainer") {
			c = becoming(name, was, r.Changes)
		}
		lost := takes || c.Path == "" && c.To == nil && slices.Contains(r.Loses, name)
		numbers[i] = p.number(own, r.Sidecars, c, lost)
	}
	return numbers
}

// number is that of one difference's place.
func (p *places) number(own names, sidecars []string, c verdict.Change, lost bool) int {
	c = p.mask(c)
	c.Path = own.withoutInKeys(c.Path)
	switch kind, _, _ := strings.Cut(c.Part, "/"); {
	case c.Path == BecomesNative:
	case c.Part == "order":
		c.From, c.To = withoutApps(c.From, sidecars), withoutApps(c.To, sidecars)
	case c.Path == "" && (kind == "container" || kind == "initContainer"):
		c.From, c.To = marked(c.From), essence(c.To)
	case c.Path == "image" && kind != App:
	default:
		c.From, c.To = own.withoutIn(c.From), own.withoutIn(c.To)
	}
	if kind, _, _ := strings.Cut(c.Part, "/"); kind == App {
		c.Part = App
	}
	known := known{difference{c.Part, c.Path, string(c.From), string(c.To)}, lost, c.OneShot}
	number, ok := p.known[known]
	if !ok {
		number = p.add(c, lost)
		p.known[known] = number
	}
	return number
}

func (p *places) mask(c verdict.Change) verdict.Change {
	key := difference{c.Part, c.Path, string(c.From), string(c.To)}
	masked, ok := p.masked[key]
	if !ok {
		masked = Masked(p.masker, []verdict.Change{c})[0]
		p.masked[key] = masked
	}
	masked.OneShot = c.OneShot
	return masked
}

// add numbers a place, of which the same may have come in another part before: one new image
// of several containers is one place.
func (p *places) add(c verdict.Change, lost bool) int {
	c.Spent = false
	part := c.Part
	if c.Path == "image" && part != App {
		part = ""
	}
	digest := sha256.New()
	for _, inner := range inside(c) {
		for _, text := range []string{part, inner.Path, string(inner.From), string(inner.To)} {
			digest.Write([]byte(text))
			digest.Write([]byte{0})
		}
	}
	var key [sha256.Size]byte
	digest.Sum(key[:0])
	assessed := assess(c, lost)
	number, ok := p.byKey[key]
	if !ok {
		number = len(p.all)
		p.byKey[key] = number
		p.all = append(p.all, place{id: idOf(key), shown: c, assessed: assessed})
		return number
	}
	found := &p.all[number]
	if compare(c, found.shown) < 0 {
		found.shown = c
	}
	found.assessed = worse(found.assessed, assessed)
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

// becoming is that a container becomes a native sidecar, and with which image where that is
// another one.
func becoming(name string, was json.RawMessage, all []verdict.Change) verdict.Change {
	image := func(container json.RawMessage) json.RawMessage {
		var of struct{ Image json.RawMessage }
		if json.Unmarshal(container, &of) != nil {
			return nil
		}
		return of.Image
	}
	becomes := verdict.Change{Part: "initContainer/" + name, Path: BecomesNative}
	for _, c := range all {
		if c.Part == becomes.Part && c.Path == "" {
			if from, to := image(was), image(c.To); string(from) != string(to) {
				becomes.From, becomes.To = from, to
			}
		}
	}
	return becomes
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
