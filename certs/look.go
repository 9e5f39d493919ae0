package certs

import (
	"crypto/x509"
	"fmt"
	"time"
)

// look is what one look at the cluster found. It began before the first and
// ended after the last thing was read.
type look struct {
	began, ended  time.Time
	configuration configuration
	serving       secret
	authority     secret
	replicas      replicas
}

// authorities are all that are named anywhere. Others says whether any is not,
// or not yet, the authority's Secret's own: only then it matters what replicas
// serve.
func (l look) authorities() (known Bundle, others bool) {
	ring := readKeyring(l.authority.data, l.began)
	known = ring.current().with(ring.trust...).with(l.configuration.published()...).with(ParseBundle(l.serving.data[caKey])...)
	return known, len(known) > len(ring.current())
}

// foreign says who else keeps what a controller would write; empty: nobody.
func (l look) foreign() string {
	for _, kept := range []struct{ object, by string }{
		{"the webhook configuration", l.configuration.foreign},
		{"the authority's Secret", l.authority.foreign},
		{"the serving Secret", l.serving.foreign},
	} {
		if kept.by != "" {
			return fmt.Sprintf("cert-manager keeps %s (annotation %s): nothing is written. Delete this controller; or, to go on with it, "+
				"delete cert-manager's Certificates and that annotation", kept.object, kept.by)
		}
	}
	return ""
}

// secret is what matters of a Secret; without a version there is none.
type secret struct {
	version string
	data    SecretData
	// requested says that somebody asks for another authority ([RotateAnnotation]).
	requested bool
	// foreign is the annotation by which somebody else keeps it, if any does.
	foreign string
}

// configuration is what matters of the MutatingWebhookConfiguration; without a
// version there is none.
type configuration struct {
	uid, version string
	// generation changes with every change of a webhook.
	generation int64
	webhooks   []webhook
	// foreign is the annotation by which somebody else keeps it, if any does.
	foreign string
}

type webhook struct {
	name     string
	caBundle []byte
}

// published is what API servers that know the configuration trust.
func (c configuration) published() Bundle {
	var published Bundle
	for _, webhook := range c.webhooks {
		published = published.with(ParseBundle(webhook.caBundle)...)
	}
	return published
}

// replicas are the stamper's, as far as they were looked for.
type replicas struct {
	found []replica
	// err says why they could not even be listed.
	err error
}

// replica is what one replica serves: a certificate that some known authority
// vouches for, or the reason why that is not known.
type replica struct {
	address string
	serves  *x509.Certificate
	err     error
}

// memory is what a controller has seen itself, by its own clock, and since
// when. It is lost when the controller ends; the next one waits anew. A time in
// an object would be another controller's, whose clock may be minutes away.
type memory struct {
	// published is the webhook configuration.
	published sighting
	// served is the authority that every replica's certificate is of.
	served sighting
}

// sighting is something and since when it has been seen, at every look. What is
// empty is nothing.
type sighting struct {
	what  string
	since time.Time
}

// see returns the sighting after a look that ended at a time.
func (s sighting) see(what string, ended time.Time) sighting {
	if s.what != what {
		return sighting{what, ended}
	}
	return s
}

// lasted is how long it had been so when a look began.
func (s sighting) lasted(began time.Time) time.Duration {
	if s.what == "" {
		return 0
	}
	return began.Sub(s.since)
}
