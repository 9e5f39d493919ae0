package service

import (
	"context"
	"errors"
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

	"github.com/sidecar-drift/sidecar-drift/auditor"
	"github.com/sidecar-drift/sidecar-drift/auditor/config"
)

// changes collect what asks for an audit. The zero value is ready for use, but for
// woken.
type changes struct {
	woken chan struct{} // holds one

	mu    sync.Mutex
	asked bool
	scope auditor.Scope
	why   string
}

func newChanges() *changes { return &changes{woken: make(chan struct{}, 1)} }

// ask asks for a round. The widest that was asked for is the one to come.
func (c *changes) ask(scope auditor.Scope, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked || scope >= c.scope {
		c.asked, c.scope, c.why = true, scope, why
	}
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// take returns what was asked for since it was last called, but no less than the
// given round.
func (c *changes) take(scope auditor.Scope, why string) (auditor.Scope, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked && c.scope >= scope {
		scope, why = c.scope, c.why
	}
	c.asked, c.why = false, ""
	return scope, why
}

// watched is a kind whose changes matter.
type watched struct {
	schema.GroupVersionKind
	namespace, name string // one object; empty: all
	// changed tells whether an update matters; nil: each does.
	changed func(before, after *metav1.PartialObjectMetadata) bool
	// updatesOnly: that an object comes or goes changes no verdict by itself.
	updatesOnly bool
	// scope is what a change asks for.
	scope auditor.Scope
}

// generation tells a changed specification. An object that was replaced while
// nobody watched is another one in the same generation.
func generation(before, after *metav1.PartialObjectMetadata) bool {
	return before.Generation != after.Generation || before.UID != after.UID
}

func namespaceLabels(before, after *metav1.PartialObjectMetadata) bool {
	return !apiequality.Semantic.DeepEqual(before.Labels, after.Labels)
}

// watchedKinds are those that decide which Pods are asked about at all: when they
// change, classes are others.
func watchedKinds() []watched {
	const admission = "admissionregistration.k8s.io"
	kinds := []watched{
		{
			GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "Namespace"},
			changed:          namespaceLabels, updatesOnly: true, scope: auditor.Everything,
		},
	}
	for _, kind := range []string{
		"MutatingWebhookConfiguration", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
		"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
	} {
		kinds = append(kinds, watched{
			GroupVersionKind: schema.GroupVersionKind{Group: admission, Version: "v1", Kind: kind},
			changed:          generation, scope: auditor.Everything,
		})
	}
	return kinds
}

// watchedObjects are single objects of the configuration. Whether a change of an
// injector's template matters, and where, the sentinels tell.
func watchedObjects(objects []config.Object) []watched {
	var kinds []watched
	for _, o := range objects {
		kinds = append(kinds, watched{
			GroupVersionKind: schema.FromAPIVersionAndKind(o.APIVersion, o.Kind), namespace: o.Namespace, name: o.Name,
			scope: auditor.Sentinels,
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
		why := kind.Kind
		if m, ok := object.(*metav1.PartialObjectMetadata); ok {
			why += " " + m.Name
		}
		c.ask(kind.scope, why)
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
		m.ManagedFields, m.Annotations, m.OwnerReferences = nil, nil, nil
	}
	return object, nil
}
