package policies

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/sidecar-drift/sidecar-drift/auditor/candidate"
)

const (
	// readyWithin bounds how long policies, namespaces and parameters are read.
	readyWithin = time.Minute
	// readEvery is how often it is looked whether the API's schema, and parameters, are there.
	readEvery = 50 * time.Millisecond
)

// Policies are candidates, and answer for them. They may be used concurrently.
type Policies struct {
	set        *Set
	mutating   admission.MutationInterface   // nil: none
	validating admission.ValidationInterface // nil: none
	authorizer *reviewer
	askers     *candidate.Askers
	stop       func()
}

// Connect has the candidates see the cluster with the rights of the configuration. It reads
// namespaces, what the policies have as parameters and, for mutating ones, the API's schema.
// Close must be called.
func Connect(ctx context.Context, cfg *rest.Config, set *Set) (*Policies, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.ContentConfig = rest.ContentConfig{ContentType: "application/json", AcceptContentTypes: "application/json"}
	cfg.QPS = -1
	present, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(present.Discovery()))
	if err := set.stored(ctx, cfg, mapper); err != nil {
		return nil, err
	}
	over, err := newOverlay(ctx, cfg, set, mapper)
	if err != nil {
		return nil, err
	}
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		each := *over
		each.next = next
		return &each
	})
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	anything, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, set, client, anything, mapper)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for path, read := range over.read {
		select {
		case <-read:
		case <-ctx.Done():
			p.Close()
			return nil, fmt.Errorf("the parameters of policies, %s, could not be read within %s: this identity must be allowed to list and watch them", path, readyWithin)
		}
	}
	return p, nil
}

// start runs the API server's plugins until Close.
func start(ctx context.Context, set *Set, client kubernetes.Interface, anything dynamic.Interface, mapper meta.RESTMapper) (*Policies, error) {
	stopped := make(chan struct{})
	p := &Policies{set: set, authorizer: newReviewer(client), askers: candidate.NewAskers(client), stop: sync.OnceFunc(func() { close(stopped) })}
	factory := informers.NewSharedInformerFactory(client, 0)
	var plugins []admission.Interface
	if set.has(mutatingPolicies) {
		plugin, err := mutating.NewPlugin(nil)
		if err != nil {
			return nil, err
		}
		plugin.SetEnabled(true) // whatever this library's feature gates say
		p.mutating = plugin
		plugins = append(plugins, plugin)
	}
	if set.has(validatingPolicies) {
		plugin, err := validating.NewPlugin(nil)
		if err != nil {
			return nil, err
		}
		p.validating = plugin
		plugins = append(plugins, plugin)
	}
	for _, plugin := range plugins {
		initialize(plugin, client, anything, factory, mapper, p.authorizer, stopped)
		if err := plugin.(admission.InitializationValidator).ValidateInitialization(); err != nil {
			p.Close()
			return nil, err
		}
	}
	factory.Start(stopped)
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for _, plugin := range plugins {
		ready := plugin.(interface{ WaitForReady() bool })
		for !ready.WaitForReady() { // it waits for some seconds itself
			if ctx.Err() != nil {
				p.Close()
				return nil, fmt.Errorf("policies, namespaces or parameters could not be read within %s: this identity must be allowed to list and watch namespaces and what policies have as parameters", readyWithin)
			}
		}
	}
	return p, nil
}

func initialize(plugin admission.Interface, client kubernetes.Interface, anything dynamic.Interface, factory informers.SharedInformerFactory, mapper meta.RESTMapper, authorizer *reviewer, stopped <-chan struct{}) {
	if wants, ok := plugin.(initializer.WantsExternalKubeClientSet); ok {
		wants.SetExternalKubeClientSet(client)
	}
	if wants, ok := plugin.(initializer.WantsExternalKubeInformerFactory); ok {
		wants.SetExternalKubeInformerFactory(factory)
	}
	if wants, ok := plugin.(initializer.WantsRESTMapper); ok {
		wants.SetRESTMapper(mapper)
	}
	if wants, ok := plugin.(initializer.WantsDynamicClient); ok {
		wants.SetDynamicClient(anything)
	}
	if wants, ok := plugin.(initializer.WantsDrainedNotification); ok {
		wants.SetDrainedNotification(stopped)
	}
	if wants, ok := plugin.(initializer.WantsUnconditionalAuthorizer); ok {
		wants.SetUnconditionalAuthorizer(authorizer)
	}
}

// Close ends what Connect began.
func (p *Policies) Close() { p.stop() }

// creation is the attributes of the creation of a Pod, and what policies warn of.
type creation struct {
	admission.Attributes
	object *unstructured.Unstructured
	as     user.Info

	mu       sync.Mutex
	warnings []string
}

var (
	pods    = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	podKind = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
)

func newCreation(namespace string, pod map[string]any, as user.Info) *creation {
	object := &unstructured.Unstructured{Object: pod}
	return &creation{object: object, as: as, Attributes: admission.NewAttributesRecord(
		object, nil, podKind, namespace, object.GetName(), pods, "", admission.Create,
		&metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}, true, as,
	)}
}

// AddWarning is warning.Recorder's.
func (c *creation) AddWarning(_, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.warnings, text) {
		c.warnings = append(c.warnings, text)
	}
}

// admit has the mutating policies change the Pod in its place.
func (p *Policies) admit(ctx context.Context, c *creation) error {
	if err := onceRead(ctx, func() error { return p.mutating.Admit(ctx, c, objects{}) }); err != nil {
		return err
	}
	if again := c.GetReinvocationContext(); again.ShouldReinvoke() {
		again.SetIsReinvoke()
		return p.mutating.Admit(ctx, c, objects{})
	}
	return nil
}

// validate has the validating policies judge the Pod.
func (p *Policies) validate(ctx context.Context, c *creation) error {
	ctx = warning.WithWarningRecorder(ctx, c)
	return onceRead(ctx, func() error { return p.validating.Validate(ctx, c, objects{}) })
}

// onceRead asks again while something is still being read in the background.
func onceRead(ctx context.Context, ask func() error) error {
	var err error
	_ = wait.PollUntilContextTimeout(ctx, readEvery, readyWithin, true, func(context.Context) (bool, error) {
		err = ask()
		// k8s.io/apiserver pkg/admission/plugin/policy/generic/policy_dispatcher.go
		unread := apierrors.IsServiceUnavailable(err) || err != nil && strings.Contains(err.Error(), "not yet synced to use for admission")
		return !unread, nil
	})
	return err
}

// objects say of any object what it says of itself, as the API server has it of custom
// resources. Policies that match a Pod match it as v1.
type objects struct{}

func (objects) GetObjectCreater() runtime.ObjectCreater     { return maker{} }
func (objects) GetObjectTyper() runtime.ObjectTyper         { return typer }
func (objects) GetObjectDefaulter() runtime.ObjectDefaulter { return defaulter{} }
func (objects) GetObjectConvertor() runtime.ObjectConvertor { return convertor{} }
func (objects) GetEquivalentResourceMapper() runtime.EquivalentResourceMapper {
	return runtime.NewEquivalentResourceRegistry()
}

// stored asks the API server whether it would store the policies, and takes them as it would.
// Who may not even ask that takes them as they are written.
func (s *Set) stored(ctx context.Context, cfg *rest.Config, mapper meta.RESTMapper) error {
	anything, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return err
	}
	for _, object := range s.written {
		gvk := object.GroupVersionKind()
		mapping, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if meta.IsNoMatchError(err) {
			return fmt.Errorf("%s/%s: the cluster does not serve %s", object.GetKind(), object.GetName(), gvk.GroupVersion())
		}
		if err != nil {
			return err
		}
		if err := s.compare(ctx, anything.Resource(mapping.Resource), object); err != nil {
			return err
		}
		_, err = anything.Resource(mapping.Resource).Apply(ctx, object.GetName(), &object, metav1.ApplyOptions{
			FieldManager: fieldManager, Force: true, DryRun: []string{metav1.DryRunAll},
		})
		if apierrors.IsForbidden(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("the API server would not store %s/%s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

const fieldManager = "sidecar-drift"
