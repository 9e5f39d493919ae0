//go:build chaos

package acceptance

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/certs"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// The authority changes while Pods are created, controllers are killed and
// replicas lag behind, and the API server's trust in the stamper never breaks.
func TestChangesOfTheAuthority(t *testing.T) {
	t.Parallel()
	f := newCertsFixture(t)
	f.grantLeases(t)

	t.Run("two controllers agree on an empty cluster", func(t *testing.T) {
		// Neither waits for the other, and their clocks are eight minutes apart.
		stopAhead := f.run(withLease("ahead"), withSkew(4*time.Minute))
		stopBehind := f.run(withLease("behind"), withSkew(-4*time.Minute))
		f.settled(t)
		f.stamping(t)
		t.Run("on the next authority, too", func(t *testing.T) {
			f.guard(t)
			f.changed(t, func(before published) { f.rotate(t, before) })
		})
		before := f.settled(t)
		looked := reconciliations(t)
		if err := merge(t, f.admin, before.configuration, `{"metadata":{"annotations":{"note":"look"}}}`); err != nil {
			t.Fatal(err)
		}
		err := cluster.Poll(t.Context(), "both controllers to look", func(context.Context) error {
			if reconciliations(t) < looked+2 {
				return errors.New("they have not looked yet")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		stopAhead()
		stopBehind()
		after := f.settled(t)
		if before.authority.ResourceVersion != after.authority.ResourceVersion || before.serving.ResourceVersion != after.serving.ResourceVersion {
			t.Error("there was something left to write")
		}
	})

	stop := f.run()
	f.settled(t)
	for what, begin := range map[string]func(*testing.T, published){
		"the authority's Secret is deleted": func(t *testing.T, before published) { f.delete(t, before.authority) },
		"both Secrets are deleted": func(t *testing.T, before published) {
			f.delete(t, before.authority)
			f.delete(t, before.serving)
		},
		"the authority's key is damaged": func(t *testing.T, before published) {
			if err := merge(t, f.admin, before.authority, `{"data":{"tls.key":"eA=="}}`); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			f.settled(t)
			f.guard(t)
			f.changed(t, func(before published) { begin(t, before) })
		})
	}

	t.Run("the old authority is kept while a replica serves its certificate", func(t *testing.T) {
		f.guard(t)
		f.changed(t, func(before published) {
			lagging := f.stampers[1]
			lagging.setStuck(true)
			logged := f.log.len()
			f.rotate(t, before)
			f.logs(t, logged, fmt.Sprintf("the replica %s still serves a certificate of it", lagging.address))
			f.checkTrusted(t, before)
			lagging.setStuck(false)
		})
	})

	t.Run("the old authority is kept while a replica cannot be reached", func(t *testing.T) {
		f.guard(t)
		before := f.settled(t)
		stop()
		nobody, err := cluster.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		address := fmt.Sprintf("127.0.0.1:%d", nobody)
		logged := f.log.len()
		stop = f.run(func(o *certs.Options) { o.Replicas = append([]string{address}, o.Replicas...) })
		f.rotate(t, before)
		f.logs(t, logged, fmt.Sprintf("the replica %s cannot be asked what it serves", address))
		f.checkTrusted(t, before)
		// It is gone for good, and nobody lists it any more.
		stop()
		stop = f.run()
		f.settled(t)
	})

	t.Run("a controller is killed before and after every write", func(t *testing.T) {
		stop()
		f.guard(t)
		kills := 0
		f.changed(t, func(before published) {
			f.delete(t, before.authority)
			for ; ; kills++ {
				if kills > 40 {
					t.Fatal("after 40 kills there is still something to write")
				}
				if !f.runToAWrite(t, kills) {
					break
				}
			}
		})
		t.Logf("killed %d times", kills)
		if kills < 18 {
			t.Errorf("killed %d times, want twice at each of 9 writes", kills)
		}
	})
}

// rotate is what docs/certificates.md tells people to do.
func (f *certsFixture) rotate(t *testing.T, before published) {
	t.Helper()
	if _, err := f.Kubectl(t.Context(), "", "annotate", "secret", "-n", installation, before.authority.Name, certs.RotateAnnotation+"=now"); err != nil {
		t.Fatal(err)
	}
}

// changed does something and waits until another authority is all that is left.
func (f *certsFixture) changed(t *testing.T, change func(before published)) {
	t.Helper()
	before := f.settled(t)
	change(before)
	f.settled(t, func(after published) error {
		switch {
		case bytes.Equal(before.authority.Data["tls.crt"], after.authority.Data["tls.crt"]):
			return errors.New("the authority is still the old one")
		case after.authority.Annotations[certs.RotateAnnotation] != "":
			return errors.New("the request is still there")
		}
		return f.served(after)
	})
	f.stamping(t)
}

// served says what a replica serves, if not the Secret's certificate.
func (f *certsFixture) served(p published) error {
	for _, stamper := range f.stampers {
		connection, err := tls.Dial("tcp", stamper.address, &tls.Config{RootCAs: rootsOf(p.configuration.Webhooks[0].ClientConfig.CABundle), MinVersion: tls.VersionTLS12})
		if err != nil {
			return fmt.Errorf("%s: %w", stamper.address, err)
		}
		if err := connection.Close(); err != nil {
			return err
		}
	}
	return nil
}

// stamping waits until the API server's Pods are stamped.
func (f *certsFixture) stamping(t *testing.T) {
	t.Helper()
	seen := &seenBundles{}
	if err := cluster.Poll(t.Context(), "stamped Pods", func(ctx context.Context) error { return f.look(ctx, seen) }); err != nil {
		t.Fatal(err)
	}
}

func (f *certsFixture) logs(t *testing.T, after int, text string) {
	t.Helper()
	if err := cluster.Poll(t.Context(), "the controller's log", func(context.Context) error { return f.log.since(after, text) }); err != nil {
		t.Fatal(err)
	}
}

// checkTrusted checks that API servers are to trust the old authority and a new
// one, which serves already.
func (f *certsFixture) checkTrusted(t *testing.T, before published) {
	t.Helper()
	now, err := f.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bundle := now.configuration.Webhooks[0].ClientConfig.CABundle
	if !bytes.Contains(bundle, before.authority.Data["tls.crt"]) || len(certs.ParseBundle(bundle)) != 2 {
		t.Errorf("the caBundle holds %d authorities, want the old one and another:\n%s", len(certs.ParseBundle(bundle)), bundle)
	}
	if bytes.Equal(now.serving.Data["tls.crt"], before.serving.Data["tls.crt"]) {
		t.Error("the serving certificate is still the old one")
	}
}

func withLease(name string) func(*certs.Options) {
	return func(o *certs.Options) { o.Lease = name }
}

func withSkew(skew time.Duration) func(*certs.Options) {
	return func(o *certs.Options) { o.Now = func() time.Time { return time.Now().Add(skew) } }
}

// grantLeases lets controllers of these tests be leaders of their own.
func (f *certsFixture) grantLeases(t *testing.T) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: installation, Name: "test-leases"}
	create(t, f.admin, &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "create", "update"},
	}}})
	create(t, f.admin, &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: installation, Name: "sidecar-drift-certs"}},
	})
}

var errKilled = errors.New("the controller is dead")

// runToAWrite runs a controller up to its first write, just before which, or
// just after which, it is killed: nothing of it reaches the API server any more,
// and it leaves no trace in memory. It returns false if the controller has
// nothing to write.
func (f *certsFixture) runToAWrite(t *testing.T, run int) bool {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	var dead atomic.Bool
	config := f.account()
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			switch {
			case strings.HasSuffix(request.URL.Path, "/events"):
				return next.RoundTrip(request) // or client-go complains on stderr
			case dead.Load():
				return nil, errKilled
			case request.Method != http.MethodPatch:
				return next.RoundTrip(request)
			}
			if run%2 == 1 {
				response, err := next.RoundTrip(request)
				if err == nil && response.StatusCode >= http.StatusBadRequest {
					return response, err // a conflict
				}
				if err == nil {
					response.Body.Close()
				}
			}
			dead.Store(true)
			kill()
			return nil, errKilled
		})
	})
	options := f.options
	options.Lease = fmt.Sprint("killed-", run)
	ended := make(chan struct{})
	logged := f.log.len()
	go func() {
		defer close(ended)
		// That it is killed is all that can go wrong here.
		_ = f.runUntil(ctx, config, options)
	}()
	atRest := false
	err := cluster.Poll(t.Context(), "a write, or rest", func(ctx context.Context) error {
		if dead.Load() {
			return nil
		}
		p, err := f.read(ctx)
		if err != nil {
			return err
		}
		if err := p.incomplete(options.Hosts, time.Now()); err != nil {
			return err
		}
		// Something may be left to write all the same: look at its own word.
		atRest = f.log.since(logged, "as they should be") == nil
		if !atRest {
			return errors.New("it does not rest")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	kill()
	<-ended
	return dead.Load()
}
