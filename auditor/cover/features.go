package cover

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Feature is something that a revision has and others may have, too: a value at a
// place, both hashed.
type Feature struct{ Place, Value uint64 }

// Subject is a Pod that admission is asked about, and what it answered.
type Subject struct {
	// Steps are the webhooks and policies that are asked about the Pod.
	Steps []string
	// NamespaceLabels and NamespaceAnnotations are those of the Pod's namespace.
	NamespaceLabels, NamespaceAnnotations map[string]string
	// Kind is the workload's, which is not always that of the Pod's owner: an injector may
	// look for who controls that, as Linkerd's does. How many replicas it has, none sees
	// that is asked about a Pod.
	Kind string
	// Pod is what is submitted, Answer what would be stored; the zero Node if admission
	// refuses it.
	Pod, Answer jsontree.Node
	// Names are the workload's own: where a value holds one, it may hold any.
	Names []string
}

// FeaturesOf returns the subject's features, each once.
func FeaturesOf(s Subject) []Feature {
	f := finder{own: ownNames(s.Names), ports: ownPorts(s.Pod.Get("spec"))}
	for _, step := range s.Steps {
		f.add("", "step", step)
	}
	f.injectors("namespace label", s.NamespaceLabels)
	f.injectors("namespace annotation", s.NamespaceAnnotations)
	metadata := s.Pod.Get("metadata")
	f.injectors("label", texts(metadata.Get("labels")))
	f.injectors("annotation", texts(metadata.Get("annotations")))
	for owner := range metadata.Get("ownerReferences").Children() {
		f.add(owner.Get("kind").String(), "owner")
	}
	f.add(s.Kind, "workload")
	f.traits(s.Pod.Get("spec"))
	f.answer(s.Answer.Get("spec"), s.Pod.Get("spec"))
	slices.SortFunc(f.found, compareFeatures)
	return slices.Compact(f.found)
}

func compareFeatures(a, b Feature) int {
	switch {
	case a.Place != b.Place && a.Place < b.Place, a.Place == b.Place && a.Value < b.Value:
		return -1
	case a == b:
		return 0
	}
	return 1
}

// finder collects features.
type finder struct {
	own   *strings.Replacer
	ports map[string]bool
	form  []byte
	path  []byte
	found []Feature
}

// add takes a value down that the place, given in parts, has.
func (f *finder) add(value string, place ...string) {
	f.form = f.form[:0]
	for _, part := range place {
		f.form = strconv.AppendQuote(f.form, part)
	}
	at := hash(f.form)
	f.found = append(f.found, Feature{at, hash(append(f.form[:0], value...))})
}

func hash(form []byte) uint64 {
	sum := sha256.Sum256(form)
	return binary.LittleEndian.Uint64(sum[:])
}

// injectors takes labels or annotations down that an injector may look at.
func (f *finder) injectors(what string, of map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(of)) {
		if ForInjectors(key) {
			f.add("", what, key, "is there")
			f.add(f.abstract(of[key]), what, key)
		}
	}
}

// deployers are domains whose labels and annotations are for those that deploy,
// schedule or sort. Where a selector of a webhook looks at them nevertheless,
// Steps tell.
var deployers = []string{"kubernetes.io", "k8s.io", "helm.sh", "argoproj.io", "fluxcd.io", "sidecar-drift.io"}

// ForInjectors reports whether a label or annotation may be for an injector: it has
// the domain of somebody else than deployers.
func ForInjectors(key string) bool {
	domain, _, prefixed := strings.Cut(key, "/")
	return prefixed && strings.Contains(domain, ".") && !OfDeployers(key)
}

// OfDeployers reports whether a label or annotation has a domain of theirs.
func OfDeployers(key string) bool {
	domain, _, prefixed := strings.Cut(key, "/")
	return prefixed && slices.ContainsFunc(deployers, func(d string) bool {
		return domain == d || strings.HasSuffix(domain, "."+d)
	})
}

func texts(object jsontree.Node) map[string]string {
	m := map[string]string{}
	for member := range object.Children() {
		m[string(member.Name())] = member.String()
	}
	return m
}

// own stands for a workload's own name in a value, and ownPort for a port of its own.
const (
	own     = "\x00"
	ownPort = "\x01"
)

// ownNames replaces the names, the longest first: a ReplicaSet's name begins with
// its Deployment's.
func ownNames(names []string) *strings.Replacer {
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" })
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, name := range names {
		pairs = append(pairs, name, own)
	}
	return strings.NewReplacer(pairs...)
}

// ownPorts are the numbers of the ports that containers serve.
func ownPorts(spec jsontree.Node) map[string]bool {
	ports := map[string]bool{}
	for _, list := range containerLists {
		for c := range spec.Get(list).Children() {
			for p := range c.Get("ports").Children() {
				ports[p.Get("containerPort").String()] = true
			}
			for _, probe := range probes {
				for handler := range c.Get(probe).Children() {
					ports[handler.Get("port").String()] = true
				}
			}
		}
	}
	delete(ports, "")
	return ports
}

// abstract takes what is the workload's own out of a value.
func (f *finder) abstract(value string) string {
	value = f.own.Replace(value)
	if len(f.ports) == 0 || !strings.ContainsAny(value, "0123456789") {
		return value
	}
	var b strings.Builder
	for at := 0; at < len(value); {
		end := at
		for end < len(value) && '0' <= value[end] && value[end] <= '9' {
			end++
		}
		switch {
		case end == at:
			b.WriteByte(value[at])
			at++
		case f.ports[value[at:end]]:
			b.WriteString(ownPort)
			at = end
		default:
			b.WriteString(value[at:end])
			at = end
		}
	}
	return b.String()
}
