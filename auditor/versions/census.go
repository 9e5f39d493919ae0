package versions

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Most bounds the versions of a census: those of most Pods are kept.
const Most = 200

// mostOthers bounds what is said of what a version would become.
const mostOthers = 5

// Workload has Pods with one spec.
type Workload struct {
	Cluster, Namespace, Kind, Name string
}

// Running says that Pods of a workload run with a spec.
type Running struct {
	Spec Spec
	Pods int
	// Oldest and Youngest are when the first and the last of them was created; zero where
	// that is not known.
	Oldest, Youngest time.Time
}

// Version is a spec that runs somewhere.
type Version struct {
	ID string `json:"id"`
	// Injector that it is of; its container's name where the injector is not known.
	Injector string `json:"injector"`
	// Revision of the injector, as the Pods say; empty where they do not.
	Revision string  `json:"revision,omitempty"`
	Images   []Image `json:"images"`
	// Current says whether re-created Pods would get just this; null where nobody was asked.
	Current    *bool `json:"current"`
	Pods       int   `json:"pods"`
	Workloads  int   `json:"workloads"`
	Namespaces int   `json:"namespaces"`
	// OldestPod and YoungestPod are when the first and the last of its Pods was created; null
	// where that is not known.
	OldestPod   *time.Time `json:"oldestPod"`
	YoungestPod *time.Time `json:"youngestPod"`
	// Becomes says what re-created Pods would get in its place, of most Pods first.
	Becomes []Becoming `json:"becomes,omitempty"`
	// Newer is the newest version of the injector and its revision where nobody was asked
	// what Pods would get, and what it differs in; nil of the newest one.
	Newer *Becoming `json:"newer,omitempty"`
}

// Image is that of an injected container.
type Image struct {
	Container string `json:"container"`
	Image     string `json:"image"`
}

// Becoming is a version beside another one.
type Becoming struct {
	// ID of the other version; empty where nothing would be injected by that injector.
	ID   string `json:"id"`
	Pods int    `json:"pods,omitempty"`
	// Changes are what differs, with nothing of any workload's own.
	Changes []verdict.Change `json:"changes"`
}

// Census counts which specs run where. The zero Census is ready for use.
type Census struct {
	specs map[Spec]*count
}

type count struct {
	pods             int
	workloads        map[Workload]bool
	namespaces       map[[2]string]bool
	oldest, youngest time.Time
	asked            int          // Pods of which is known what they would get
	becomes          map[Spec]int // what that is instead, by Pods; the zero Spec: nothing
}

// Add takes in what runs of a workload, and what it would be given if it was re-created; asked
// says whether that is known.
func (c *Census) Add(w Workload, running []Running, fresh []Spec, asked bool) {
	if c.specs == nil {
		c.specs = map[Spec]*count{}
	}
	for _, r := range running {
		n := c.specs[r.Spec]
		if n == nil {
			n = &count{workloads: map[Workload]bool{}, namespaces: map[[2]string]bool{}, becomes: map[Spec]int{}}
			c.specs[r.Spec] = n
		}
		n.pods += r.Pods
		n.workloads[w] = true
		n.namespaces[[2]string{w.Cluster, w.Namespace}] = true
		if n.oldest.IsZero() || !r.Oldest.IsZero() && r.Oldest.Before(n.oldest) {
			n.oldest = r.Oldest
		}
		if r.Youngest.After(n.youngest) {
			n.youngest = r.Youngest
		}
		if asked {
			n.asked += r.Pods
			if to := successor(r.Spec, fresh); to != r.Spec {
				n.becomes[to] += r.Pods
			}
		}
	}
}

// successor is what of the fresh specs is of the same injector.
func successor(of Spec, fresh []Spec) Spec {
	for _, s := range fresh {
		if s.injector == of.injector {
			return s
		}
	}
	return Spec{}
}

// List is Versions without how many more there are.
func (c *Census) List() []Version {
	found, _ := c.Versions()
	return found
}

// Versions are the specs that run, those of an injector together, the newest first: the one
// whose last Pod was created last.
func (c *Census) Versions() (found []Version, left int) {
	specs := slices.SortedFunc(maps.Keys(c.specs), func(a, b Spec) int {
		return cmp.Or(cmp.Compare(c.specs[b].pods, c.specs[a].pods), strings.Compare(a.ID().String(), b.ID().String()))
	})
	if len(specs) > Most {
		left = len(specs) - Most
		specs = specs[:Most]
	}
	contents := make(map[Spec]content, len(specs))
	for _, s := range specs {
		contents[s] = s.content()
	}
	slices.SortStableFunc(specs, func(a, b Spec) int {
		x, y := contents[a], contents[b]
		return cmp.Or(strings.Compare(x.Injector, y.Injector), c.specs[b].youngest.Compare(c.specs[a].youngest), c.specs[b].oldest.Compare(c.specs[a].oldest))
	})
	newest := map[[2]string]Spec{}
	found = make([]Version, 0, len(specs))
	for _, s := range specs {
		n, of := c.specs[s], contents[s]
		v := Version{
			ID: s.ID().String(), Injector: of.Injector, Revision: of.Revision, Images: of.images(),
			Pods: n.pods, Workloads: len(n.workloads), Namespaces: len(n.namespaces),
			OldestPod: known(n.oldest), YoungestPod: known(n.youngest),
			Becomes: n.others(s),
		}
		line := [2]string{of.Injector, of.Revision}
		first, seen := newest[line]
		switch {
		case n.asked > 0:
			current := len(n.becomes) == 0
			v.Current = &current
		case seen:
			v.Newer = &Becoming{ID: first.ID().String(), Changes: Differences(s, first)}
		}
		if !seen {
			newest[line] = s
		}
		found = append(found, v)
	}
	return found, left
}

func (n *count) others(s Spec) []Becoming {
	others := slices.SortedFunc(maps.Keys(n.becomes), func(a, b Spec) int {
		return cmp.Or(cmp.Compare(n.becomes[b], n.becomes[a]), strings.Compare(a.ID().String(), b.ID().String()))
	})
	var all []Becoming
	for _, to := range others[:min(len(others), mostOthers)] {
		b := Becoming{Pods: n.becomes[to], Changes: []verdict.Change{}}
		if to != (Spec{}) {
			b.ID, b.Changes = to.ID().String(), Differences(s, to)
		}
		all = append(all, b)
	}
	return all
}

func known(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

// images are those of the containers.
func (c content) images() []Image {
	images := []Image{}
	for _, l := range c.Leaves {
		if l.Path != "image" {
			continue
		}
		var image string
		if json.Unmarshal(l.Value, &image) == nil {
			_, name, _ := strings.Cut(l.Part, "/")
			images = append(images, Image{name, image})
		}
	}
	return images
}
