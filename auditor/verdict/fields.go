package verdict

import (
	"iter"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

func (c *comparison) podFields() {
	for name, pair := range pairs(c.live.PodFields(), c.fresh.PodFields()) {
		c.podField(name, pair)
	}
}

// podField compares a field of the spec.
func (c *comparison) podField(name string, pair pair) {
	for n, d := range podspec.Diff(c.live, c.fresh, pair.live, pair.fresh, c.edits.Field([]byte(name))) {
		d.Path = join(name, d.Path)
		if name == "resources" && n < maxPodAmounts && c.derivedAmount(d.Path, d.A, d.B) {
			continue
		}
		if !d.Held || !editablePodField(name) {
			c.add("pod", d)
		}
	}
}

// pair is a field of both Pods; one may not have it.
type pair struct{ live, fresh podspec.Member }

// pairs yields the fields of two Pods, which are sorted, by their names; not those that
// one has as the API's default and the other does not have.
func pairs(live, fresh []podspec.Member) iter.Seq2[string, pair] {
	return func(yield func(string, pair) bool) {
		for len(live) > 0 || len(fresh) > 0 {
			var p pair
			var name string
			switch {
			case len(fresh) == 0 || len(live) > 0 && string(live[0].Key) < string(fresh[0].Key):
				p.live, live = live[0], live[1:]
				name = string(p.live.Key)
			case len(live) == 0 || string(fresh[0].Key) < string(live[0].Key):
				p.fresh, fresh = fresh[0], fresh[1:]
				name = string(p.fresh.Key)
			default:
				p = pair{live[0], fresh[0]}
				live, fresh = live[1:], fresh[1:]
				name = string(p.live.Key)
			}
			if p.live.Default && !p.fresh.Node.Exists() || p.fresh.Default && !p.live.Node.Exists() {
				continue
			}
			if !yield(name, p) {
				return
			}
		}
	}
}

// editablePodField is editable for fields of the Pod's spec; affinity changes
// while scheduling gates hold the Pod.
func editablePodField(name string) bool {
	switch name {
	case "activeDeadlineSeconds", "terminationGracePeriodSeconds", "resources", "affinity":
		return true
	}
	return false
}

func join(field, path string) string {
	if path == "" || strings.HasPrefix(path, "[") {
		return field + path
	}
	return field + "." + path
}
