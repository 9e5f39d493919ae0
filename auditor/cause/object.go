package cause

import (
	"slices"
	"strings"
	"time"
)

// Object is what its metadata tells of an object that injection may go by.
type Object struct {
	Group, Kind, Namespace, Name string
	// UID and Version (resourceVersion) tell whether it is the same, and the same as before.
	UID, Version string
	Created      time.Time
	// Entries are those of managedFields but of status: the last one of each manager.
	Entries []Entry
	// Told is the time of the last entry of managedFields, if that is none of Entries.
	Told time.Time
	// Link is how it is known that injection goes by it.
	Link Link
	// Injectors are the webhook configurations whose injector reads it; nil: admission itself
	// does, or it is not known which.
	Injectors []string
	// Reach is the namespace that it is about; empty: all.
	Reach string
	// Settled is when the last of the Pods became ready that it is the workload of: what was
	// written before is in force since. Zero: not known.
	Settled time.Time
	// Keys are those of a ConfigMap that are read; nil: all. Kinds are those of changes that it
	// is known to make; nil: any.
	Keys, Kinds []string
	// Mounted: Pods get it from the kubelet.
	Mounted bool
	// Sized: an injector goes by how many replicas it has.
	Sized bool
	// List names the list that it was found in: what is missing in that was deleted.
	List string
}

// Link is how it is known that injection goes by an object.
type Link int

const (
	// MayRead is of what the injector may read, as far as RBAC goes, or what lies in its namespace.
	MayRead Link = iota
	// Reads is of what defines or configures the injector: its Pods mount it, RBAC names it,
	// or the injector is known to read such.
	Reads
)

// Entry is an entry of managedFields.
type Entry struct {
	Manager, Operation, APIVersion string
	Subresource                    string
	Time                           time.Time // to the second
	Fields                         []string  // as FieldsOf has them
}

func (w Entry) by() manager { return manager{w.Manager, w.Operation, w.APIVersion, w.Subresource} }

type manager struct{ name, operation, version, subresource string }

// ancient is whom the API server names in the place of the managers that wrote longest ago,
// where there are many (k8s.io/apimachinery pkg/util/managedfields/internal/buildmanagerinfo.go).
const ancient = "ancient-changes"

// told is when managedFields tell of the last write, whatever that was of.
func (o Object) told() time.Time {
	last := o.Told
	for _, w := range o.Entries {
		if w.Time.After(last) {
			last = w.Time
		}
	}
	return last
}

// Size is about how many bytes of memory its fields take.
func (o Object) Size() int {
	n := 0
	for _, w := range o.Entries {
		for _, field := range w.Fields {
			n += len(field) + 16
		}
	}
	return n
}

// Seen is all that could be read at a time.
type Seen struct {
	// Began and At are when the first object was read, and the last.
	Began, At time.Time
	Objects   []Object
	// Lists names those that were read whole: see [Object.List].
	Lists []string
	// Idle are the UIDs of objects that were seen before and are still there, though nobody is
	// known to go by them now.
	Idle []string
	// Unseen is what could not be read.
	Unseen []Unseen
	// Secretive are the injectors that may go by Secrets, which are never looked at.
	Secretive []Secretive
}

// Unseen is something that could not be read.
type Unseen struct {
	// Injector, as in [Object.Injectors], that goes by it; empty: any may.
	Injector string
	// What it is, and why: "ConfigMaps in istio-system (forbidden)".
	What string
}

// Secretive is an injector that may go by Secrets.
type Secretive struct {
	Injector string
	// Within are words in the paths of what it takes from them; nil: it may be anything.
	Within []string
}

// Change is what is known of a change of the injection.
type Change struct {
	// After and By are the interval in which it began: see journal.Interval. After is zero
	// where nothing is known.
	After, By time.Time
	// Kind is a change.Kind, Parts and Paths are those of its places.
	Kind         string
	Parts, Paths []string
	// Namespaces are those that it reaches. Spared: there are others that it does not reach
	// and in which there is an injector's work, too.
	Namespaces []string
	Spared     bool
	// Injectors are the webhook configurations one of which makes it; nil where that is not
	// known.
	Injectors []string
	// Beside are those of others whose webhook sees what differs, too, and may rewrite it.
	Beside []string
	// NoPolicy: no MutatingAdmissionPolicy sees what differs.
	NoPolicy bool
}

// by reports whether the injector may make the change.
func (c Change) by(injector string) bool {
	return len(c.Injectors) == 0 || contains(c.Injectors, injector) || contains(c.Beside, injector)
}

// beside reports whether nobody goes by the object but those who may rewrite what another one
// injects.
func (c Change) beside(o Object) bool {
	return len(c.Injectors) > 0 && len(o.Injectors) > 0 && !slices.ContainsFunc(o.Injectors, func(i string) bool { return contains(c.Injectors, i) })
}

// takes reports whether the change may come of a Secret.
func (c Change) takes(s Secretive) bool {
	if !c.by(s.Injector) || len(s.Within) == 0 {
		return c.by(s.Injector)
	}
	return slices.ContainsFunc(c.Paths, func(path string) bool {
		return slices.ContainsFunc(s.Within, func(word string) bool { return strings.Contains(path, word) })
	})
}

// lag is how long a write may take until injection goes by it: informers are quick, the
// kubelet gives a ConfigMap that is mounted to its Pods within some two minutes, the API
// server keeps LimitRanges for half a minute, and a new version of an injector is rolled out
// first.
func (o Object) lag() time.Duration {
	switch o.Kind {
	case "Deployment", "DaemonSet", "StatefulSet":
		return 10 * time.Minute
	case "ConfigMap":
		if o.Mounted {
			return 3 * time.Minute
		}
	case "Namespace":
		return 10 * time.Second
	}
	return 30 * time.Second
}

// settled reports whether a write is in force for longer than a moment before a change.
func (o Object) settled(write, change time.Time) bool {
	const moment = 10 * time.Second
	return o.Settled.After(write) && o.Settled.Before(change.Add(-moment))
}

// about reports whether the object can have made the change at all, whenever it was written.
func (o Object) about(c Change) bool {
	if len(o.Injectors) > 0 && !slices.ContainsFunc(o.Injectors, c.by) {
		return false
	}
	if c.NoPolicy && strings.HasPrefix(o.Kind, "MutatingAdmissionPolicy") {
		return false
	}
	return o.Kind != "LimitRange" || all(c.Paths, "resources")
}
