package verdict

import (
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

	template jsontree.Node  // the zero Node if unknown; then
	owned    podspec.Fields // what the creator holds of the spec
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
	d := declared{known: true, names: map[string]bool{}, template: template}
	for _, field := range []string{"initContainers", "containers"} {
		for item := range template.Get("spec", field).Children() {
			d.names[item.Get("name").String()] = true
		}
	}
	return d
}

// declaredByCreator reads the containers whose items the managedFields record
// as those of the Pod's creator.
func declaredByCreator(pod jsontree.Node) (declared, error) {
	d := declared{names: map[string]bool{}}
	managers, err := podspec.Managers(pod)
	if err != nil {
		return d, err
	}
	creators := podspec.Created(managers)
	d.known = len(creators) > 0
	d.owned = podspec.Union(creators).Field([]byte("spec"))
	for _, c := range podspec.NewView(pod).Containers() {
		if d.owned.Field(c.Field).Item(c.Member).Has() {
			d.names[c.Name] = true
		}
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
