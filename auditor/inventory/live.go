package inventory

import (
	"slices"
	"sync"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
)

// Live holds the selected Pods by revision and keeps them as they are, by
// watches: of each Pod what Pod says, and no JSON. Its methods may be called
// concurrently.
type Live struct {
	client    rest.Interface
	selection Selection
	sources   []*source

	mu     sync.Mutex
	pods   map[string]place // by UID
	groups map[Key]*liveGroup
	stamps map[string]string // one copy of each
	// notJudged numbers the Pods that are finished, being deleted or static.
	notJudged int
	changed   chan struct{} // holds one
}

// place is where a Pod is kept.
type place struct {
	group  Key
	judged bool
	source *source
	read   int // which reading of the source it was last seen in
}

// liveGroup is a group whose Pods may be in a Group that was handed out: then
// they are copied before they change.
type liveGroup struct {
	group
	shared bool
}

// Group is the live Pods of one revision, as they were at one time.
type Group struct {
	Key  Key
	Pods []Pod

	group group
}

// NewLive returns a Live that knows nothing until it has Run for a moment.
func NewLive(client rest.Interface, selection Selection) *Live {
	l := &Live{
		client: client, selection: selection,
		pods: map[string]place{}, groups: map[Key]*liveGroup{}, stamps: map[string]string{},
		changed: make(chan struct{}, 1),
	}
	for _, namespace := range selection.namespaces() {
		l.sources = append(l.sources, newSource(query{
			resource: pods, namespace: namespace, labels: selection.LabelSelector, fields: selection.fieldSelector(),
		}))
	}
	return l
}

// Changed receives when Pods came, went, or changed in what counts.
func (l *Live) Changed() <-chan struct{} { return l.changed }

// Groups returns the Pods as they are now, and the number of selected ones that
// are not judged.
func (l *Live) Groups() (groups []Group, notJudged int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	groups = make([]Group, 0, len(l.groups))
	for key, g := range l.groups {
		g.shared = true
		groups = append(groups, Group{key, g.pods, g.group})
	}
	return groups, l.notJudged
}

// put takes a Pod in, as it is now.
func (l *Live) put(from *source, pod jsontree.Node) error {
	r, err := l.selection.record(pod)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := r.key()
	before, known := l.pods[r.UID]
	l.pods[r.UID] = place{group: key, judged: r.judged, source: from, read: from.read}
	if known && before.judged == r.judged && (!r.judged || before.group == key && l.replace(key, r)) {
		return nil
	}
	if known {
		l.leave(r.UID, before)
	}
	l.enter(key, r)
	l.tell()
	return nil
}

func (l *Live) tell() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// replace brings a Pod up to date that stays in its group.
func (l *Live) replace(key Key, r record) bool {
	g := l.groups[key]
	at := slices.IndexFunc(g.pods, func(p Pod) bool { return p.UID == r.UID })
	if at < 0 {
		return false
	}
	was := g.pods[at]
	if was.Digest == r.Digest && was.Stamp == r.Stamp && was.Started.Equal(r.Started) {
		return true
	}
	r.Name, r.UID, r.Stamp = was.Name, was.UID, l.interned(r.Stamp)
	g.own()[at] = r.Pod
	if was.Digest != r.Digest || was.Stamp != r.Stamp {
		l.tell()
	}
	return true
}

// own returns the group's Pods to change.
func (g *liveGroup) own() []Pod {
	if g.shared {
		g.pods, g.shared = slices.Clone(g.pods), false
	}
	return g.pods
}

func (l *Live) enter(key Key, r record) {
	if !r.judged {
		l.notJudged++
		return
	}
	g := l.groups[key]
	if g == nil {
		g = &liveGroup{group: *newGroup(r)}
		l.groups[key] = g
	}
	r.Stamp = l.interned(r.Stamp)
	g.pods = append(g.own(), r.Pod)
}

func (l *Live) interned(stamp string) string {
	if known, ok := l.stamps[stamp]; ok {
		return known
	}
	l.stamps[stamp] = stamp
	return stamp
}

// leave takes a Pod out of its place.
func (l *Live) leave(uid string, at place) {
	if !at.judged {
		l.notJudged--
		return
	}
	g := l.groups[at.group]
	g.pods = slices.DeleteFunc(g.own(), func(p Pod) bool { return p.UID == uid })
	if len(g.pods) == 0 {
		delete(l.groups, at.group)
	}
}

// remove forgets a Pod.
func (l *Live) remove(uid string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, known := l.pods[uid]; known {
		l.forget(uid, at)
	}
}

func (l *Live) forget(uid string, at place) {
	delete(l.pods, uid)
	l.leave(uid, at)
	l.tell()
}

// prune forgets what a source no longer has, now that it was read whole.
func (l *Live) prune(from *source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for uid, at := range l.pods {
		if at.source == from && at.read != from.read {
			l.forget(uid, at)
		}
	}
}

// Of returns an inventory of the groups, to read their revisions. Few are read
// by name, many by lists.
func (l *Live) Of(groups []Group, few bool) *Inventory {
	i := &Inventory{client: l.client, selection: l.selection, groups: map[Key]*group{}}
	if few {
		i.named = &named{uids: map[string]bool{}}
	}
	for _, g := range groups {
		i.groups[g.Key] = &g.group
		if few {
			i.named.uids[g.group.owner.UID] = true
		}
	}
	return i
}
