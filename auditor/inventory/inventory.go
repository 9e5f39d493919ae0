package inventory

import (
	"bytes"
	"context"
	"errors"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Inventory holds the selected Pods by revision. It is for one goroutine.
type Inventory struct {
	// NotJudged numbers the selected Pods that are finished, being deleted or
	// static.
	NotJudged int
	// Unread numbers Pods that could not be read.
	Unread int
	// Disowned are the groups whose Pods have no such owner as they say, known when
	// Revisions has returned. It has handed each of their Pods on as one of its own.
	Disowned []Key

	client    rest.Interface
	selection Selection
	workloads *workloads
	kept      map[keptKey]bool // whose JSON is kept
	spare     int              // bytes of JSON that may still be kept
	groups    map[Key]*group
	stamps    map[string]string // one copy of each
	named     *named            // nil where no workload was named
}

// Key tells apart what Pods were made from: a revision of a workload. None of its
// parts is joined of others, as all but the namespace may be anybody's text.
type Key struct {
	claim
	pod      string // the UID of one that has no owner
	revision string // where a controller has several: their label
	// digest is set where the template is not known: then Pods that differ may
	// well have had different ones.
	digest verdict.Digest
}

// Namespace is where the Pods are.
func (k Key) Namespace() string { return k.claim.namespace }

// group is the live Pods of one revision.
type group struct {
	namespace string
	owner     Owner  // zero: none
	doubt     string // why an owner that its one Pod names is none
	broken    error  // why its one Pod cannot be judged
	revision  string
	index     string
	pods      []Pod
}

func newGroup(r record) *group {
	return &group{
		namespace: r.namespace, owner: r.owner, doubt: r.doubt, broken: r.broken,
		revision: r.key().revision, index: r.index,
	}
}

// keptKey is what Pods are alike by.
type keptKey struct {
	group Key
	Alike
}

// keptJSON is how many bytes of Pods are kept, so that they need not be read
// again to be compared: some 300 with a sidecar. The others are, which costs a
// fraction of the dry run that has shown that they differ.
const keptJSON = 4 << 20

// attempts is how often a list is begun that expires or is cut off while it is read.
const attempts = 3

// Take lists the selected Pods. The client's requests are not limited on its
// side. Errors name the verb and resource that the API server refused, or the
// named workload that does not exist.
func Take(ctx context.Context, client rest.Interface, selection Selection) (*Inventory, error) {
	var i *Inventory
	err := retryUnread(func() error {
		i = &Inventory{
			client: client, selection: selection, workloads: newWorkloads(client, selection, false),
			groups: map[Key]*group{}, stamps: map[string]string{},
			kept: map[keptKey]bool{}, spare: keptJSON,
		}
		if len(selection.Workloads) > 0 {
			return i.takeNamed(ctx)
		}
		for _, namespace := range selection.namespaces() {
			if err := i.takePods(ctx, query{
				resource: pods, namespace: namespace,
				labels: selection.LabelSelector, fields: selection.fieldSelector(),
			}, all); err != nil {
				return err
			}
		}
		return nil
	})
	return i, err
}

func retryUnread(read func() error) error {
	var err error
	for range attempts {
		if err = read(); !errors.Is(err, errExpired) && !errors.Is(err, errCut) {
			return err
		}
	}
	return err
}

// Len is the number of revisions that have live Pods, as far as they are known
// before their owners are read.
func (i *Inventory) Len() int { return len(i.groups) }

func all(record) bool { return true }

// takePods groups the Pods of a list that are wanted.
func (i *Inventory) takePods(ctx context.Context, q query, wanted func(record) bool) error {
	return list(ctx, i.client, q, func(raw []byte) error {
		r, err := i.selection.readRecord(raw)
		switch {
		case err != nil:
			i.Unread++
		case !r.selected || !wanted(r):
		case !r.judged:
			i.NotJudged++
		default:
			i.add(r, raw)
		}
		return nil
	}, func() error { return nil })
}

// add puts a Pod into its group; raw is its JSON, valid during the call.
func (i *Inventory) add(r record, raw []byte) {
	key := r.key()
	g := i.groups[key]
	if g == nil {
		g = newGroup(r)
		i.groups[key] = g
	}
	if stamp, ok := i.stamps[r.Stamp]; ok {
		r.Stamp = stamp
	} else {
		i.stamps[r.Stamp] = r.Stamp
	}
	if k := (keptKey{key, r.Alike}); !i.kept[k] && len(raw) <= i.spare {
		i.kept[k] = true
		i.spare -= len(raw)
		r.JSON = bytes.Clone(raw)
	}
	g.pods = append(g.pods, r.Pod)
}

func (r record) key() Key {
	key := Key{claim: claim{r.namespace, r.owner.key()}}
	switch {
	case r.owner == Owner{}:
		key.pod = r.UID
	case replicaSets.owns(r.owner), jobs.owns(r.owner):
	case statefulSets.owns(r.owner), daemonSets.owns(r.owner):
		key.revision = r.revision
	default:
		key.digest = r.Digest
	}
	return key
}

// claim takes a group out of the inventory, or returns nil if there is none: its
// revision has no live Pods, or was read before.
func (i *Inventory) claim(key Key) *group {
	g := i.groups[key]
	delete(i.groups, key)
	return g
}
