package certs

import (
	"strings"
	"testing"
)

func TestOptionsValidate(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Options)
		want   string // what the error says; empty: valid
	}{
		{"the defaults", func(*Options) {}, ""},
		{"no namespace", func(o *Options) { o.Namespace = "" }, `namespace name ""`},
		{"no authority Secret", func(o *Options) { o.AuthoritySecret = "" }, `authority Secret name ""`},
		{"a serving Secret's name in capitals", func(o *Options) { o.ServingSecret = "TLS" }, `serving Secret name "TLS"`},
		{"no webhook configuration", func(o *Options) { o.WebhookConfiguration = "" }, `MutatingWebhookConfiguration name ""`},
		{"no lease", func(o *Options) { o.Lease = "" }, `Lease name ""`},
		{"one Secret for both", func(o *Options) { o.ServingSecret = o.AuthoritySecret }, "need two Secrets"},
		{"an IP address", func(o *Options) { o.Hosts = []string{"127.0.0.1"} }, ""},
		{"no hosts", func(o *Options) { o.Hosts = nil }, "no host"},
		{"no Service", func(o *Options) { o.Service = "" }, `Service name ""`},
		{"a replica", func(o *Options) { o.Replicas = []string{"[::1]:9443"} }, ""},
		{"a replica without a port", func(o *Options) { o.Replicas = []string{"127.0.0.1"} }, `replica "127.0.0.1" is not HOST:PORT`},
		{"no wait", func(o *Options) { o.PropagationWait = 0 }, "a propagation wait of 0s"},
		{"a URL for a host", func(o *Options) { o.Hosts = []string{"https://localhost"} }, `host "https://localhost"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			options := DefaultOptions()
			test.change(&options)
			err := options.Validate()
			switch {
			case test.want == "" && err != nil:
				t.Errorf("Validate: %v, want no error", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("Validate: %v, want an error that says %q", err, test.want)
			}
		})
	}
}
