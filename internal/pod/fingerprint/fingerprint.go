// Package fingerprint records what admission injected into a Pod, from the Pod
// alone.
//
// The API server records which fields the creator set before mutating
// admission runs, and never attributes to anyone what admission added: the
// Pod's leaves without those that its creator owns are what was injected.
package fingerprint

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// Annotations that the stamper writes on every Pod.
const (
	StampAnnotation = "sidecar-drift.io/stamp"
	PartsAnnotation = "sidecar-drift.io/parts"
)

// Version is the algorithm's: stamps of different versions are never compared.
const Version = "v1:"

// None is the stamp of a Pod into which nothing was injected.
const None = Version + "none"

// metadataPart holds added labels and annotations. It is recorded, but no part
// of the stamp.
const metadataPart = "metadata"

// ownPrefix starts the names of our own annotations.
const ownPrefix = "sidecar-drift.io/"

// Fingerprint is what was injected into a Pod.
type Fingerprint struct {
	Stamp string // Version, then 64 hex digits or "none"
	Parts []Part // sorted by name
}

// Part is one injected part of a Pod: container/NAME, initContainer/NAME,
// volumes, order, app/NAME, pod or metadata.
type Part struct {
	Name string
	Hash string // the first 12 hex digits of its SHA-256
}

// Of returns the fingerprint of a Pod, as created or as stored. Containers of
// the given names, and those that an injector's status annotation lists, count
// as injected whole although the creator declares them. Of a Pod without
// managedFields only these are known to be injected.
func Of(pod jsontree.Node, names ...string) (Fingerprint, error) {
	if err := check(pod); err != nil {
		return Fingerprint{}, err
	}
	managers, err := podspec.Managers(pod)
	if err != nil {
		return Fingerprint{}, err
	}
	return injectedInto(pod, podspec.Union(managers), names), nil
}

// OfSubmitted is Of for a Pod of which it is known what its creator submitted, whatever
// its managedFields say.
func OfSubmitted(pod, submitted jsontree.Node, names ...string) (Fingerprint, error) {
	if err := cmp.Or(check(pod), check(submitted)); err != nil {
		return Fingerprint{}, err
	}
	owned, err := podspec.Submitted(submitted)
	if err != nil {
		return Fingerprint{}, err
	}
	return injectedInto(pod, owned, names), nil
}

func check(pod jsontree.Node) error {
	if kind := pod.Get("spec").Kind(); kind != jsontree.Object {
		return errors.New("the object has no spec: not a Pod")
	}
	return nil
}

func injectedInto(pod jsontree.Node, owned podspec.Fields, names []string) Fingerprint {
	w := writers.Get().(*writer)
	w.view.Reset(pod)
	w.listed, w.owned = podspec.ListedByInjector(pod), owned
	w.parts = make([]part, 0, 8)
	for _, name := range names {
		w.listed.Containers[name] = true
	}
	w.containers()
	w.volumes()
	w.podFields()
	w.metadata()
	f := w.sum()
	w.forget()
	return f
}

// PartsJSON returns the parts as a compact JSON object, name to hash.
func (f Fingerprint) PartsJSON() []byte {
	size := 2
	for _, p := range f.Parts {
		size += len(p.Name) + len(p.Hash) + len(`"":"",`)
	}
	dst := append(make([]byte, 0, size), '{')
	for i, p := range f.Parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(dst, p.Name)
		dst = appendQuoted(append(dst, ':'), p.Hash)
	}
	return append(dst, '}')
}

func appendQuoted(dst []byte, s string) []byte {
	quoted, err := jsontext.AppendQuote(dst, s)
	if err != nil { // invalid UTF-8, which the parser refuses
		return append(dst, `""`...)
	}
	return quoted
}

// writers keeps the memory of writers. It is not given back after a panic.
var writers = sync.Pool{New: func() any { return new(writer) }}

// keptForm is more than the canonical form of any ordinary sidecar.
const keptForm = 64 << 10

// writer collects the canonical forms of the injected parts.
type writer struct {
	view   podspec.View
	listed podspec.Listed
	owned  podspec.Fields
	parts  []part
	buf    []byte
}

type part struct {
	name string
	sum  [sha256.Size]byte
}

// forget gives the writer back, without what it knows of the Pod and without
// unusually much memory.
func (w *writer) forget() {
	w.view.Forget()
	w.listed, w.owned, w.parts = podspec.Listed{}, podspec.Fields{}, nil
	if cap(w.buf) > keptForm {
		w.buf = nil
	}
	writers.Put(w)
}

func (w *writer) add(name string, canonical []byte) {
	w.parts = append(w.parts, part{name, sha256.Sum256(canonical)})
}

func (w *writer) containers() {
	spec := w.owned.Field([]byte("spec"))
	lookup := [2]podspec.Lookup{}
	for i, list := range [2][]byte{[]byte("containers"), []byte("initContainers")} {
		lookup[i] = w.view.Lookup(spec.Field(list), list)
	}
	added := false
	for _, c := range w.view.Containers() {
		owned := lookup[0].Member(c.Member)
		if c.Init {
			owned = lookup[1].Member(c.Member)
		}
		if w.listed.Containers[c.Name] || !w.owned.Empty() && !owned.Has() {
			w.buf = w.view.AppendCanonical(w.buf[:0], c.Member)
			w.add(c.Part(), w.buf)
			added = true
			continue
		}
		if w.owned.Empty() {
			continue
		}
		w.view.Ignore(w.view.LimitRanger(c.Name))
		var some bool
		if w.buf, some = w.view.AppendInjected(w.buf[:0], c.Member, owned); some {
			w.add("app/"+c.Name, w.buf)
		}
		w.view.Ignore(nil)
	}
	if added {
		w.order()
	}
}

func (w *writer) order() {
	w.buf = w.buf[:0]
	for _, c := range w.view.Containers() {
		w.buf = append(append(w.buf, c.Part()...), 0)
	}
	w.add("order", w.buf)
}

func (w *writer) volumes() {
	volumes := w.view.Volumes()
	if !volumes.Node.Exists() {
		return
	}
	if w.owned.Empty() {
		w.listedVolumes(volumes)
		return
	}
	owned := w.owned.Field([]byte("spec")).Field(volumes.Field)
	var some bool
	w.buf, some = w.view.AppendInjected(w.buf[:0], volumes, owned)
	if some {
		w.add("volumes", w.buf)
	}
}

func (w *writer) listedVolumes(volumes podspec.Member) {
	members, _ := w.view.Members(nil, volumes)
	w.buf = w.buf[:0]
	for _, m := range members {
		if w.listed.Volumes[string(m.Key)] {
			w.buf = w.view.AppendCanonical(append(w.buf, m.Key...), m)
		}
	}
	if len(w.buf) > 0 {
		w.add("volumes", w.buf)
	}
}

func (w *writer) podFields() {
	if w.owned.Empty() {
		return
	}
	spec := w.view.Lookup(w.owned.Field([]byte("spec")), nil)
	w.buf = w.buf[:0]
	for _, m := range w.view.PodFields() {
		if m.Default {
			continue
		}
		mark := len(w.buf)
		w.buf = append(append(w.buf, m.Key...), 0)
		var some bool
		if w.buf, some = w.view.AppendInjected(w.buf, m, spec.Field(m.Key)); !some {
			w.buf = w.buf[:mark]
		}
	}
	if len(w.buf) > 0 {
		w.add("pod", w.buf)
	}
}

func (w *writer) metadata() {
	if w.owned.Empty() {
		return
	}
	metadata := w.owned.Field([]byte("metadata"))
	w.buf = w.buf[:0]
	for _, field := range []string{"annotations", "labels"} {
		owned := w.view.Lookup(metadata.Field([]byte(field)), nil)
		var added []jsontree.Node
		for entry := range w.view.Pod().Get("metadata", field).Children() {
			name := entry.Name()
			if !bytes.HasPrefix(name, []byte(ownPrefix)) && !owned.Field(name).Has() {
				added = append(added, entry)
			}
		}
		slices.SortFunc(added, func(a, b jsontree.Node) int { return bytes.Compare(a.Name(), b.Name()) })
		for _, entry := range added {
			for _, text := range [][]byte{[]byte(field), entry.Name(), entry.Text()} {
				w.buf = append(binary.AppendUvarint(w.buf, uint64(len(text))), text...)
			}
		}
	}
	if len(w.buf) > 0 {
		w.add(metadataPart, w.buf)
	}
}

// sum sorts the parts and hashes them into the stamp.
func (w *writer) sum() Fingerprint {
	slices.SortFunc(w.parts, func(a, b part) int { return strings.Compare(a.name, b.name) })
	f := Fingerprint{Stamp: None, Parts: make([]Part, 0, len(w.parts))}
	w.buf = w.buf[:0]
	for _, p := range w.parts {
		var digits [12]byte
		hex.Encode(digits[:], p.sum[:6])
		f.Parts = append(f.Parts, Part{Name: p.name, Hash: string(digits[:])})
		if p.name != metadataPart {
			w.buf = append(append(w.buf, p.name...), 0)
			w.buf = append(w.buf, p.sum[:]...)
		}
	}
	if len(w.buf) > 0 {
		stamp := sha256.Sum256(w.buf)
		f.Stamp = string(hex.AppendEncode([]byte(Version), stamp[:]))
	}
	return f
}
