package verdict

import (
	"fmt"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// state decides by what was found. Containers come first: what else admission gives
// tells only where neither Pod has an injected one. The app's own images are the
// app's: what differs there alone is no drift of a sidecar.
func (c *comparison) state() State {
	unstable := countUnstable(c.changes)
	differs := len(c.changes) - unstable - c.ofImage
	switch {
	case !c.injects() && len(c.changes) > 0:
		return Mutated
	case !c.injects():
		return NotInjected
	case differs == 0 && unstable > 0:
		return Unstable
	case differs == 0 && c.ofImage == 0 && c.ignored > 0: // also where one has none, and just that is left out
		return InSync
	case len(c.liveHas) == 0 && !c.liveGiven:
		return Missing
	case len(c.newHas) == 0 && !c.newGiven:
		return Orphaned
	case differs == 0 && c.ofImage > 0:
		return Mutated
	case differs == 0:
		return InSync
	case c.edited == differs:
		return Modified
	}
	return Drifted
}

// injects reports whether admission has injected anything into either Pod.
func (c *comparison) injects() bool { return len(c.sidecars) > 0 || c.liveGiven || c.newGiven }

// ofImage reports whether an app container's difference is its image, or the pull policy
// that the API server derives from the tags of both images.
func ofImage(live, fresh podspec.Container, path string) bool {
	return path == "image" || path == "imagePullPolicy" && podspec.PullPolicyFollows(live.Node) && podspec.PullPolicyFollows(fresh.Node)
}

// Unchanged is the verdict on a Pod that is as the fresh one is.
func Unchanged(fresh, template jsontree.Node, names []string) (Verdict, error) {
	if err := checkPod("Pod", fresh); err != nil {
		return Verdict{}, err
	}
	in := Input{Live: fresh, Fresh: fresh, Template: template}
	declared, err := in.declared()
	if err != nil {
		return Verdict{}, err
	}
	v, view := Verdict{State: NotInjected, Changes: []Change{}}, podspec.NewView(fresh)
	v.Sidecars = declared.injected(view, names).names()
	if len(v.Sidecars) == 0 {
		given, err := in.givenItems(declared)
		if err != nil {
			return Verdict{}, fmt.Errorf("fresh Pod: %w", err)
		}
		v.Injected = given.in(view, nil)
	}
	if len(v.Sidecars) > 0 || v.Injected {
		v.State = InSync
	}
	return v, nil
}
