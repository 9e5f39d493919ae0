package verdict

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/podspec"
)

// declared are the containers that a Pod's template, or its creator, declares:
// all others were injected.
type declared struct {
	known bool // false: nothing says who declared what
	names map[string]bool

	template map[containerKey]jsontree.Node  // nil if unknown; then
	owned    map[containerKey]podspec.Fields // what the creator holds of each
}

// containerKey is a container in a Pod of anybody's making, which may have thousands.
type containerKey struct{ list, name string }

func keyOf(c podspec.Container) containerKey { return containerKey{string(c.Field), c.Name} }

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
	d := declared{known: true, names: map[string]bool{}, template: map[containerKey]jsontree.Node{}}
	for _, field := range []string{"initContainers", "containers"} {
		for item := range template.Get("spec", field).Children() {
			name := item.Get("name").String()
			d.names[name] = true
			if key := (containerKey{field, name}); !d.template[key].Exists() {
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
func (c *comparison) addedByCreator(in Input) (map[string]bool, error) {
	there := map[string]bool{}
	for _, container := range c.fresh.Containers() {
		there[container.Name] = true
	}
	var creators *declared
	added := map[string]bool{}
	for _, container := range c.live.Containers() {
		if !container.Init || there[container.Name] || c.declared.names[container.Name] || container.Node.Get("restartPolicy").String() == "Always" {
			continue
		}
		if creators == nil {
			live, err := declaredByCreator(in.Live)
			if err != nil {
				return nil, fmt.Errorf("live Pod: %w", err)
			}
			creators = &live
		}
		if creators.names[container.Name] && !slices.Contains(mergedOver, container.Name) {
			added[container.Name] = true
		}
	}
	return added, nil
}

var containerLists = [][]byte{[]byte("initContainers"), []byte("containers")}

// declaredByCreator reads the containers whose items the managedFields record
// as those of the Pod's creator.
func declaredByCreator(pod jsontree.Node) (declared, error) {
	d := declared{names: map[string]bool{}, owned: map[containerKey]podspec.Fields{}}
	managers, err := podspec.Managers(pod)
	if err != nil {
		return d, err
	}
	creators := podspec.Created(managers)
	d.known = len(creators) > 0
	spec, view := podspec.Union(creators).Field([]byte("spec")), podspec.NewView(pod)
	for _, list := range containerLists {
		held := view.Lookup(spec.Field(list), list)
		for _, c := range view.Containers() {
			if !bytes.Equal(c.Field, list) {
				continue
			}
			below := held.Member(c.Member)
			d.owned[keyOf(c)] = below
			if below.Has() {
				d.names[c.Name] = true
			}
		}
		view.Release(held)
	}
	return d, nil
}

// mergedOver are the containers that remain Istio's where a template declares
// them to override parts of them.
var mergedOver = []string{"istio-proxy", "istio-init", "istio-validation"}

// injected returns the names of the Pod's containers that are not declared,
// and of those that the injector or the user names. Istio lists each container
// that one of its templates mentions, an app's too (the template grpc-agent, or
// one of the user's): a declared one is the app's, as in Istio's own
// ISTIO_META_APP_CONTAINERS, unless it has a name of Istio's.
func (d declared) injected(v *podspec.View, names []string) map[string]bool {
	listed := podspec.ListedByInjector(v.Pod())
	injected := map[string]bool{}
	for _, c := range v.Containers() {
		switch {
		case d.known && !d.names[c.Name],
			listed.Containers[c.Name] && (!d.names[c.Name] || slices.Contains(mergedOver, c.Name)),
			slices.Contains(names, c.Name):
			injected[c.Name] = true
		}
	}
	return injected
}
