// Package verdict compares a live Pod with a fresh injection of the same
// revision. It is pure: values in, a verdict out.
package verdict

import (
	"encoding/json"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Change is one difference between a live Pod and a fresh one.
type Change struct {
	// Part of the Pod: container/NAME, initContainer/NAME, volumes, order,
	// app/NAME, pod or metadata.
	Part string `json:"part"`
	// Path within the part, dotted, list items by their merge key; empty when
	// the whole part came or went. Where a value varies from one injection to the next,
	// " → " and the place inside of what it means follow, as in
	// "env[VAULT_CONFIG].value → vault.address".
	Path string `json:"path"`
	// From is the live value as stored, To the fresh one, in outputs with masks
	// in the place of secrets; nil where that side has none. A text of more than 2,048
	// bytes, and an object or a list of more than 8,192, hold their beginning and a mark
	// such as "… (1234567 bytes, sha256 0123456789abcdef)".
	From json.RawMessage `json:"from,omitempty"`
	To   json.RawMessage `json:"to,omitempty"`
	// Unstable: fresh injections of the same Pod differ among themselves there, so that
	// the difference says nothing.
	Unstable bool `json:"unstable,omitempty"`
	// Spent: it is of an init container that has ended in all of these Pods, and of nothing
	// that what still runs depends on: a re-creation of the Pod alone would heal that, and
	// nothing is gained by it.
	Spent bool `json:"spent,omitempty"`
	// ID names the change that the difference is part of, which others may have, too; empty
	// where changes were not looked for, and of what is part of none.
	ID string `json:"id,omitempty"`
	// OneShot: the part is an init container that runs to its end, in both Pods as far as
	// they have it.
	OneShot bool `json:"-"`
}

// Place is PART:PATH, as --ignore-path takes it; the part alone where the path is empty.
func (c Change) Place() string {
	if c.Path == "" {
		return c.Part
	}
	return c.Part + ":" + c.Path
}

// BesidesSpec reports whether the change is of placement or metadata, which
// [podspec.View.AppendClean] leaves out.
func (c Change) BesidesSpec() bool {
	return c.Part == metadataPart || c.Part == "pod" && isPlacement(c.Path)
}

// Input is what a verdict follows from.
type Input struct {
	Live  jsontree.Node // the Pod as it runs
	Fresh jsontree.Node // the dry run's answer
	// Template is the PodTemplateSpec that was submitted for Fresh. The zero
	// Node means unknown: what is injected then follows from managedFields.
	Template jsontree.Node
	// DeclaredSidecars are containers to count as injected though the template
	// declares them (--sidecar-container-name).
	DeclaredSidecars []string
	// Ignore leaves changes out, as if those fields were equal
	// (--ignore-path).
	Ignore []PathPattern
	// Varying is where fresh injections differ among themselves; nil: nothing is known of
	// that, and nobody wants to know of reordered lists.
	Varying *Varying
	// OrdersDoubted has texts differ unstably in which items of a list have but another
	// order, whether they are known to vary or not.
	OrdersDoubted bool
	// IncludeAutoscaled has the resources of Pods that an autoscaler sizes
	// count as any other field.
	IncludeAutoscaled bool
	// Autoscalers are those that refer to the Pods' workload, as far as is known.
	Autoscalers []Autoscaler
	// SizingAnnotations are keys of annotations that say of a Pod that admission has sized
	// it, besides those that are known to.
	SizingAnnotations []string
	// Annotations are keys of annotations that count besides those that are known to
	// configure (--compare-annotation).
	Annotations []string
	// Evidence is what the cluster says of others than admission that set where and by
	// whose right a Pod runs. Nil where only the Pods are known, as of files: what came is
	// then taken for admission's own, and nothing is said of what only went.
	Evidence *Evidence
	// AutoscalersKnown says that one would be known, so that annotations that anybody
	// may write excuse nothing. Where they are not, annotations of either Pod tell.
	AutoscalersKnown bool
	// UnreadAnnotations tell all the same, as the autoscalers that write them could not be
	// read.
	UnreadAnnotations []string
}

// Verdict is the outcome of a comparison.
type Verdict struct {
	State   State
	Changes []Change // sorted by part, then path; never nil; bounded: see [Bound]
	// More is how many changes were left out of Changes and Autoscaled, as there are
	// too many.
	More int
	// Sidecars names the injected containers, live or fresh, sorted; at most 200, as
	// Loses.
	Sidecars []string
	// Injected: neither Pod has an injected container, yet one of them has items in the
	// app's lists that admission added.
	Injected bool
	// AppImages are the images of the app that a re-creation would replace: those that
	// admission sets, which are among Changes, too, and those that somebody edited in
	// place, which are not. Sorted and bounded as Changes.
	AppImages []Change
	// Loses names the injected containers that Live has and Fresh lacks: a
	// re-creation would take them away. Init containers that have ended are no loss
	// while others of their injector stay.
	Loses []string
	// Varies names the places where the two Pods differ in what varies from one injection
	// to the next (Change.Place), sorted. Lists that only come in another order each time
	// are no change.
	Varies []string
	// Reordered names the places where, but for the order of items in a list, two texts, or
	// two lists, mean the same (Change.Place): an injector that writes a map does that.
	Reordered []string
	// Ignored is how many changes were left out by Input.Ignore.
	Ignored int
	// Undecided are differences of placement of which nothing tells who made them: no part
	// of the state, nor of Changes.
	Undecided []Change
	// Metadata are labels and annotations that admission adds differently and that never
	// count; MoreMetadata is how many were left out of it.
	Metadata     []Change
	MoreMetadata int
	// Autoscaled are the changes of resources that an autoscaler sets anew all
	// the time: no part of the state, nor of Changes.
	Autoscaled []Change
}
