package service

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/cover"
	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
)

// request is a round that is asked for, and why.
type request struct {
	scope    watch.Scope
	why      string
	concerns []watch.Concern
}

// changes collect what asks for an audit. The zero value is ready for use, but for
// woken.
type changes struct {
	woken chan struct{} // holds one

	mu    sync.Mutex
	asked bool
	request
}

func newChanges() *changes { return &changes{woken: make(chan struct{}, 1)} }

// ask asks for a round. The widest that was asked for is the one to come, with all that
// is of concern.
func (c *changes) ask(scope watch.Scope, why string, concerns ...watch.Concern) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked || scope >= c.scope && (len(concerns) > 0 || len(c.concerns) == 0 || scope > c.scope) {
		c.asked, c.scope, c.why = true, scope, why
	}
	c.add(concerns)
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

func (r *request) add(concerns []watch.Concern) {
	for _, concern := range concerns {
		if !slices.Contains(r.concerns, concern) {
			r.concerns = append(r.concerns, concern)
		}
	}
}

// take returns what was asked for since it was last called, but no less than the
// given round.
func (c *changes) take(least request) request {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked && c.scope >= least.scope {
		least.scope, least.why = c.scope, c.why
	}
	least.add(c.concerns)
	c.asked, c.request = false, request{}
	return least
}

// watched is a kind whose changes matter.
type watched struct {
	schema.GroupVersionKind
	namespace, name string // one object; empty: all
	// changed tells whether an update matters; nil: each does.
	changed func(before, after *metav1.PartialObjectMetadata) bool
	// updatesOnly: that an object comes or goes changes no verdict by itself.
	updatesOnly bool
	// scope is what a change asks for, with what is of concern; nil: nothing is besides.
	scope   watch.Scope
	concern func(name string) watch.Concern
}

// generation tells a changed specification. An object that was replaced while
// nobody watched is another one in the same generation.
func generation(before, after *metav1.PartialObjectMetadata) bool {
	return before.Generation != after.Generation || before.UID != after.UID
}

// namespaceMetadata tells what admission may look at. Selectors look at any label; of
// annotations, which controllers write all the time, slim has left those of injectors.
func namespaceMetadata(before, after *metav1.PartialObjectMetadata) bool {
	return !apiequality.Semantic.DeepEqual(before.Labels, after.Labels) ||
		!apiequality.Semantic.DeepEqual(before.Annotations, after.Annotations)
}

// watchedKinds are those that decide which Pods are asked about at all. A change of one
// is of concern to the Pods that it is about.
func watchedKinds() []watched {
	const admission = "admissionregistration.k8s.io"
	kinds := []watched{
		{
			GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "Namespace"},
			changed:          namespaceMetadata, updatesOnly: true,
			concern: func(name string) watch.Concern { return watch.Concern{Namespace: name} },
		},
	}
	for _, kind := range []string{
		"MutatingWebhookConfiguration", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
		"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
	} {
		kinds = append(kinds, watched{
			GroupVersionKind: schema.GroupVersionKind{Group: admission, Version: "v1", Kind: kind},
			changed:          generation,
			concern:          func(name string) watch.Concern { return watch.Concern{Object: kind + "/" + name} },
		})
	}
	return kinds
}

// watchedObjects are single objects of the configuration. Whether a change of an
// injector's template matters, and where, the cover tells.
func watchedObjects(objects []config.Object) []watched {
	var kinds []watched
	for _, o := range objects {
		kinds = append(kinds, watched{
			GroupVersionKind: schema.FromAPIVersionAndKind(o.APIVersion, o.Kind), namespace: o.Namespace, name: o.Name,
			scope: watch.Cover,
		})
	}
	return kinds
}

// newObjects returns those of after that before did not hold.
func newObjects(before, after []config.Object) []config.Object {
	return slices.DeleteFunc(slices.Clone(after), func(o config.Object) bool { return slices.Contains(before, o) })
}

// firstLists is how long the first lists of what is watched are waited for.
const firstLists = 10 * time.Second

// watch tells c of changes until ctx is done. Kinds that the API server does not
// know are left out. It returns when all others are known as they are now, so that
// an audit that begins then misses no change, or soon if they cannot be read.
func (c *changes) watch(ctx context.Context, client metadata.Interface, mapper meta.RESTMapper, kinds []watched, log logr.Logger) {
	var synced []cache.InformerSynced
	for _, kind := range kinds {
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			log.Info("Not watched: the API server does not know the kind", "kind", kind.Kind, "group", kind.Group, "error", err.Error())
			continue
		}
		only := func(o *metav1.ListOptions) {
			if kind.name != "" {
				o.FieldSelector = fields.OneTermEqualSelector("metadata.name", kind.name).String()
			}
		}
		informer := metadatainformer.NewFilteredMetadataInformer(client, mapping.Resource, kind.namespace, 0, cache.Indexers{}, only).Informer()
		if err := informer.SetTransform(slim); err != nil {
			log.Error(err, "Not watched", "kind", kind.Kind)
			continue
		}
		if _, err := informer.AddEventHandler(c.handler(kind)); err != nil {
			log.Error(err, "Not watched", "kind", kind.Kind)
			continue
		}
		go informer.RunWithContext(ctx)
		synced = append(synced, informer.HasSynced)
	}
	ctx, cancel := context.WithTimeout(ctx, firstLists)
	defer cancel()
	if !cache.WaitForCacheSync(ctx.Done(), synced...) && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		log.Info("Some of what is watched cannot be read yet: until it is, its changes are only seen at the interval")
	}
}

func (c *changes) handler(kind watched) cache.ResourceEventHandler {
	changed := func(object any) {
		m, ok := object.(*metav1.PartialObjectMetadata)
		switch {
		case !ok:
			c.ask(watch.Everything, kind.Kind)
		case kind.concern == nil:
			c.ask(kind.scope, kind.Kind+" "+m.Name)
		default:
			c.ask(kind.scope, kind.Kind+" "+m.Name, kind.concern(m.Name))
		}
	}
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, initial bool) {
			if !initial && !kind.updatesOnly {
				changed(object)
			}
		},
		UpdateFunc: func(before, after any) {
			b, okBefore := before.(*metav1.PartialObjectMetadata)
			a, okAfter := after.(*metav1.PartialObjectMetadata)
			if okBefore && okAfter && a.ResourceVersion != b.ResourceVersion && (kind.changed == nil || kind.changed(b, a)) {
				changed(after)
			}
		},
		DeleteFunc: func(object any) {
			if !kind.updatesOnly {
				if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
					object = last.Obj
				}
				changed(object)
			}
		},
	}
}

// slim keeps only what the handlers look at.
func slim(object any) (any, error) {
	if m, ok := object.(*metav1.PartialObjectMetadata); ok {
		m.ManagedFields, m.OwnerReferences = nil, nil
		maps.DeleteFunc(m.Annotations, func(key, _ string) bool { return !cover.ForInjectors(key) })
	}
	return object, nil
}
