package verdict

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// declared are the containers that a Pod's template, or its creator, declares, each in
// its own list: all others were injected.
type declared struct {
	known bool // false: nothing says who declared what

	template map[containerKey]jsontree.Node // nil if unknown; then
	spec     podspec.Fields                 // what the creator holds
	owned    map[containerKey]podspec.Fields
}

// containerKey is a container in a Pod of anybody's making, which may have thousands.
type containerKey struct{ list, name string }

func keyOf(c podspec.Container) containerKey { return containerKey{string(c.Field), c.Name} }

type containerSet map[containerKey]bool

func union(a, b containerSet) containerSet {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}

// names are those of the containers, sorted, each once.
func (s containerSet) names() []string {
	names := make([]string, 0, len(s))
	for key := range s {
		names = append(names, key.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// declared returns what the template declares. Without one, the fresh Pod's
// managedFields say what was submitted: the live Pod's may be forged.
func (in Input) declared() (declared, error) {
	if in.Template.Exists() {
		return declaredByTemplate(in.Template), nil
	}
	d, err := declaredByCreator(in.Fresh)
	if err != nil {
		return d, fmt.Errorf("fresh Pod: %w", err)
	}
	if d.known {
		return d, nil
	}
	if d, err = declaredByCreator(in.Live); err != nil {
		return d, fmt.Errorf("live Pod: %w", err)
	}
	return d, nil
}

func declaredByTemplate(template jsontree.Node) declared {
	d := declared{known: true, template: map[containerKey]jsontree.Node{}}
	for _, list := range containerLists {
		for item := range template.Get("spec", string(list)).Children() {
			if key := (containerKey{string(list), item.Get("name").String()}); !d.template[key].Exists() {
				d.template[key] = item
			}
		}
	}
	return d
}

// addedByCreator names the init containers of the live Pod that run to their end, that
// neither the template nor the fresh Pod has, and that the Pod's creator holds: admission
// has not injected them, and a controller would not create them again. Velero adds one to
// the Pods that it restores. Other containers of such a Pod are the creator's, too, who
// created it whole, and may well have been injected before it was saved.
func (c *comparison) addedByCreator(in Input) (containerSet, error) {
	there := containerSet{}
	for _, container := range c.fresh.Containers() {
		there[keyOf(container)] = true
	}
	var creators containerSet
	added := containerSet{}
	for _, container := range c.live.Containers() {
		key := keyOf(container)
		if !container.Init || there[key] || !c.liveHas[key] || container.Node.Get("restartPolicy").String() == "Always" {
			continue
		}
		if creators == nil {
			live, err := declaredByCreator(in.Live)
			if err != nil {
				return nil, fmt.Errorf("live Pod: %w", err)
			}
			creators = live.in(c.live)
		}
		if creators[key] && !slices.Contains(mergedOver, container.Name) {
			added[key] = true
		}
	}
	return added, nil
}

var containerLists = [][]byte{[]byte("initContainers"), []byte("containers")}

// declaredByCreator reads what the managedFields record as the fields of the Pod's
// creator.
func declaredByCreator(pod jsontree.Node) (declared, error) {
	managers, err := podspec.Managers(pod)
	if err != nil {
		return declared{}, err
	}
	creators := podspec.Created(managers)
	d := declared{
		known: len(creators) > 0, spec: podspec.Union(creators).Field([]byte("spec")),
		owned: map[containerKey]podspec.Fields{},
	}
	view := podspec.NewView(pod)
	d.eachOwned(view, func(c podspec.Container, held podspec.Fields) { d.owned[keyOf(c)] = held })
	return d, nil
}

// eachOwned visits a Pod's containers with what the creator holds of each, in its own
// list: gcsfuse's webhook replaces a container that the template declares by an init
// container of that name.
func (d declared) eachOwned(v *podspec.View, visit func(podspec.Container, podspec.Fields)) {
	for _, list := range containerLists {
		held := v.Lookup(d.spec.Field(list), list)
		for _, c := range v.Containers() {
			if bytes.Equal(c.Field, list) {
				visit(c, held.Member(c.Member))
			}
		}
		v.Release(held)
	}
}

// in returns the Pod's containers that are declared.
func (d declared) in(v *podspec.View) containerSet {
	there := containerSet{}
	if d.template == nil {
		d.eachOwned(v, func(c podspec.Container, held podspec.Fields) {
			if held.Has() {
				there[keyOf(c)] = true
			}
		})
		return there
	}
	for _, c := range v.Containers() {
		if key := keyOf(c); d.template[key].Exists() {
			there[key] = true
		}
	}
	return there
}

// mergedOver are the containers that remain Istio's where a template declares
// them to override parts of them.
var mergedOver = []string{"istio-proxy", "istio-init", "istio-validation"}

// injected returns the Pod's containers that are not declared, and those that the
// injector or the user names. Istio lists each container
// that one of its templates mentions, an app's too (the template grpc-agent, or
// one of the user's): a declared one is the app's, as in Istio's own
// ISTIO_META_APP_CONTAINERS, unless it has a name of Istio's.
func (d declared) injected(v *podspec.View, names []string) containerSet {
	listed, there := podspec.ListedByInjector(v.Pod()), d.in(v)
	injected := containerSet{}
	for _, c := range v.Containers() {
		key := keyOf(c)
		switch {
		case d.known && !there[key],
			listed.Containers[c.Name] && (!there[key] || slices.Contains(mergedOver, c.Name)),
			slices.Contains(names, c.Name):
			injected[key] = true
		}
	}
	return injected
}
