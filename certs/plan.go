package certs

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// policy is what stays the same while a controller runs.
type policy struct {
	// hosts are what the serving certificate is for.
	hosts []string
	// wait is how long API servers may take to learn a caBundle, and a replica
	// to appear among the Service's endpoints.
	wait time.Duration
}

// step is what to do next: write at most one object, or wait.
type step struct {
	authority *change
	serving   *change
	// trust is what every webhook's caBundle must become.
	trust Bundle
	// reason says, for people, why that is written.
	reason string

	// waiting says what a change of the authority waits for; empty where none is
	// under way. again is when to look again, unless something happens before.
	waiting string
	again   time.Duration

	facts facts
}

// facts are what the metrics tell; a certificate that is not there ends at the
// zero time.
type facts struct {
	authorityEnds, servingEnds time.Time
	trusted                    int
	// foreign says that somebody else keeps what this controller would.
	foreign bool
}

func (s step) writes() bool { return s.authority != nil || s.serving != nil || s.trust != nil }

// change is what a Secret must come to hold; a key without a value must go.
type change struct {
	data SecretData
	// answers says that the request for another authority is thereby met.
	answers bool
}

// next decides what to do about what a look found, and returns what there is to
// remember. The order is that of safety: know, publish, wait, sign, serve, wait,
// forget. Every step leads from a state in which each certificate that a replica
// may serve verifies against each caBundle that an API server may hold, to such
// a state; so none of them needs the following one to happen soon, or at all.
func (p policy) next(found look, seen memory) (step, memory, error) {
	now := found.began
	d := &decision{policy: p, look: found, now: now, ring: readKeyring(found.authority.data, now), published: found.configuration.published()}
	d.facts.trusted = len(d.ring.trust)
	if d.ring.signer != nil {
		d.facts.authorityEnds = d.ring.signer.Certificate.NotAfter
	}
	if pair, err := ParseKeyPair(found.serving.data[corev1.TLSCertKey], found.serving.data[corev1.TLSPrivateKeyKey]); err == nil {
		d.served = append(d.served, pair.Certificate)
		d.facts.servingEnds = pair.Certificate.NotAfter
	}
	for _, replica := range found.replicas.found {
		if replica.err == nil {
			d.served = append(d.served, replica.serves)
		}
	}
	if waiting := found.foreign(); waiting != "" {
		d.facts.foreign = true
		return step{waiting: waiting, again: p.wait, facts: d.facts}, memory{}, nil
	}
	d.unsettled = d.whyUnsettled()
	d.seen.published = seen.published.see(found.configuration.sight(), found.ended)
	d.seen.served = seen.served.see(d.settledOn(), found.ended)

	for _, decide := range []func() (step, error){d.keepAuthorities, d.publish, d.promote, d.serve, d.forget} {
		if next, err := decide(); err != nil || next.writes() {
			// What is written wakes the controller; this is for when it does not.
			next.again, next.facts = p.wait/4, d.facts
			return next, d.seen, err
		}
	}
	return step{waiting: d.waiting, again: d.again(), facts: d.facts}, d.seen, nil
}

// decision is one look on its way to a step.
type decision struct {
	policy
	look
	now       time.Time
	ring      keyring
	published Bundle
	// served are the certificates that are known to be, or to be about to be,
	// served.
	served []*x509.Certificate
	// unsettled says why not every replica is known to serve the signer's
	// certificates; empty: every one is.
	unsettled string
	seen      memory
	waiting   string
	facts     facts
}

// keepAuthorities keeps the record of authorities: nothing that is in use is
// missing in it, there is one to sign with, and none of them nears its end.
func (d *decision) keepAuthorities() (step, error) {
	ring, reasons, answers := d.ring, []string(nil), false
	if unknown := d.unknown(); len(unknown) > 0 {
		ring.trust = ring.trust.with(unknown...)
		reasons = append(reasons, "its record does not name every authority in use")
	}
	if d.strange(ring) {
		ring.signer, ring.next = nil, ring.signer
		reasons = append(reasons, "API servers do not know its authority yet")
	}
	switch {
	case ring.signer == nil && ring.next == nil:
		created, err := NewAuthority(d.now)
		if err != nil {
			return step{}, err
		}
		if reasons = append(reasons, reason(d.authority.data, ring.unusable)); len(ring.trust) == 0 {
			ring.signer = &created // nobody trusts anything that could break
		} else {
			ring.next = &created
		}
	case ring.signer != nil && ring.next == nil && d.due(&reasons):
		created, err := NewAuthority(d.now)
		if err != nil {
			return step{}, err
		}
		ring.next, answers = &created, d.authority.requested
	}
	ring.trust = ring.trust.with(ring.current()...)
	if ring.same(d.ring) {
		return step{}, nil
	}
	if len(reasons) == 0 {
		reasons = append(reasons, caKey+" lacks an authority")
	}
	return d.record(ring, strings.Join(reasons, "; "), answers)
}

// strange says whether somebody else has put the signer in its place, while API
// servers trust others: they must learn it before it signs.
func (d *decision) strange(ring keyring) bool {
	if ring.signer == nil || len(ring.trust) == 0 {
		return false
	}
	recorded, published := ring.trust.contains(ring.signer.Certificate), d.published.contains(ring.signer.Certificate)
	return !recorded || !published && slices.ContainsFunc(d.published, ring.trust.contains)
}

// due says whether another authority should follow the signer, and why.
func (d *decision) due(reasons *[]string) bool {
	switch {
	case d.authority.requested:
		*reasons = append(*reasons, "another authority was asked for")
	case !d.now.Before(d.ring.signer.ChangeAt()):
		*reasons = append(*reasons, "the authority ends at "+d.ring.signer.Certificate.NotAfter.Format(time.RFC3339))
	default:
		return false
	}
	return true
}

// unknown are the authorities that API servers trust, that the record does not
// name, and that a certificate in use depends on. Where there is no record, any
// that is named elsewhere may be depended on.
func (d *decision) unknown() Bundle {
	if len(d.ring.trust) == 0 {
		return d.published.with(ParseBundle(d.serving.data[caKey])...).unexpired(d.now)
	}
	var unknown Bundle
	for _, authority := range d.published.unexpired(d.now).without(d.ring.trust) {
		if d.inUse(authority) {
			unknown = append(unknown, authority)
		}
	}
	return unknown
}

func (d *decision) inUse(authority *x509.Certificate) bool {
	return slices.ContainsFunc(d.served, func(certificate *x509.Certificate) bool {
		return Bundle{authority}.vouchesFor(certificate, d.now)
	})
}

// publish brings the caBundle to what the record says.
func (d *decision) publish() (step, error) {
	for _, webhook := range d.configuration.webhooks {
		if !bytes.Equal(webhook.caBundle, d.ring.trust.PEM()) {
			return step{trust: d.ring.trust, reason: fmt.Sprintf("the caBundle of %s is not what %s of the authority's Secret says", webhook.name, caKey)}, nil
		}
	}
	return step{}, nil
}

// promote lets the next authority sign once API servers have had the time to
// learn it. The old one's key goes.
func (d *decision) promote() (step, error) {
	if d.ring.next == nil {
		return step{}, nil
	}
	if d.seen.published.lasted(d.began) < d.wait {
		d.waiting = fmt.Sprintf("the next authority is published; it signs when API servers have had %s to learn it", d.wait)
		return step{}, nil
	}
	ring := d.ring
	ring.signer, ring.next = ring.next, nil
	return d.record(ring, fmt.Sprintf("API servers have had %s to learn the next authority: it signs from now on", d.wait), false)
}

// forget takes authorities out of the record that no replica serves a
// certificate of any more.
func (d *decision) forget() (step, error) {
	old := d.ring.trust.without(d.ring.current())
	if len(old) == 0 || d.ring.signer == nil {
		return step{}, nil
	}
	if d.unsettled != "" {
		d.waiting = "the old authority stays trusted: " + d.unsettled
		return step{}, nil
	}
	if d.seen.served.lasted(d.began) < d.wait {
		if d.waiting == "" {
			d.waiting = fmt.Sprintf("every replica serves the new authority's certificate; the old one is dropped when that has been so for %s", d.wait)
		}
		return step{}, nil
	}
	ring := d.ring
	ring.trust = ring.trust.without(old)
	return d.record(ring, fmt.Sprintf("every replica has served the new authority's certificate for %s: the old one is dropped", d.wait), false)
}

func (d *decision) record(ring keyring, reason string, answers bool) (step, error) {
	data, err := ring.data()
	return step{authority: &change{data: data, answers: answers}, reason: reason}, err
}

// whyUnsettled says what is not known to serve a certificate of the signer's;
// nothing: every replica does. A cluster without replicas is not a settled one:
// their Service may be broken, and they come back.
func (d *decision) whyUnsettled() string {
	switch {
	case d.ring.signer == nil:
		return "there is no other one yet"
	case d.replicas.err != nil:
		return fmt.Sprintf("the replicas cannot be listed: %v", d.replicas.err)
	case len(d.replicas.found) == 0:
		return "no replica is there to be asked"
	}
	signer := Bundle{d.ring.signer.Certificate}
	for _, replica := range d.replicas.found {
		switch {
		case replica.err != nil:
			return fmt.Sprintf("the replica %s cannot be asked what it serves: %v", replica.address, replica.err)
		case !signer.vouchesFor(replica.serves, d.now):
			return fmt.Sprintf("the replica %s still serves a certificate of it", replica.address)
		}
	}
	return ""
}

// settledOn names the authority that every replica's certificate is of.
func (d *decision) settledOn() string {
	if d.unsettled != "" {
		return ""
	}
	return string(d.ring.signer.Certificate.Raw)
}

// sight names a state of the webhooks that API servers are to learn. That there
// is no configuration is something to learn, too.
func (c configuration) sight() string {
	return fmt.Sprintf("%s at generation %d", c.uid, c.generation)
}

// again is how long nothing needs a look, if nothing happens.
func (d *decision) again() time.Duration {
	if d.waiting != "" {
		return d.wait / 4
	}
	again := d.ring.signer.ChangeAt()
	for _, certificate := range d.served {
		again = earliest(again, KeyPair{Certificate: certificate}.RenewAt())
	}
	return max(again.Sub(d.now), time.Second)
}

func reason(data SecretData, unusable error) string {
	switch {
	case data == nil:
		return "the Secret does not exist"
	case len(data[corev1.TLSCertKey]) == 0:
		return "the Secret holds no certificate"
	}
	return unusable.Error()
}
