package verdict

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// metadataPart is the part of labels and annotations.
const metadataPart = "metadata"

const (
	// maxMetadata is how many labels and annotations that do not count a verdict has, and
	// maxMetadataSize how many bytes they take: nearly every injector writes some.
	maxMetadata     = 20
	maxMetadataSize = 4 << 10
	// maxMetadataText is the number of bytes up to which such a value is kept. Of a longer
	// one there is a digest: half a status or half a manifest tells nothing.
	maxMetadataText = 128
)

// MetadataOf returns the labels and annotations by which two Pods differ and that do not
// count: those that admission added. Injectors keep hashes, times and statuses there. They
// are bounded; more is how many are left out. Nothing is known where managedFields cannot be
// read.
func MetadataOf(in Input) (changes []Change, more int) {
	c := &comparison{live: podspec.NewView(in.Live), fresh: podspec.NewView(in.Fresh), annotations: in.Annotations}
	if err := c.metadata(in); err != nil {
		return nil, 0
	}
	return c.notCounted()
}

func (c *comparison) notCounted() ([]Change, int) {
	slices.SortFunc(c.beside, CompareChanges)
	return BoundMetadata(c.beside)
}

// BoundMetadata returns as many changes of metadata that does not count as may be kept of
// one revision, and how many it leaves out.
func BoundMetadata(changes []Change) (kept []Change, left int) {
	n, size := 0, 0
	for n < min(len(changes), maxMetadata) {
		if size += SizeOf(changes[n : n+1]); size > maxMetadataSize {
			break
		}
		n++
	}
	return changes[:n:n], len(changes) - n
}

// holders say who holds the labels and annotations of either Pod.
type holders struct {
	known              bool // both Pods have managedFields
	live, fresh, later podspec.Fields
}

func holdersOf(live, fresh jsontree.Node) (holders, error) {
	ofLive, err := podspec.MetadataManagers(live)
	if err != nil {
		return holders{}, fmt.Errorf("live Pod: %w", err)
	}
	ofFresh, err := podspec.MetadataManagers(fresh)
	if err != nil {
		return holders{}, fmt.Errorf("fresh Pod: %w", err)
	}
	of := func(managers []podspec.Manager) podspec.Fields {
		return podspec.Union(managers).Field([]byte("metadata"))
	}
	return holders{
		known: len(ofLive) > 0 && len(ofFresh) > 0,
		live:  of(ofLive), fresh: of(ofFresh), later: of(podspec.Later(ofLive)),
	}, nil
}

// topologyLabels begin those that the plugin PodTopologyLabels gives to a Pod once its node is
// known, the second ones in 1.33 (plugin/pkg/admission/podtopologylabels).
var topologyLabels = []string{"topology.kubernetes.io/", "topology.k8s.io/"}

// entries compares labels, or annotations, by their keys.
type entries struct {
	*comparison
	list               string
	known              bool
	live, fresh, later podspec.Lookup // who holds them
	template           map[string]bool
}

// metadata compares labels and annotations. What admission adds has no owner in
// managedFields, which record the fields of a Pod's creator as they were before admission
// (https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management);
// what a controller, a CNI plugin or a person wrote later has one. An annotation that
// configures also counts where admission rewrote what the creator had written.
func (c *comparison) metadata(in Input) error {
	held, err := holdersOf(in.Live, in.Fresh)
	if err != nil {
		return err
	}
	for _, list := range []string{"annotations", "labels"} {
		of := func(f podspec.Fields) podspec.Lookup { return c.live.Lookup(f.Field([]byte(list)), nil) }
		e := entries{comparison: c, list: list, known: held.known, live: of(held.live), fresh: of(held.fresh), later: of(held.later), template: map[string]bool{}}
		for entry := range in.Template.Get("metadata", list).Children() {
			e.template[string(entry.Name())] = true
		}
		e.compare(in.Live.Get("metadata", list), in.Fresh.Get("metadata", list))
		for _, l := range []podspec.Lookup{e.later, e.fresh, e.live} {
			c.live.Release(l)
		}
	}
	return nil
}

func (e entries) compare(live, fresh jsontree.Node) {
	others := map[string]jsontree.Node{}
	for entry := range fresh.Children() {
		others[string(entry.Name())] = entry
	}
	for entry := range live.Children() {
		key := string(entry.Name())
		other := others[key]
		delete(others, key)
		if !other.Exists() || !e.sameText(entry, other) {
			e.differs(entry.Name(), entry, other)
		}
	}
	for _, entry := range others {
		e.differs(entry.Name(), jsontree.Node{}, entry)
	}
}

// differs takes a label or an annotation down that differs; one side may be missing.
func (e entries) differs(key []byte, live, fresh jsontree.Node) {
	submitted := e.live.Field(key).Has() || e.fresh.Field(key).Has()
	change := Change{Part: metadataPart, Path: e.list + "[" + string(key) + "]"}
	switch {
	case bytes.HasPrefix(key, []byte(ownAnnotations)), e.later.Field(key).Has():
	case e.list == "annotations" && e.followsAppArmor(key, live, fresh):
	case e.list == "annotations" && configures(key, e.annotations):
		if oneSided := !live.Exists() || !fresh.Exists(); oneSided && submitted {
			return // not added by admission: a preview's, or one that was deleted
		}
		e.record(change.Part, change.Path, live, fresh)
	case e.list == "labels" && slices.ContainsFunc(topologyLabels, func(p string) bool { return bytes.HasPrefix(key, []byte(p)) }):
	case e.known && !submitted && !e.template[string(key)]:
		change.Path = Cut(change.Path, maxPath)
		change.From, change.To = brief(live), brief(fresh)
		e.beside = append(e.beside, change)
	}
}

func (c *comparison) sameText(live, fresh jsontree.Node) bool {
	return bytes.Equal(live.Text(), fresh.Text()) ||
		bytes.Equal(c.live.AppendText(nil, live.Text()), c.fresh.AppendText(nil, fresh.Text()))
}

// brief is a short text as it stands, and a digest of a long one.
func brief(n jsontree.Node) json.RawMessage {
	switch {
	case !n.Exists():
		return nil
	case len(n.Text()) <= maxMetadataText:
		return slices.Clone(n.Raw())
	}
	sum := sha256.Sum256(n.Text())
	return appendText(nil, fmt.Sprintf("… (%d bytes, sha256 %x)", len(n.Text()), sum[:8]))
}

// appendConfiguring appends the annotations that count, but those that were written once
// the Pod ran.
func appendConfiguring(dst []byte, v *podspec.View, more []string) []byte {
	var counting []jsontree.Node
	for entry := range v.Pod().Get("metadata", "annotations").Children() {
		if configures(entry.Name(), more) {
			counting = append(counting, entry)
		}
	}
	if len(counting) == 0 {
		return dst
	}
	managers, err := podspec.MetadataManagers(v.Pod())
	if err != nil { // which Judge says
		managers = nil
	}
	later := v.Lookup(podspec.Union(podspec.Later(managers)).Field([]byte("metadata")).Field([]byte("annotations")), nil)
	defer v.Release(later)
	slices.SortFunc(counting, func(a, b jsontree.Node) int { return bytes.Compare(a.Name(), b.Name()) })
	for _, entry := range counting {
		if later.Field(entry.Name()).Has() {
			continue
		}
		dst = append(append(append(dst, metadataPart...), 0), entry.Name()...)
		dst = v.AppendText(append(dst, 0), entry.Text())
	}
	return dst
}
