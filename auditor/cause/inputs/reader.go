// Package inputs finds what the injectors of a cluster go by, and reads who wrote it when.
//
// It reads metadata alone, but for what says what to look for: webhook configurations, the
// Services that they name and the Pods behind these, and RBAC. It never reads a Secret,
// nor its metadata.
package inputs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
)

const (
	// atOnce is how many lists are under way.
	atOnce = 4
	// page is how many objects one request asks for, and mostPages how many are made of a
	// kind.
	page, mostPages = 250, 20
	// mostText bounds what is kept of the fields of one kind's objects, in bytes, mostRead what is
	// read of these, and listTimeout how long that takes: whoever may write objects may make
	// many, and large ones.
	mostText, mostRead = 16 << 20, 128 << 20
	listTimeout        = 20 * time.Second
	// rulesAge is for how long what RBAC says holds, and which kinds there are.
	rulesAge = 10 * time.Minute
)

// Reader looks at a cluster. It is not for concurrent use.
type Reader struct {
	client   kubernetes.Interface
	metadata metadata.Interface
	mapper   *restmapper.DeferredDiscoveryRESTMapper
	now      func() time.Time

	injectors []injector               // of the last look
	labels    map[string]labelsOf      // of namespaces, then
	asked     []string                 // the injectors when kinds were discovered
	until     time.Time                // for how long that holds
	rules     map[string]knownRules    // by webhook configuration
	parsed    map[string]cause.Object  // by UID, of the last look
	next      map[string]cause.Object  // of this one
	discovery func() ([]served, error) // for RBAC's wildcards
}

type labelsOf map[string]string

// New returns a Reader.
func New(config *rest.Config) (*Reader, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	objects, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	cached := memory.NewMemCacheClient(client.Discovery())
	return &Reader{
		client: client, metadata: objects, mapper: restmapper.NewDeferredDiscoveryRESTMapper(cached), now: time.Now,
		rules: map[string]knownRules{}, discovery: func() ([]served, error) { return preferred(cached) },
	}, nil
}

// Look reads everything once. What cannot be read is named in what it returns; the error
// says that nothing could be.
func (r *Reader) Look(ctx context.Context) (cause.Seen, error) {
	l := look{Reader: r, seen: cause.Seen{Began: r.now()}, wants: map[want][]claim{}}
	r.next = map[string]cause.Object{}
	if err := l.findInjectors(ctx); err != nil {
		return cause.Seen{}, err
	}
	r.discoverAgain()
	const admission = "admissionregistration.k8s.io"
	for _, resource := range []string{"mutatingadmissionpolicies", "mutatingadmissionpolicybindings"} {
		l.want(schema.GroupResource{Group: admission, Resource: resource}, "", claim{take: all})
	}
	l.want(schema.GroupResource{Resource: "namespaces"}, "", claim{take: all, reach: func(_, name string) string { return name }})
	l.want(schema.GroupResource{Resource: "limitranges"}, "", claim{take: all, reach: itsNamespace})
	for _, i := range r.injectors {
		l.reads(ctx, i)
	}
	l.list(ctx)
	r.parsed, l.seen.At = r.next, r.now()
	return l.seen, ctx.Err()
}

// discoverAgain has the kinds discovered anew, where there are other injectors than before, or
// some time has passed: what one goes by may have been defined since.
func (r *Reader) discoverAgain() {
	var names []string
	for _, i := range r.injectors {
		names = append(names, i.configuration)
	}
	if !slices.Equal(names, r.asked) || r.now().After(r.until) {
		r.mapper.Reset()
		r.asked, r.until = names, r.now().Add(rulesAge)
	}
}

// want is a list to make.
type want struct {
	schema.GroupResource
	namespace string // empty: all
}

// claim is why objects of a list are wanted.
type claim struct {
	injector string // empty: whoever injects
	// take tells which objects, by their names, and how they are linked.
	take func(namespace, name string) (cause.Link, bool)
	// reach tells what an object is about; nil: all.
	reach func(namespace, name string) string
	sized bool
	// mounted are those that Pods get from the kubelet, and settled when the Pods of
	// workloads became ready.
	mounted []string
	keys    func(name string) (keys, kinds []string) // of ConfigMaps; nil: all
	settled map[string]time.Time
	// home is the namespace that is listed where all may not be; empty: none.
	home string
}

// all takes every object of a list.
func all(string, string) (cause.Link, bool) { return cause.Reads, true }

func itsNamespace(namespace, _ string) string { return namespace }

// look is one in the making.
type look struct {
	*Reader
	wants map[want][]claim

	mu   sync.Mutex
	seen cause.Seen
}

func (l *look) want(resource schema.GroupResource, namespace string, c claim) {
	w := want{resource, namespace}
	l.wants[w] = append(l.wants[w], c)
}

func (l *look) unseen(injector, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen.Unseen = append(l.seen.Unseen, cause.Unseen{Injector: injector, What: fmt.Sprintf(format, args...)})
}

// list makes all lists.
func (l *look) list(ctx context.Context) {
	var group errgroup.Group
	group.SetLimit(atOnce)
	l.labels = map[string]labelsOf{}
	for w, claims := range l.wants {
		group.Go(func() error {
			l.listOne(ctx, w, claims)
			return nil
		})
	}
	_ = group.Wait() // none fails: what cannot be read is said
	slices.SortFunc(l.seen.Unseen, func(a, b cause.Unseen) int { return strings.Compare(a.Injector+a.What, b.Injector+b.What) })
}

func (l *look) listOne(ctx context.Context, w want, claims []claim) {
	gvr, gvk, err := l.resolve(w.GroupResource)
	if meta.IsNoMatchError(err) {
		if l.away(w.Group) {
			for _, c := range claims {
				l.unseen(c.injector, "%s (its API does not answer)", w.GroupResource)
			}
		}
		return // there is no such kind
	}
	var items []cause.Object
	whole := false
	labels := map[string]labelsOf{}
	if err == nil {
		text, read := 0, 0
		whole, err = l.pages(ctx, gvr, w.namespace, func(m *metav1.PartialObjectMetadata) bool {
			o := l.parse(m)
			text, read = text+o.Size(), read+sizeOf(m)
			items = append(items, o)
			labels[m.Name] = m.Labels
			return text <= mostText && read <= mostRead
		})
	}
	if apierrors.IsNotFound(err) {
		return
	}
	if err != nil && w.namespace == "" {
		for _, c := range claims {
			if c.home != "" {
				l.listOne(ctx, want{w.GroupResource, c.home}, []claim{c})
			}
		}
	}
	if err != nil || !whole {
		for _, c := range claims {
			l.unseen(c.injector, "%s", incomplete(w, c, err))
		}
		if err != nil {
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	name := w.String() + " " + w.namespace
	if whole {
		l.seen.Lists = append(l.seen.Lists, name)
	}
	if w.GroupResource == (schema.GroupResource{Resource: "namespaces"}) {
		l.labels = labels
	}
	for _, o := range items {
		taken := false
		for _, c := range claims {
			if link, takes := c.take(o.Namespace, o.Name); takes {
				taken = true
				l.add(gvk, o, name, link, c)
			}
		}
		if _, before := l.parsed[o.UID]; before && !taken { // an injector that does not run now mounts nothing
			l.seen.Idle, taken = append(l.seen.Idle, o.UID), true
		}
		if taken {
			l.next[o.UID] = o
		}
	}
}

// incomplete says what could not be read.
func incomplete(w want, c claim, err error) string {
	where := ""
	switch {
	case w.namespace != "":
		where = " in " + w.namespace
	case c.home != "":
		where = " outside " + c.home
	}
	reason := "there are too many"
	switch {
	case apierrors.IsForbidden(err):
		reason = "forbidden"
	case err != nil:
		reason = err.Error()
	}
	return fmt.Sprintf("%s%s (%s)", w.GroupResource, where, reason)
}

// pages reads a list, while each wants more; whole reports whether that is all.
func (r *Reader) pages(ctx context.Context, gvr schema.GroupVersionResource, namespace string, each func(*metav1.PartialObjectMetadata) bool) (whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	next := ""
	for range mostPages {
		list, err := r.metadata.Resource(gvr).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: page, Continue: next})
		if err != nil {
			return false, err
		}
		for i := range list.Items {
			if !each(&list.Items[i]) {
				return false, nil
			}
		}
		if next = list.Continue; next == "" {
			return true, nil
		}
	}
	return false, nil
}

// sizeOf is about how large metadata is, in bytes.
func sizeOf(m *metav1.PartialObjectMetadata) int {
	n := 0
	for key, value := range m.Annotations {
		n += len(key) + len(value)
	}
	for _, entry := range m.ManagedFields {
		if entry.FieldsV1 != nil {
			n += len(entry.FieldsV1.GetRawBytes())
		}
	}
	return n
}

func (l *look) resolve(resource schema.GroupResource) (schema.GroupVersionResource, schema.GroupVersionKind, error) {
	gvr, err := l.mapper.ResourceFor(resource.WithVersion(""))
	if err != nil {
		return gvr, schema.GroupVersionKind{}, err
	}
	gvk, err := l.mapper.KindFor(gvr)
	return gvr, gvk, err
}

// add takes an object down. The caller holds the lock.
func (l *look) add(gvk schema.GroupVersionKind, o cause.Object, list string, link cause.Link, c claim) {
	o.Group, o.Kind, o.Link, o.List, o.Sized = gvk.Group, gvk.Kind, link, list, c.sized
	o.Reach, o.Injectors = "", nil
	o.Mounted, o.Settled = slices.Contains(c.mounted, o.Name), c.settled[o.Name]
	o.Keys, o.Kinds = nil, nil
	if c.keys != nil {
		o.Keys, o.Kinds = c.keys(o.Name)
	}
	if c.reach != nil {
		o.Reach = c.reach(o.Namespace, o.Name)
	}
	if c.injector != "" {
		o.Injectors = []string{c.injector}
	}
	l.seen.Objects = append(l.seen.Objects, o)
}

// parse reads an object's metadata, unless it is that of the last look.
func (l *look) parse(m metav1.Object) cause.Object {
	uid := string(m.GetUID())
	if o, ok := l.parsed[uid]; ok && o.Version == m.GetResourceVersion() {
		return o
	}
	o := cause.Object{
		Namespace: m.GetNamespace(), Name: m.GetName(), UID: uid, Version: m.GetResourceVersion(), Created: m.GetCreationTimestamp().UTC(),
	}
	for _, entry := range m.GetManagedFields() {
		if entry.Time != nil && entry.Time.After(o.Told) {
			o.Told = entry.Time.UTC()
		}
		if entry.Subresource != "" && entry.Subresource != "scale" || entry.Time == nil || entry.FieldsV1 == nil {
			continue
		}
		fields, err := cause.FieldsOf(entry.FieldsV1.GetRawBytes())
		if err != nil {
			continue // the API server takes no such entry
		}
		o.Entries = append(o.Entries, cause.Entry{
			Manager: entry.Manager, Operation: string(entry.Operation), APIVersion: entry.APIVersion, Subresource: entry.Subresource, Time: entry.Time.UTC(), Fields: fields,
		})
	}
	return o
}
