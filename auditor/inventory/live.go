package inventory

import (
	"slices"
	"sync"
	"sync/atomic"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Live holds the selected Pods by revision and keeps them as they are, by
// watches: of each Pod what Pod says, and no JSON. Its methods may be called
// concurrently.
type Live struct {
	client    rest.Interface
	selection Selection
	sources   []*source
	workloads *workloads
	unread    atomic.Int64 // Pods that could not be read

	mu     sync.Mutex
	pods   map[string]place // by UID
	groups map[Key]*liveGroup
	stamps map[string]*stamp // one copy of each
	// disowned numbers the Pods whose owner was looked for and is none.
	disowned map[claim]int
	// notJudged numbers the Pods that are finished, being deleted or static.
	notJudged int
	changed   chan struct{} // holds one
}

// stamp is one that so many Pods have.
type stamp struct {
	text string
	pods int
}

// place is where a Pod is kept.
type place struct {
	group  *liveGroup // nil: it is not judged
	source *source
	read   int // which reading of the source it was last seen in
}

// liveGroup is a group whose Pods may be in a Group that was handed out: then
// they are copied before they change.
type liveGroup struct {
	group
	key    Key
	denied claim // what its Pods say of their owner, if that is none
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
		workloads: newWorkloads(client, selection, true),
		pods:      map[string]place{}, groups: map[Key]*liveGroup{}, stamps: map[string]*stamp{}, disowned: map[claim]int{},
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

// Unread is how many Pods could not be read so far.
func (l *Live) Unread() int { return int(l.unread.Load()) }

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
func (l *Live) put(from *source, pod jsontree.Node) {
	r := l.selection.record(pod)
	l.mu.Lock()
	defer l.mu.Unlock()
	denied := claim{r.namespace, r.owner.key()}
	if l.disowned[denied] > 0 {
		r.doubt, r.owner = doubtful(r.owner, notThere), Owner{}
	} else {
		denied = claim{}
	}
	before, known := l.pods[r.UID]
	now := place{source: from, read: from.read}
	if known && (before.group != nil) == r.judged && (!r.judged || before.group.key == r.key() && before.group.replace(l, r)) {
		now.group = before.group
		l.pods[r.UID] = now
		return
	}
	if known {
		l.leave(r.UID, before)
	}
	now.group = l.enter(r, denied)
	l.pods[r.UID] = now
	l.tell()
}

// Disown makes the Pods of a group whose owner is none Pods of their own, and those
// that come and say the same.
func (l *Live) Disown(key Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[key]
	if g == nil {
		return // they have gone meanwhile
	}
	doubt := doubtful(g.owner, notThere)
	for _, pod := range slices.Clone(g.pods) {
		at := l.pods[pod.UID]
		l.leave(pod.UID, at)
		at.group = l.enter(record{Pod: pod, namespace: g.namespace, doubt: doubt, judged: true}, key.claim)
		l.pods[pod.UID] = at
	}
}

func (l *Live) tell() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// replace brings a Pod up to date that stays in the group.
func (g *liveGroup) replace(l *Live, r record) bool {
	at := slices.IndexFunc(g.pods, func(p Pod) bool { return p.UID == r.UID })
	if at < 0 {
		return false
	}
	was := g.pods[at]
	if was.Alike == r.Alike && was.Stamp == r.Stamp && was.Started.Equal(r.Started) && was.Initialized == r.Initialized {
		return true
	}
	r.Name, r.UID, r.Stamp = was.Name, was.UID, l.interned(r.Stamp)
	l.release(was.Stamp)
	g.own()[at] = r.Pod
	if was.Alike != r.Alike || was.Stamp != r.Stamp {
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

// enter puts a Pod into the group of its revision, or into none if it is not judged.
func (l *Live) enter(r record, denied claim) *liveGroup {
	if !r.judged {
		l.notJudged++
		return nil
	}
	key := r.key()
	g := l.groups[key]
	if g == nil {
		g = &liveGroup{group: *newGroup(r), key: key, denied: denied}
		l.groups[key] = g
	}
	if denied != (claim{}) {
		l.disowned[denied]++
	}
	r.Stamp = l.interned(r.Stamp)
	g.pods = append(g.own(), r.Pod)
	return g
}

// interned is the one copy of a stamp, for one more Pod.
func (l *Live) interned(text string) string {
	known := l.stamps[text]
	if known == nil {
		known = &stamp{text: text}
		l.stamps[text] = known
	}
	known.pods++
	return known.text
}

// release forgets a stamp that no Pod has any more.
func (l *Live) release(text string) {
	if known := l.stamps[text]; known != nil {
		if known.pods--; known.pods == 0 {
			delete(l.stamps, text)
		}
	}
}

// leave takes a Pod out of its place.
func (l *Live) leave(uid string, at place) {
	g := at.group
	if g == nil {
		l.notJudged--
		return
	}
	g.pods = slices.DeleteFunc(g.own(), func(p Pod) bool {
		if p.UID == uid {
			l.release(p.Stamp)
		}
		return p.UID == uid
	})
	if len(g.pods) == 0 {
		delete(l.groups, g.key)
	}
	if g.denied == (claim{}) {
		return
	}
	if l.disowned[g.denied]--; l.disowned[g.denied] == 0 {
		delete(l.disowned, g.denied)
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
	i := &Inventory{
		client: l.client, selection: l.selection, groups: map[Key]*group{},
		workloads: newWorkloads(l.client, l.selection, false),
	}
	if few {
		i.workloads = l.workloads
		l.mu.Lock()
		l.workloads.forOwners(len(l.groups))
		l.mu.Unlock()
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
