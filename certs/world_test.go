package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	caSecret  = "sidecar-drift-ca"
	tlsSecret = "sidecar-drift-webhook-tls"
)

// cluster is a cluster as controllers of certificates see it: objects that
// change under optimistic concurrency, API servers that learn of changes later,
// and replicas that serve what was in the Secret at some time.
type cluster struct {
	clock    time.Time
	versions int
	secrets  map[string]secret
	config   configuration
	replicas []*replicaInCluster

	writes    int
	published []publication   // all that there ever were, the last one still is
	issued    map[string]bool // certificates that a controller has put into the serving Secret
	destroyed Bundle          // authorities that somebody has removed every trace of
	note      func(string)    // of a controller's writes
	vouched   map[[2]*x509.Certificate]bool
}

// publication is a state of the webhook configuration, and when it was replaced.
type publication struct {
	configuration
	trust Bundle
	until time.Time // zero: it is in force
	ours  bool      // a controller's, not a vandal's
}

// replicaInCluster serves a certificate, or waits for one.
type replicaInCluster struct {
	name      string
	serves    *x509.Certificate
	reachable bool
	listed    time.Time // from when on it is among the endpoints
}

func newCluster() *cluster {
	c := &cluster{clock: start, secrets: map[string]secret{}, issued: map[string]bool{}, note: func(string) {}, vouched: map[[2]*x509.Certificate]bool{}}
	c.applyConfiguration()
	return c
}

// applyConfiguration creates the webhook configuration, with no caBundle.
func (c *cluster) applyConfiguration() {
	c.configure(configuration{uid: fmt.Sprint("uid-", c.versions), webhooks: []webhook{{name: "stamp.sidecar-drift.io"}}}, false)
}

func (c *cluster) configure(next configuration, ours bool) {
	c.versions++
	next.version = fmt.Sprint(c.versions)
	next.generation = c.config.generation + 1
	c.end()
	c.config = next
	c.published = append(c.published, publication{configuration: next, trust: next.published(), ours: ours})
}

func (c *cluster) end() {
	if len(c.published) > 0 && c.published[len(c.published)-1].until.IsZero() {
		c.published[len(c.published)-1].until = c.clock
	}
}

func (c *cluster) deleteConfiguration() {
	c.end()
	c.config = configuration{}
}

// setBundle is somebody else's write.
func (c *cluster) setBundle(text []byte) {
	changed := c.config
	changed.webhooks = []webhook{{name: "stamp.sidecar-drift.io", caBundle: text}}
	c.configure(changed, false)
}

// setSecret is somebody else's write; nil deletes.
func (c *cluster) setSecret(name string, data SecretData) {
	if data == nil {
		delete(c.secrets, name)
		return
	}
	c.versions++
	c.secrets[name] = secret{version: fmt.Sprint(c.versions), data: data, requested: c.secrets[name].requested}
}

// edit is somebody else's write of some keys.
func (c *cluster) edit(name string, keys SecretData) {
	if read, ok := c.secrets[name]; ok {
		changed := maps.Clone(read.data)
		maps.Copy(changed, keys)
		c.setSecret(name, changed)
	}
}

func (c *cluster) request() {
	if read, ok := c.secrets[caSecret]; ok {
		read.requested = true
		c.versions++
		read.version = fmt.Sprint(c.versions)
		c.secrets[caSecret] = read
	}
}

// mount is the kubelet's update of a replica's volume. A pair that cannot be
// read is not served, and what was read before is kept.
func (r *replicaInCluster) mount(data SecretData) {
	if pair, err := ParseKeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey]); err == nil {
		r.serves = pair.Certificate
	}
}

func (c *cluster) ring() keyring { return readKeyring(c.secrets[caSecret].data, c.clock) }

// known are the authorities that are named anywhere.
func (c *cluster) known() Bundle {
	known, _ := look{began: c.clock, configuration: c.config, serving: c.secrets[tlsSecret], authority: c.secrets[caSecret]}.authorities()
	return known
}

// broken returns a certificate that may be served and that an API server may
// not trust: each may know any configuration that was in force in the last
// delay. What vandals wrote, and authorities of which they left no trace, do not
// count.
func (c *cluster) broken(delay time.Duration) error {
	c.published = slices.DeleteFunc(c.published, func(p publication) bool {
		return !p.until.IsZero() && !p.until.Add(delay).After(c.clock)
	})
	for _, publication := range c.published {
		trust := publication.trust
		if !publication.ours || containsAny(trust, c.destroyed) {
			continue
		}
		for _, replica := range c.replicas {
			if replica.serves == nil || !c.issued[string(replica.serves.Raw)] || c.clock.After(replica.serves.NotAfter) ||
				c.vouches(c.destroyed, replica.serves) || c.vouches(trust, replica.serves) {
				continue
			}
			return fmt.Errorf("an API server may know generation %d of the configuration, whose caBundle (%v) does not vouch for what %s serves (issued by %s)",
				publication.generation, names(trust), replica.name, replica.serves.Issuer.CommonName)
		}
	}
	return nil
}

// vouches remembers, as signatures take their time.
func (c *cluster) vouches(trust Bundle, certificate *x509.Certificate) bool {
	for _, authority := range trust {
		key := [2]*x509.Certificate{authority, certificate}
		vouches, ok := c.vouched[key]
		if !ok {
			vouches = Bundle{authority}.vouchesFor(certificate, certificate.NotAfter)
			c.vouched[key] = vouches
		}
		if vouches {
			return true
		}
	}
	return false
}

func containsAny(bundle, other Bundle) bool { return len(bundle.without(other)) < len(bundle) }

func names(bundle Bundle) []string {
	var names []string
	for _, certificate := range bundle {
		names = append(names, certificate.Subject.CommonName)
	}
	return names
}

// access is the cluster as one controller sees it, with a clock of its own.
type access struct {
	*cluster
	skew time.Duration
	// pause is called before whatever the controller does, and fails once it is
	// killed.
	pause func() error
}

func (a *access) now() time.Time { return a.clock.Add(a.skew) }

func (a *access) configuration(context.Context) (configuration, error) {
	err := a.pause()
	return a.config, err
}

func (a *access) secret(_ context.Context, name string) (secret, error) {
	err := a.pause()
	return a.secrets[name], err
}

func (a *access) replicas(_ context.Context, trust Bundle) replicas {
	var all replicas
	for _, r := range a.cluster.replicas {
		if r.listed.After(a.clock) {
			continue
		}
		killed := a.pause()
		asked := replica{address: r.name, serves: r.serves}
		switch {
		case killed != nil || !r.reachable || r.serves == nil:
			asked.err = errors.New("connection refused")
		case !trust.vouchesFor(r.serves, a.clock):
			asked.err = errors.New("unknown authority")
		}
		all.found = append(all.found, asked)
	}
	return all
}

var errConflict = apierrors.NewConflict(schema.GroupResource{}, "object", errors.New("it has changed"))

func (a *access) reserve(_ context.Context, name string) error {
	if err := a.pause(); err != nil {
		return err
	}
	if read, ok := a.secrets[name]; ok && len(read.data[corev1.TLSCertKey]) > 0 {
		return errConflict
	}
	a.writes++
	a.setSecret(name, SecretData{corev1.TLSCertKey: {}, corev1.TLSPrivateKeyKey: {}})
	return nil
}

func (a *access) writeSecret(_ context.Context, name string, read secret, change change) error {
	if err := a.pause(); err != nil {
		return err
	}
	if a.secrets[name].version != read.version {
		return errConflict
	}
	data := maps.Clone(read.data)
	for key, value := range change.data {
		if data[key] = value; value == nil {
			delete(data, key)
		}
	}
	a.writes++
	ring := readKeyring(data, a.clock)
	a.note(fmt.Sprintf("a controller writes %s: current %v trust %v, signer %v", name, names(ring.current()), names(ring.trust), ring.signer != nil))
	a.setSecret(name, data)
	written := a.secrets[name]
	written.requested = read.requested && !change.answers
	a.secrets[name] = written
	if pair, err := ParseKeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey]); err == nil && name == tlsSecret {
		a.issued[string(pair.Certificate.Raw)] = true
	}
	return nil
}

func (a *access) writeBundle(_ context.Context, read configuration, trust Bundle) error {
	if err := a.pause(); err != nil {
		return err
	}
	if a.config.version != read.version {
		return errConflict
	}
	a.writes++
	a.note(fmt.Sprint("a controller publishes ", names(trust)))
	changed := read
	changed.webhooks = []webhook{{name: read.webhooks[0].name, caBundle: trust.PEM()}}
	a.configure(changed, true)
	return nil
}

const wait = 2 * time.Minute

// newController is a controller that has seen nothing yet.
func newController(world world) *reconciler {
	return &reconciler{
		world: world, policy: policy{hosts: hosts, wait: wait},
		authoritySecret: caSecret, servingSecret: tlsSecret,
		metrics: newMetrics(prometheus.NewRegistry()),
	}
}

// alone is the only controller of a cluster, which nothing interrupts.
func (c *cluster) alone() *reconciler {
	return newController(&access{cluster: c, pause: func() error { return nil }})
}

// settle lets a controller go on until it has nothing to write. It returns what
// was written and why, and what is waited for then.
func (c *cluster) settle(t *testing.T, controller *reconciler) (written []string, waiting string) {
	t.Helper()
	for range 20 {
		taken, err := controller.advance(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var what string
		switch {
		case taken.authority != nil:
			what = "authority"
		case taken.serving != nil:
			what = "serving"
		case taken.trust != nil:
			what = "caBundle"
		default:
			return written, taken.waiting
		}
		written = append(written, what+": "+taken.reason)
	}
	t.Fatalf("after 20 steps there is still something to write: %q", written)
	return nil, ""
}

// checkSettled checks that a change of the authority is over, and that all
// three objects and the replicas agree.
func (c *cluster) checkSettled(t *testing.T) {
	t.Helper()
	ring := c.ring()
	if ring.signer == nil || ring.next != nil || len(ring.trust) != 1 || !ring.trust.contains(ring.signer.Certificate) || c.secrets[caSecret].requested {
		t.Fatalf("the authority's Secret has: signer %v, next %v, trust %v, requested %v", ring.signer != nil, ring.next != nil, names(ring.trust), c.secrets[caSecret].requested)
	}
	for _, webhook := range c.config.webhooks {
		if !bytes.Equal(webhook.caBundle, ring.trust.PEM()) {
			t.Error("the caBundle is not what the authority's Secret says")
		}
	}
	serving := c.secrets[tlsSecret].data
	if !bytes.Equal(serving[caKey], ring.trust.PEM()) {
		t.Errorf("the serving Secret's %s is not what the authority's Secret says", caKey)
	}
	pair, err := ParseKeyPair(serving[corev1.TLSCertKey], serving[corev1.TLSPrivateKeyKey])
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.trust.Verify(pair.Certificate, hosts, c.clock); err != nil {
		t.Error(err)
	}
}
