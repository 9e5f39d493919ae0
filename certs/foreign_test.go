package certs

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Where cert-manager keeps any of the three objects, nothing is written, whatever is
// wrong with them, and that is said and exported; afterwards all goes on.
func TestWhatCertManagerKeepsIsLeftAlone(t *testing.T) {
	for _, tt := range []struct {
		name string
		mark func(c *cluster, annotation string)
		want string
	}{
		{"the webhook configuration", func(c *cluster, annotation string) {
			changed := c.config
			changed.foreign = annotation
			c.configure(changed, false)
		}, certManagerInjects + "ca-from"},
		{"the authority's Secret", func(c *cluster, annotation string) { c.keep(caSecret, annotation) }, certManagerSecret},
		{"the serving Secret", func(c *cluster, annotation string) { c.keep(tlsSecret, annotation) }, certManagerSecret},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, controller := settled(t)
			c.setBundle([]byte("somebody else's"))
			c.edit(tlsSecret, SecretData{"tls.crt": []byte("somebody else's")})
			tt.mark(c, tt.want)

			written, waiting := c.settle(t, controller)
			checkWritten(t, written)
			if !strings.Contains(waiting, "cert-manager keeps "+tt.name+" (annotation "+tt.want+")") {
				t.Errorf("it waits for %q", waiting)
			}
			if exported := testutil.ToFloat64(controller.metrics.foreign); exported != 1 {
				t.Errorf("the metric says %v, want 1", exported)
			}

			tt.mark(c, "")
			if written, _ = c.settle(t, controller); len(written) == 0 {
				t.Error("nothing is put right afterwards")
			}
			if exported := testutil.ToFloat64(controller.metrics.foreign); exported != 0 {
				t.Errorf("the metric says %v afterwards, want 0", exported)
			}
		})
	}
}

// keep is an annotation on a Secret; empty: none any more.
func (c *cluster) keep(name, annotation string) {
	read := c.secrets[name]
	read.foreign = annotation
	c.secrets[name] = read
}

func TestAnnotated(t *testing.T) {
	for _, tt := range []struct {
		annotations     map[string]string
		beginning, want string
	}{
		{nil, certManagerSecret, ""},
		{map[string]string{"cert-manager.io/certificate-name": "x"}, certManagerSecret, "cert-manager.io/certificate-name"},
		{map[string]string{"cert-manager.io/allow-direct-injection": "true"}, certManagerSecret, ""},
		{map[string]string{"cert-manager.io/inject-ca-from-secret": "a/b"}, certManagerInjects, "cert-manager.io/inject-ca-from-secret"},
		{map[string]string{"cert-manager.io/certificate-name": "x"}, certManagerInjects, ""},
	} {
		if got := annotated(tt.annotations, tt.beginning); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.annotations, got, tt.want)
		}
	}
}
