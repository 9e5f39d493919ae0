package verdict

import (
	"errors"
	"strings"
)

// PathPattern names changes to leave out: those at a path, and below it, of a
// part, or of every part.
type PathPattern struct {
	Part string // "*" for every part
	Path string // empty for the part as a whole
}

// ParsePathPattern reads PART:PATH, as in "container/istio-proxy:env[NONCE]",
// "*:env[NONCE].value", or "volumes" for a whole part.
func ParsePathPattern(text string) (PathPattern, error) {
	part, path, _ := strings.Cut(text, ":")
	kind, name, named := strings.Cut(part, "/")
	switch kind {
	case "container", "initContainer", "app":
		if !named || name == "" {
			return PathPattern{}, errors.New("name the container, as in " + kind + "/NAME:PATH")
		}
	case "*", "volumes", "order", "pod", metadataPart:
		if named {
			return PathPattern{}, errors.New("the part " + kind + " has no name")
		}
	default:
		return PathPattern{}, errors.New("give PART:PATH as the report names them, such as container/istio-proxy:env[NONCE].value; " +
			"parts are container/NAME, initContainer/NAME, app/NAME, pod, volumes, order, metadata, and * for all")
	}
	if part == "*" && path == "" {
		return PathPattern{}, errors.New("this would leave out everything: give a path, as in *:env[NONCE]")
	}
	return PathPattern{part, path}, nil
}

// String returns what ParsePathPattern reads.
func (p PathPattern) String() string {
	if p.Path == "" {
		return p.Part
	}
	return p.Part + ":" + p.Path
}

// matches reports whether the change is one to leave out.
func (p PathPattern) matches(c Change) bool {
	if p.Part != "*" && p.Part != c.Part {
		return false
	}
	below, ok := strings.CutPrefix(c.Path, p.Path)
	return ok && (p.Path == "" || below == "" || below[0] == '.' || below[0] == '[' || strings.HasPrefix(below, Inside))
}
