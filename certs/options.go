package certs

import (
	"errors"
	"fmt"
	"net"

	"github.com/go-logr/logr"
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
	// Lease is the name of the Lease by which replicas elect their leader.
	Lease string
	// MetricsBindAddress and HealthProbeBindAddress are host:port; "0" turns
	// either server off.
	MetricsBindAddress     string
	HealthProbeBindAddress string
	Logger                 logr.Logger
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
		Lease:                  "sidecar-drift-certs",
		MetricsBindAddress:     ":8080",
		HealthProbeBindAddress: ":8081",
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
	return errors.Join(problems...)
}
