package certs

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// everything is the controller's only work item: the three objects make sense
// together only.
var everything = reconcile.Request{}

// Run keeps the Secrets and the caBundle as they should be until ctx is done,
// and returns nil then. It returns an error if the options are invalid, if an
// address is taken, or if leadership is lost; the process should end with it
// and be started again.
func Run(ctx context.Context, config *rest.Config, options Options) error {
	if err := options.Validate(); err != nil {
		return err
	}
	mgr, err := newManager(config, options)
	if err != nil {
		return fmt.Errorf("set up the certificate controller: %w", err)
	}
	if err := mgr.Start(logr.NewContext(ctx, options.Logger)); err != nil {
		return fmt.Errorf("run the certificate controller: %w", err)
	}
	return nil
}

func newManager(config *rest.Config, options Options) (manager.Manager, error) {
	config = rest.CopyConfig(config)
	config.WarningHandler = rest.NoWarnings{} // of Secrets that are meant to be empty yet
	mgr, err := manager.New(config, manager.Options{
		Logger:                        options.Logger,
		LeaderElection:                true,
		LeaderElectionNamespace:       options.Namespace,
		LeaderElectionID:              options.Lease,
		LeaderElectionReleaseOnCancel: true,
		Metrics:                       metricsserver.Options{BindAddress: options.MetricsBindAddress},
		HealthProbeBindAddress:        options.HealthProbeBindAddress,
		// Watches only wake the controller. It decides on what the API server
		// says at that moment: replacing an authority because a cache lags
		// would break admission, and no private key needs to be cached.
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{
			&corev1.Secret{}, &admissionregistrationv1.MutatingWebhookConfiguration{}, &discoveryv1.EndpointSlice{},
		}}},
	})
	if err != nil {
		return nil, err
	}
	for name, add := range map[string]func(string, healthz.Checker) error{"healthz": mgr.AddHealthzCheck, "readyz": mgr.AddReadyzCheck} {
		if err := add(name, healthz.Ping); err != nil {
			return nil, err
		}
	}
	return mgr, addController(mgr, options)
}

func addController(mgr manager.Manager, options Options) error {
	skipNameValidation := true // two managers of one process, as in tests, are two controllers
	certificates, err := controller.New("certs", mgr, controller.Options{
		Reconciler: &reconciler{
			world:           &objects{client: mgr.GetClient(), options: options},
			policy:          policy{hosts: options.Hosts, wait: options.PropagationWait},
			authoritySecret: options.AuthoritySecret,
			servingSecret:   options.ServingSecret,
			metrics:         newMetrics(options.Registry),
		},
		SkipNameValidation: &skipNameValidation,
		LogConstructor:     func(*reconcile.Request) logr.Logger { return options.Logger },
	})
	if err != nil {
		return err
	}
	secrets := corev1.SchemeGroupVersion.WithKind("Secret")
	configurations := admissionregistrationv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration")
	watched := []struct {
		kind            schema.GroupVersionKind
		namespace, name string
	}{
		{secrets, options.Namespace, options.AuthoritySecret},
		{secrets, options.Namespace, options.ServingSecret},
		{configurations, cache.AllNamespaces, options.WebhookConfiguration},
	}
	for _, object := range watched {
		events, err := watchOne(mgr, object.kind, object.namespace, object.name)
		if err != nil {
			return fmt.Errorf("watch %s %s: %w", object.kind.Kind, object.name, err)
		}
		if err := certificates.Watch(events); err != nil {
			return fmt.Errorf("watch %s %s: %w", object.kind.Kind, object.name, err)
		}
	}
	// No event tells of objects that do not exist.
	return certificates.Watch(source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue.Add(everything)
		return nil
	}))
}

// watchOne wakes the controller when one named object changes. Each has a
// cache of its own, since RBAC allows list and watch by resourceNames only to
// requests with exactly that field selector; only metadata is kept.
func watchOne(mgr manager.Manager, kind schema.GroupVersionKind, namespace, name string) (source.Source, error) {
	named, err := cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient:           mgr.GetHTTPClient(),
		Scheme:               mgr.GetScheme(),
		Mapper:               mgr.GetRESTMapper(),
		DefaultNamespaces:    map[string]cache.Config{namespace: {}},
		DefaultFieldSelector: fields.OneTermEqualSelector("metadata.name", name),
	})
	if err != nil {
		return nil, err
	}
	if err := mgr.Add(named); err != nil {
		return nil, err
	}
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(kind)
	wake := func(context.Context, *metav1.PartialObjectMetadata) []reconcile.Request {
		return []reconcile.Request{everything}
	}
	return source.Kind(named, object, handler.TypedEnqueueRequestsFromMapFunc(wake)), nil
}
