package versions

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unique"

	"github.com/sidecar-drift/sidecar-drift/internal/injectors"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// ID names a version by its content: it is the same tomorrow, and in another cluster.
type ID [6]byte

// String is twelve hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Spec is the containers that one injector put into a Pod, without what it took from the Pod
// itself. Specs may be compared; equal ones share their memory.
type Spec struct {
	id       ID
	injector string
	text     unique.Handle[string] // a content as JSON
}

// content is what a Spec says.
type content struct {
	Injector string `json:"injector"`
	Revision string `json:"revision,omitempty"`
	Leaves   []leaf `json:"leaves"`
}

// leaf is one value of an injected container.
type leaf struct {
	Part  string          `json:"part"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
}

// MaxSpecs bounds the specs of one Pod.
const MaxSpecs = 16

// maxText bounds a spec: of a larger one no more than its digest is kept, as one leaf. The
// largest of known injectors have some 20 KiB; a tenant's annotations may hold more than ten
// times that, and be another in each Pod.
const maxText = 64 << 10

// Of returns the specs in a Pod, one for each injector, sorted by its name. Injected are the
// containers that its stamp would cover, and those of the given names. The error is that of a
// document which is no Pod's.
func Of(pod jsontree.Node, names ...string) ([]Spec, error) {
	stamped, err := fingerprint.Of(pod, names...)
	if err != nil {
		return nil, err
	}
	injected := map[string]bool{}
	for _, part := range stamped.Parts {
		if kind, name, ok := strings.Cut(part.Name, "/"); ok && (kind == "container" || kind == "initContainer") {
			injected[name] = true
		}
	}
	return of(pod, func(name string) bool { return injected[name] })
}

// OfSidecars is Of where it is known which containers are injected, and no others are.
func OfSidecars(pod jsontree.Node, sidecars []string) ([]Spec, error) {
	return of(pod, func(name string) bool { return slices.Contains(sidecars, name) })
}

func of(pod jsontree.Node, injected func(name string) bool) ([]Spec, error) {
	var spec struct {
		InitContainers, Containers []map[string]any
	}
	decoder := json.NewDecoder(bytes.NewReader(podspec.NewView(pod).AppendNamed(nil)))
	decoder.UseNumber()
	if err := decoder.Decode(&spec); err != nil {
		return nil, fmt.Errorf("read the Pod's spec: %w", err)
	}
	own := ownOf(pod, slices.Concat(spec.InitContainers, spec.Containers), injected)
	byInjector := map[string]*content{}
	for _, list := range []struct {
		kind       string
		containers []map[string]any
	}{{"container/", spec.Containers}, {"initContainer/", spec.InitContainers}} {
		for _, container := range list.containers {
			name, _ := container["name"].(string)
			if !injected(name) {
				continue
			}
			injector := injectors.Of(name)
			c := byInjector[injector]
			if c == nil {
				c = &content{Injector: injector, Revision: revision(pod, injector)}
				byInjector[injector] = c
			}
			delete(container, "name")
			c.Leaves = own.appendLeaves(c.Leaves, list.kind+name, "", container)
		}
	}
	var specs []Spec
	for _, injector := range slices.Sorted(maps.Keys(byInjector)) {
		if len(specs) == MaxSpecs {
			break
		}
		s, err := newSpec(*byInjector[injector])
		if err != nil {
			return nil, err
		}
		specs = append(specs, s)
	}
	return specs, nil
}

func newSpec(c content) (Spec, error) {
	slices.SortFunc(c.Leaves, func(a, b leaf) int {
		return strings.Compare(a.Part+"\x00"+a.Path, b.Part+"\x00"+b.Path)
	})
	text, err := json.Marshal(c)
	if err != nil {
		return Spec{}, fmt.Errorf("write a spec: %w", err)
	}
	sum := sha256.Sum256(text)
	if len(text) > maxText {
		c.Leaves = []leaf{{Path: "sha256", Value: json.RawMessage(fmt.Sprintf("%q", hex.EncodeToString(sum[:])))}}
		if text, err = json.Marshal(c); err != nil {
			return Spec{}, fmt.Errorf("write a spec: %w", err)
		}
	}
	return Spec{ID(sum[:len(ID{})]), c.Injector, unique.Make(string(text))}, nil
}

// revision is that of the injector which a Pod says it has been given; empty where nothing
// says it.
func revision(pod jsontree.Node, injector string) string {
	annotations := pod.Get("metadata", "annotations")
	switch injector {
	case "istio":
		if revision := annotations.Get("istio.io/rev"); revision.Exists() {
			return bounded(revision.String())
		}
		var status struct{ Revision string }
		if json.Unmarshal(annotations.Get("sidecar.istio.io/status").Text(), &status) == nil {
			return bounded(status.Revision)
		}
	case "linkerd":
		return bounded(annotations.Get("linkerd.io/proxy-version").String())
	}
	return ""
}

// maxRevision is the longest that a label's value may be.
const maxRevision = 63

func bounded(text string) string {
	if len(text) > maxRevision {
		return ""
	}
	return text
}

// ID of the spec.
func (s Spec) ID() ID { return s.id }

func (s Spec) content() content {
	var c content
	if err := json.Unmarshal([]byte(s.text.Value()), &c); err != nil {
		panic(err) // newSpec wrote it
	}
	return c
}
