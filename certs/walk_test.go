package certs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// FuzzChangesOfTheAuthority walks through random interleavings of two
// controllers, whose clocks differ and which freeze and are killed between any two
// things that they do, of replicas, of time, and of people and tools that
// delete, damage and overwrite. At every moment, each certificate that a replica
// may serve must verify against each caBundle that an API server may know, and
// when all that ends, the controllers must come to rest.
func FuzzChangesOfTheAuthority(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := newWalk(t, seed)
		for range 600 {
			w.step()
		}
		w.comeToRest()
	})
}

type walk struct {
	*cluster
	t       *testing.T
	random  *rand.Rand
	actors  []*actor
	history []string
}

// actor is a controller that does one thing at a time.
type actor struct {
	*access
	// frozen is for how many steps of the walk it does nothing, wherever it is.
	frozen int
	next   func() (struct{}, bool)
	stop   func()
}

func newWalk(t *testing.T, seed uint64) *walk {
	w := &walk{cluster: newCluster(), t: t, random: rand.New(rand.NewPCG(seed, 0))}
	w.cluster.note = w.note
	for range 2 {
		skew := time.Duration(w.random.IntN(20)-10) * time.Minute
		a := &actor{access: &access{cluster: w.cluster, skew: skew}}
		a.start(w)
		w.actors = append(w.actors, a)
		t.Cleanup(func() { a.stop() })
	}
	for range 3 {
		w.addReplica()
	}
	return w
}

var errKilled = errors.New("killed")

// start starts a controller that knows nothing, and that goes on for ever.
func (a *actor) start(w *walk) {
	a.next, a.stop = iter.Pull(func(yield func(struct{}) bool) {
		killed := false
		a.pause = func() error {
			if killed = killed || !yield(struct{}{}); killed {
				return errKilled
			}
			return nil
		}
		for controller := newController(a.access); !killed; {
			_, err := controller.advance(context.Background())
			if err != nil && !killed && !apierrors.IsConflict(err) {
				w.t.Errorf("a controller fails: %v", err)
			}
		}
	})
}

func (w *walk) step() {
	w.t.Helper()
	switch n := w.random.IntN(100); {
	case n < 69:
		a := w.actors[w.random.IntN(2)]
		if a.frozen--; a.frozen < 0 {
			a.next()
		}
	case n < 70:
		w.note("a controller freezes")
		w.actors[w.random.IntN(2)].frozen = w.random.IntN(100)
	case n < 80:
		w.clock = w.clock.Add(time.Duration(w.random.Int64N(int64(wait))))
	case n < 88:
		w.someReplica().mount(w.secrets[tlsSecret].data)
	case n < 90:
		r := w.someReplica()
		r.reachable = !r.reachable
	case n < 92:
		w.replaceReplica()
	case n < 95:
		w.note("a controller is killed")
		a := w.actors[w.random.IntN(2)]
		a.stop()
		a.start(w)
	case n < 96:
		w.clock = w.clock.Add(time.Duration(w.random.IntN(20)) * day)
		for _, r := range w.replicas {
			r.mount(w.secrets[tlsSecret].data)
		}
	default:
		w.vandalise()
	}
	w.check()
}

func (w *walk) note(what string) {
	w.history = append(w.history, fmt.Sprintf("%s %s", w.clock.Format(time.RFC3339), what))
}

func (w *walk) someReplica() *replicaInCluster { return w.replicas[w.random.IntN(len(w.replicas))] }

// addReplica adds one that starts with the Secret as it is. Soon it is among
// the endpoints.
func (w *walk) addReplica() {
	r := &replicaInCluster{
		name: fmt.Sprintf("replica-%d", w.random.IntN(1e6)), reachable: true,
		listed: w.clock.Add(time.Duration(w.random.Int64N(int64(wait / 2)))),
	}
	r.mount(w.secrets[tlsSecret].data)
	w.replicas = append(w.replicas, r)
}

func (w *walk) replaceReplica() {
	i := w.random.IntN(len(w.replicas))
	w.replicas = append(w.replicas[:i], w.replicas[i+1:]...)
	w.addReplica()
}

// vandalise does one of the things that people and tools do to the objects.
func (w *walk) vandalise() {
	garbage := SecretData{corev1.TLSPrivateKeyKey: []byte("x")}
	foreign := func() Authority {
		authority, err := NewAuthority(w.clock)
		if err != nil {
			w.t.Fatal(err)
		}
		return authority
	}
	acts := []struct {
		what string
		do   func()
	}{
		{"the authority's Secret is deleted", func() { w.setSecret(caSecret, nil) }},
		{"the authority's Secret is emptied", func() { w.setSecret(caSecret, SecretData{}) }},
		{"the authority's key is damaged", func() { w.edit(caSecret, garbage) }},
		{"the next authority's key is damaged", func() { w.edit(caSecret, SecretData{nextKeyKey: []byte("x")}) }},
		{"the record of authorities is damaged", func() { w.edit(caSecret, SecretData{caKey: []byte("x")}) }},
		{"another authority is asked for", w.request},
		{"another authority is asked for", w.request},
		{"the authority is replaced by somebody's own", func() {
			pair, err := pairData(foreign().KeyPair)
			if err != nil {
				w.t.Fatal(err)
			}
			w.setSecret(caSecret, pair)
		}},
		{"the serving Secret is deleted", func() { w.setSecret(tlsSecret, nil) }},
		{"the serving Secret is damaged", func() { w.edit(tlsSecret, garbage) }},
		{"the caBundle is emptied", func() { w.setBundle(nil) }},
		{"the caBundle is overwritten", func() { w.setBundle(foreign().CertificatePEM()) }},
		{"the webhook configuration is deleted", w.deleteConfiguration},
		{"the webhook configuration is applied", func() {
			if w.config.version == "" {
				w.applyConfiguration()
			}
		}},
	}
	act := acts[w.random.IntN(len(acts))]
	if w.config.version == "" {
		act = acts[len(acts)-1] // what there is not cannot be changed
	}
	before := w.known()
	act.do()
	w.destroyed = w.destroyed.with(before.without(w.known())...)
	w.note(act.what)
}

// comeToRest lets the controllers work undisturbed, and time and replicas go on.
func (w *walk) comeToRest() {
	w.t.Helper()
	if w.config.version == "" {
		w.applyConfiguration()
	}
	for quiet, round := 0, 0; quiet < 12; round++ {
		before := w.writes
		for range 20 {
			w.actors[0].next()
			w.actors[1].next()
			w.check()
		}
		for _, r := range w.replicas {
			r.reachable = true
			r.mount(w.secrets[tlsSecret].data)
			w.check()
		}
		w.clock = w.clock.Add(wait / 4)
		if quiet++; w.writes != before {
			quiet = 0
		}
		if round == 200 {
			w.fail("the controllers do not come to rest")
		}
	}
	w.checkSettled(w.t)
}

func (w *walk) check() {
	w.t.Helper()
	if err := w.broken(wait); err != nil {
		w.fail(err.Error())
	}
}

func (w *walk) fail(why string) {
	w.t.Helper()
	for _, line := range w.history {
		w.t.Log(line)
	}
	w.t.Fatalf("at %s %s", w.clock.Format(time.RFC3339), why)
}
