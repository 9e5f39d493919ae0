// Package class tells which Pods admission probably treats alike.
//
// Injectors look at a namespace's labels, at labels and annotations of their own
// domain, and at the shape of the Pod. Of workloads that agree in all of that, one
// tells whether something changed for all. Nothing proves it: an injector may look
// at anything. A class is a guess about where to look first, and no verdict.
package class

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
)

// ID tells classes apart.
type ID [16]byte

// Subject is a Pod that admission is asked about.
type Subject struct {
	// Steps are the webhooks and policies that are asked about the Pod.
	Steps []string
	// NamespaceLabels are those of the Pod's namespace.
	NamespaceLabels map[string]string
	// Pod is what is submitted.
	Pod jsontree.Node
	// Names are the workload's own: where a value holds one, it may hold any.
	Names []string
}

// Of returns the subject's class.
func Of(s Subject) ID {
	f := form{own: ownNames(s.Names)}
	for _, step := range s.Steps {
		f.text("step", step)
	}
	f.values("namespace", s.NamespaceLabels)
	metadata := s.Pod.Get("metadata")
	f.values("label", texts(metadata.Get("labels")))
	f.values("annotation", texts(metadata.Get("annotations")))
	for owner := range metadata.Get("ownerReferences").Children() {
		f.text("owner", owner.Get("kind").String())
	}
	f.shape("spec", s.Pod.Get("spec"))
	sum := sha256.Sum256(f.bytes)
	return ID(sum[:16])
}

// Moved returns the class of those of a class that changed when others of it did
// not, for the so-manieth time.
func (id ID) Moved(time int) ID {
	sum := sha256.Sum256(strconv.AppendInt(id[:], int64(time), 10))
	return ID(sum[:16])
}

func texts(object jsontree.Node) map[string]string {
	m := map[string]string{}
	for member := range object.Children() {
		m[string(member.Name())] = member.String()
	}
	return m
}

// own stands for a workload's own name in a value.
const own = "\x00"

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

// form is what a class is told by, as bytes.
type form struct {
	bytes []byte
	own   *strings.Replacer
}

func (f *form) text(parts ...string) {
	for _, part := range parts {
		f.bytes = strconv.AppendQuote(f.bytes, part)
	}
	f.bytes = append(f.bytes, '\n')
}

// values takes labels or annotations down that an injector may look at.
func (f *form) values(what string, of map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(of)) {
		if injectors(key) {
			f.text(what, key, f.own.Replace(of[key]))
		}
	}
}

// deployers are domains whose labels and annotations are for those that deploy,
// schedule or sort. Where a selector of a webhook looks at them nevertheless,
// Steps tell.
var deployers = []string{"kubernetes.io", "k8s.io", "helm.sh", "argoproj.io", "fluxcd.io", "sidecar-drift.io"}

// injectors reports whether a label or annotation may be for an injector: it has
// the domain of somebody else than deployers.
func injectors(key string) bool {
	domain, _, prefixed := strings.Cut(key, "/")
	if !prefixed || !strings.Contains(domain, ".") {
		return false
	}
	return !slices.ContainsFunc(deployers, func(d string) bool {
		return domain == d || strings.HasSuffix(domain, "."+d)
	})
}

// opaque are fields of which it counts that they are there: what they hold is the
// application's own.
var opaque = map[string]bool{
	"args": true, "command": true, "env": true, "envFrom": true, "volumeMounts": true, "items": true,
	"affinity": true, "nodeSelector": true, "tolerations": true, "topologySpreadConstraints": true, "imagePullSecrets": true,
	"matchLabels": true, "labels": true, "annotations": true,
}

// literal are fields whose text counts: those that say how something is done.
var literal = map[string]bool{
	"protocol": true, "scheme": true, "restartPolicy": true, "dnsPolicy": true, "imagePullPolicy": true, "type": true,
}

// shape takes a value down by the names of its fields, its numbers and booleans.
func (f *form) shape(name string, value jsontree.Node) {
	f.bytes = append(append(f.bytes, name...), ':')
	switch kind := value.Kind(); {
	case opaque[name]:
		f.bytes = append(f.bytes, '*')
	case kind == jsontree.Object:
		f.object(value)
	case kind == jsontree.Array:
		f.list(name, value)
	case kind != jsontree.String:
		f.bytes = append(f.bytes, value.Raw()...)
	case literal[name] || name == "image" && value.String() == auto:
		f.bytes = append(f.bytes, value.Raw()...)
	default:
		f.bytes = append(f.bytes, 's')
	}
	f.bytes = append(f.bytes, ',')
}

// auto is the image of a container that is left to the injector.
// https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/#customizing-injection
const auto = "auto"

func (f *form) object(value jsontree.Node) {
	members := slices.Collect(value.Children())
	slices.SortFunc(members, func(a, b jsontree.Node) int { return strings.Compare(string(a.Name()), string(b.Name())) })
	f.bytes = append(f.bytes, '{')
	for _, member := range members {
		f.shape(string(member.Name()), member)
	}
	f.bytes = append(f.bytes, '}')
}

// list takes items down one by one; containers with their names, by which
// injectors find their own.
func (f *form) list(name string, value jsontree.Node) {
	f.bytes = append(f.bytes, '[')
	for item := range value.Children() {
		if name == "containers" || name == "initContainers" {
			f.text("name", f.own.Replace(item.Get("name").String()))
		}
		f.shape("", item)
	}
	f.bytes = append(f.bytes, ']')
}
