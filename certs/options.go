package certs

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Options say which objects the controller looks after and where it listens.
type Options struct {
	// Namespace holds both Secrets and the leader's Lease.
	Namespace string
	// AuthoritySecret and ServingSecret are the names of the two Secrets.
	AuthoritySecret string
	ServingSecret   string
	// WebhookConfiguration is the MutatingWebhookConfiguration whose webhooks
	// all get the caBundle.
	WebhookConfiguration string
	// Hosts are the DNS names and IP addresses by which API servers, and
	// whoever else, call the stamper.
	Hosts []string
	// Service is the name of the Service whose endpoints are the stamper's
	// replicas. Replicas, if any are given, are asked instead: HOST:PORT each.
	Service  string
	Replicas []string
	// PropagationWait is how long API servers may take to learn a changed
	// caBundle, of which they tell nobody. Twice in a change of the authority that
	// much time passes.
	PropagationWait time.Duration
	// Now is the clock by which certificates are valid, due and waited for.
	Now func() time.Time
	// Lease is the name of the Lease by which replicas elect their leader.
	Lease string
	// MetricsBindAddress and HealthProbeBindAddress are host:port; "0" turns
	// either server off.
	MetricsBindAddress     string
	HealthProbeBindAddress string
	// Registry gets the controller's own metrics. The manager serves
	// controller-runtime's.
	Registry prometheus.Registerer
	Logger   logr.Logger
}

// DefaultOptions fit the objects in manifests/.
func DefaultOptions() Options {
	return Options{
		Namespace:            "sidecar-drift",
		AuthoritySecret:      "sidecar-drift-ca",
		ServingSecret:        "sidecar-drift-webhook-tls",
		WebhookConfiguration: "zz-sidecar-drift",
		Hosts: []string{
			"sidecar-drift-webhook",
			"sidecar-drift-webhook.sidecar-drift",
			"sidecar-drift-webhook.sidecar-drift.svc",
			"sidecar-drift-webhook.sidecar-drift.svc.cluster.local",
		},
		Service:                "sidecar-drift-webhook",
		PropagationWait:        2 * time.Minute,
		Now:                    time.Now,
		Lease:                  "sidecar-drift-certs",
		MetricsBindAddress:     ":8080",
		HealthProbeBindAddress: ":8081",
		Registry:               prometheus.NewRegistry(),
		Logger:                 logr.Discard(),
	}
}

// Validate says, before any cluster is asked, what could not work.
func (o Options) Validate() error {
	var problems []error
	named := []struct{ what, name string }{
		{"namespace", o.Namespace},
		{"authority Secret", o.AuthoritySecret},
		{"serving Secret", o.ServingSecret},
		{"MutatingWebhookConfiguration", o.WebhookConfiguration},
		{"Service", o.Service},
		{"Lease", o.Lease},
	}
	for _, object := range named {
		for _, problem := range validation.IsDNS1123Subdomain(object.name) {
			problems = append(problems, fmt.Errorf("%s name %q: %s", object.what, object.name, problem))
		}
	}
	if o.AuthoritySecret == o.ServingSecret {
		problems = append(problems, fmt.Errorf("the authority and the serving certificate need two Secrets, not %q for both", o.AuthoritySecret))
	}
	if len(o.Hosts) == 0 {
		problems = append(problems, errors.New("no host given for the serving certificate"))
	}
	for _, host := range o.Hosts {
		if net.ParseIP(host) != nil {
			continue
		}
		for _, problem := range validation.IsDNS1123Subdomain(host) {
			problems = append(problems, fmt.Errorf("host %q: %s", host, problem))
		}
	}
	for _, replica := range o.Replicas {
		if _, _, err := net.SplitHostPort(replica); err != nil {
			problems = append(problems, fmt.Errorf("replica %q is not HOST:PORT: %w", replica, err))
		}
	}
	if o.PropagationWait <= 0 {
		problems = append(problems, fmt.Errorf("a propagation wait of %s: API servers need some time to learn a caBundle", o.PropagationWait))
	}
	return errors.Join(problems...)
}
