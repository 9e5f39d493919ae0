package verdict

import (
	"fmt"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// givenLists are the lists of an app's container that injectors add items to.
// OpenTelemetry's SDK and Azure's workload identity inject nothing else.
var givenLists = []string{"env", "envFrom", "ports", "volumeDevices", "volumeMounts"}

// given tells the items that admission has added to the app's lists. A LimitRange, or an
// image mirror, adds none.
type given struct {
	known     bool
	template  *podspec.View  // nil if unknown
	submitted podspec.Fields // what was submitted for the fresh Pod, in which its controller may add to the template
	declared  declared
}

// given reports which of the Pods has items that admission added.
func (c *comparison) given(in Input) (live, fresh bool, err error) {
	g, err := in.givenItems(c.declared)
	if err != nil {
		return false, false, fmt.Errorf("fresh Pod: %w", err)
	}
	return g.in(c.live, c.creators), g.in(c.fresh, nil), nil
}

func (in Input) givenItems(d declared) (given, error) {
	g := given{known: d.known, submitted: d.spec, declared: d}
	if !in.Template.Exists() {
		return g, nil
	}
	managers, err := podspec.Managers(in.Fresh)
	g.template, g.submitted = podspec.NewView(in.Template), podspec.Union(podspec.Created(managers)).Field([]byte("spec"))
	return g, err
}

// in reports whether a Pod has any, in other containers than those.
func (g given) in(v *podspec.View, but containerSet) bool {
	if !g.known {
		return false
	}
	for _, list := range containerLists {
		held := v.Lookup(g.submitted.Field(list), list)
		for _, c := range v.Containers() {
			if string(c.Field) == string(list) && !but[keyOf(c)] && g.inContainer(v, c, held.Member(c.Member)) {
				v.Release(held)
				return true
			}
		}
		v.Release(held)
	}
	var declared jsontree.Node
	if g.template != nil {
		declared = g.template.Volumes().Node
	}
	return g.inList(v, v.Volumes(), declared, g.submitted.Field([]byte("volumes")))
}

func (g given) inContainer(v *podspec.View, c podspec.Container, submitted podspec.Fields) bool {
	for _, field := range givenLists {
		list := podspec.Member{Node: c.Node.Get(field), Field: []byte(field)}
		if g.inList(v, list, g.declared.template[keyOf(c)].Get(field), submitted.Field(list.Field)) {
			return true
		}
	}
	return false
}

// inList reports whether a list has items that are neither in the template's nor
// submitted.
func (g given) inList(v *podspec.View, list podspec.Member, declared jsontree.Node, submitted podspec.Fields) bool {
	members, keyed := v.Members(nil, list)
	if !keyed {
		return g.inAtomic(v, list, declared, submitted)
	}
	type itemKey struct{ first, second string }
	known := map[itemKey]bool{}
	if g.template != nil {
		of, _ := g.template.Members(nil, podspec.Member{Node: declared, Field: list.Field})
		for _, m := range of {
			known[itemKey{string(m.Key), string(m.Second)}] = true
		}
	}
	held := v.Lookup(submitted, list.Field)
	defer v.Release(held)
	for _, m := range members {
		if !known[itemKey{string(m.Key), string(m.Second)}] && held.Member(m).Empty() && !v.ClaimOfSet(m) {
			return true
		}
	}
	return false
}

// inAtomic is inList for a list whose items have no key: who holds any holds all.
func (g given) inAtomic(v *podspec.View, list podspec.Member, declared jsontree.Node, submitted podspec.Fields) bool {
	if g.template == nil {
		return list.Node.Kind() == jsontree.Array && !list.Node.IsEmpty() && submitted.Empty()
	}
	known := map[string]bool{}
	for item := range declared.Children() {
		known[string(g.template.AppendCanonical(nil, podspec.Member{Node: item, Field: list.Field, Item: true}))] = true
	}
	for item := range list.Node.Children() {
		if !known[string(v.AppendCanonical(nil, podspec.Member{Node: item, Field: list.Field, Item: true}))] {
			return true
		}
	}
	return false
}
