package verdict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// Judge compares a live Pod with a fresh one. What is no Pod is an error.
//
// Every difference between the two specs, minus noise, is what admission does
// differently now: both were made from the same template. In containers of the
// app, what a later field manager of the live Pod holds is an edit of the app
// and no difference; in an injected container it is a modification.
func Judge(in Input) (Verdict, error) {
	c, err := newComparison(in)
	if err != nil {
		return Verdict{}, err
	}
	if err := c.compare(in); err != nil {
		return Verdict{}, err
	}
	c.settle()
	return c.verdict(), nil
}

// compare finds all differences.
func (c *comparison) compare(in Input) error {
	c.containers()
	c.order()
	c.members("volumes", c.live.Volumes(), c.fresh.Volumes())
	c.podFields()
	c.placement(in)
	return c.metadata(in)
}

// comparison holds the two Pods and what was found so far.
type comparison struct {
	live, fresh     *podspec.View
	declared        declared
	sidecars        containerSet // injected containers, live or fresh
	liveHas, newHas containerSet
	creators        containerSet // init containers that the live Pod's creator added
	// liveGiven and newGiven: admission added items to the app's lists, and no container.
	liveGiven, newGiven bool

	edits         podspec.Fields // what later managers hold of the live spec
	changes       []Change
	edited        int      // changes that a later manager made, but for unstable ones
	ofImage       int      // changes of the app's own images, likewise
	appImages     []Change // the app's images that differ, edited ones included
	ignore        []PathPattern
	ignored       int          // changes that are left out
	moving        bool         // an autoscaler sizes the Pod, and that is not to count
	autoscalers   []Autoscaler // none: annotations tell, or none sizes it
	autoscaled    []Change     // what it differs by
	oneShot       bool         // what is compared is an init container that runs to its end
	ended         bool         // and that has, in the live Pod, without a trace
	empowered     bool         // and that may have set up more than files
	varying       *Varying
	varied        []string // places that vary, and differ
	reordered     []string
	ordersDoubted bool
	madeUp        map[string][]int // changes of items that have gone, by their form
	learned       *learned         // not nil: differences are what varies, and not recorded
	annotations   []string         // that count, too
	undecided     []Change         // of which nothing tells who made them
	beside        []Change         // of metadata that does not count
	// limitsSidecars are the Pods of which LimitRanger says that it set resources of a
	// sidecar.
	limitsSidecars map[*podspec.View]bool
	podResources   jsontree.Node // that the template gives to the Pod as a whole
}

func newComparison(in Input) (*comparison, error) {
	if err := checkPod("live Pod", in.Live); err != nil {
		return nil, err
	}
	if err := checkPod("fresh Pod", in.Fresh); err != nil {
		return nil, err
	}
	declared, err := in.declared()
	if err != nil {
		return nil, err
	}
	managers, err := podspec.Managers(in.Live)
	if err != nil {
		return nil, fmt.Errorf("live Pod: %w", err)
	}
	c := &comparison{
		live:     podspec.NewView(inForce(in.Live)),
		fresh:    podspec.NewView(in.Fresh),
		declared: declared,
		edits:    podspec.Union(podspec.Later(managers)).Field([]byte("spec")),

		ignore: in.Ignore,
		moving: !in.IncludeAutoscaled && (len(in.Autoscalers) > 0 || in.sizedByAnnotation()),

		autoscalers: in.Autoscalers, annotations: in.Annotations, varying: in.Varying, ordersDoubted: in.OrdersDoubted,

		podResources: in.Template.Get("spec", "resources"),
	}
	c.liveHas = declared.injected(c.live, in.DeclaredSidecars)
	c.newHas = declared.injected(c.fresh, in.DeclaredSidecars)
	if c.creators, err = c.addedByCreator(in); err != nil {
		return nil, err
	}
	for key := range c.creators {
		delete(c.liveHas, key)
	}
	c.sidecars, c.madeUp = union(c.liveHas, c.newHas), map[string][]int{}
	if len(c.sidecars) == 0 {
		if c.liveGiven, c.newGiven, err = c.given(in); err != nil {
			return nil, err
		}
	}
	c.limitsSidecars = map[*podspec.View]bool{c.live: c.limitsSidecar(c.live), c.fresh: c.limitsSidecar(c.fresh)}
	return c, nil
}

func checkPod(what string, object jsontree.Node) error {
	if object.Get("spec").Kind() != jsontree.Object {
		return fmt.Errorf("%s: the object has no spec: not a Pod", what)
	}
	return nil
}

// containers compares containers and init containers by list and name. The API
// server refuses two of a name, files may hold them: those are compared in
// their order.
func (c *comparison) containers() {
	fresh := map[containerKey][]podspec.Container{}
	for _, f := range c.fresh.Containers() {
		fresh[keyOf(f)] = append(fresh[keyOf(f)], f)
	}
	for _, list := range containerLists {
		edits := c.live.Lookup(c.edits.Field(list), list)
		for _, l := range c.live.Containers() {
			key := keyOf(l)
			switch {
			case !bytes.Equal(l.Field, list), c.creators[key]:
			case len(fresh[key]) == 0:
				c.oneShot = l.OneShot()
				c.record(c.part(l), "", l.Node, jsontree.Node{})
			default:
				c.oneShot = l.OneShot() && fresh[key][0].OneShot()
				c.ended = c.oneShot && c.over(l)
				c.empowered = empowered(l) || empowered(fresh[key][0])
				c.container(l, fresh[key][0], edits.Member(l.Member))
				c.ended = false
				fresh[key] = fresh[key][1:]
			}
		}
		c.live.Release(edits)
	}
	for _, f := range c.fresh.Containers() {
		key := keyOf(f)
		if left := fresh[key]; len(left) > 0 && left[0].Node == f.Node {
			c.oneShot = f.OneShot()
			c.record(c.part(f), "", jsontree.Node{}, f.Node)
			fresh[key] = left[1:]
		}
	}
	c.oneShot = false
}

func (c *comparison) part(container podspec.Container) string {
	if c.sidecars[keyOf(container)] {
		return container.Part()
	}
	return "app/" + container.Name
}

// container compares two containers; held is what later managers hold of the live one.
func (c *comparison) container(live, fresh podspec.Container, held podspec.Fields) {
	sidecar := c.sidecars[keyOf(live)]
	if !sidecar {
		limits := c.limited(live, fresh)
		c.live.Ignore(limits)
		c.fresh.Ignore(limits)
		defer c.live.Ignore(nil)
		defer c.fresh.Ignore(nil)
	}
	for _, d := range podspec.Diff(c.live, c.fresh, live.Member, fresh.Member, held) {
		if c.sameAppArmor(live, fresh, d) {
			continue
		}
		edited := d.Held && editable(d.Path)
		if !sidecar && d.Path == "image" {
			c.appImages = append(c.appImages, changeOf(c.part(live), d.Path, d.A, d.B))
		}
		if edited && !sidecar {
			continue
		}
		switch stable := c.add(c.part(live), d); {
		case edited:
			c.edited += stable
		case !sidecar && ofImage(live, fresh, d.Path):
			c.ofImage += stable
		}
	}
}

// editable reports whether the API server lets a container's field be changed
// once the Pod exists: by an update, or by the subresource resize. Another
// field cannot have been edited, whatever managedFields say.
// https://kubernetes.io/docs/concepts/workloads/pods/#pod-update-and-replacement
func editable(path string) bool {
	return path == "image" || strings.HasPrefix(path, "resources.")
}

// order compares the sequence of the containers that both Pods have, where
// one of them is a sidecar.
func (c *comparison) order() {
	if len(c.sidecars) == 0 {
		return
	}
	live, fresh := c.live.Order(), c.fresh.Order()
	differs := false
	for i := range live {
		if !slices.Equal(common(live[i], fresh[i]), common(fresh[i], live[i])) {
			differs = true
		}
	}
	if differs {
		c.record("order", "", sequence(live), sequence(fresh))
	}
}

// members compares a keyed list of the spec.
func (c *comparison) members(part string, live, fresh podspec.Member) {
	for _, d := range podspec.Diff(c.live, c.fresh, live, fresh, podspec.Fields{}) {
		c.add(part, d)
	}
}

func (c *comparison) add(part string, d podspec.Difference) (stable int) {
	return c.record(part, d.Path, d.A, d.B)
}

// verdict puts together what was found.
func (c *comparison) verdict() Verdict {
	slices.SortStableFunc(c.changes, stableFirst)
	slices.SortFunc(c.autoscaled, CompareChanges)
	slices.SortFunc(c.undecided, CompareChanges)
	v := Verdict{
		State:    c.state(),
		Sidecars: BoundNames(c.sidecars.names()),
		Injected: c.liveGiven || c.newGiven,
		Loses:    c.loses(),
		Ignored:  c.ignored,
	}
	v.Changes, v.More = Bound(eachOnce(c.changes))
	if v.Changes == nil {
		v.Changes = []Change{}
	}
	var more int
	v.Autoscaled, more = Bound(c.autoscaled)
	v.More += more
	v.Undecided, _ = Bound(eachOnce(c.undecided))
	v.Metadata, v.MoreMetadata = c.notCounted()
	v.Varies, v.Reordered = eachName(c.varied), eachName(c.reordered)
	slices.SortFunc(c.appImages, CompareChanges)
	v.AppImages, _ = Bound(c.appImages)
	return v
}

func common(of, with []string) []string {
	has := map[string]bool{}
	for _, name := range with {
		has[name] = true
	}
	var both []string
	for _, name := range of {
		if has[name] {
			both = append(both, name)
		}
	}
	return both
}

func sequence(order [2][]string) jsontree.Node {
	b, err := json.Marshal(slices.Concat(order[0], order[1]))
	if err != nil { // strings always marshal
		panic(err)
	}
	names, err := jsontree.Parse(b)
	if err != nil {
		panic(err)
	}
	return names
}
