package verdict

import (
	"slices"
	"strings"
)

// loses names the injected containers that a re-creation would take away. An init
// container that runs to its end has done its work; while others of its injector stay
// it is no loss that it goes, as where Istio moves to its CNI plugin.
func (c *comparison) loses() []string {
	names, stay := []string{}, map[string]bool{}
	for key := range c.newHas {
		stay[key.name] = true
	}
	for _, name := range c.liveHas.names() {
		if !stay[name] && (!c.runsToItsEnd(name) || !c.hasSibling(name)) {
			names = append(names, name)
		}
	}
	return BoundNames(names)
}

// runsToItsEnd reports whether a container of the live Pod is an init container that
// is no sidecar.
func (c *comparison) runsToItsEnd(name string) bool {
	for _, container := range c.live.Containers() {
		if container.Name == name {
			return string(container.Field) == "initContainers" && container.Node.Get("restartPolicy").String() != "Always"
		}
	}
	return false
}

// hasSibling reports whether the fresh Pod has an injected container whose name
// begins with the same word: those of one injector do (istio-init and istio-proxy,
// linkerd-init and linkerd-proxy), and nothing else tells whose a container is.
func (c *comparison) hasSibling(name string) bool {
	word, _, _ := strings.Cut(name, "-")
	for other := range c.newHas {
		if first, _, _ := strings.Cut(other.name, "-"); first == word {
			return true
		}
	}
	return false
}

// TakesAway reports whether a re-creation would add nothing and change nothing, but
// take away what an injector gave: containers, variables, mounts, volumes, ports,
// annotations, or where and by whose right the Pod runs. So it looks where an injector is down that fails open. Init containers that have done
// their work, which are not among loses, are left out.
func TakesAway(changes []Change, loses []string) bool {
	takes := false
	for _, c := range Stable(changes) {
		name, isInit := strings.CutPrefix(c.Part, "initContainer/")
		switch {
		case c.To != nil || c.From == nil, strings.Contains(c.Path, Inside):
			return false
		case isInit && c.Path == "" && !slices.Contains(loses, name):
		case c.Path == "", c.Part == "volumes", c.BesidesSpec(), isGiven(c.Path):
			takes = true
		}
	}
	return takes
}

// isGiven reports whether a container's path is an item that injectors add.
func isGiven(path string) bool {
	field, _, isItem := strings.Cut(path, "[")
	return slices.Contains(givenLists, field) && (isItem || path == field)
}
