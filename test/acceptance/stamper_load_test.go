package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// The tests here run a stamper of their own, and beside no other test: what it
// suffers would cost other tests' Pods their stamps.

// TestManyConnections: while another client holds thousands of connections,
// silent or in the middle of something, API servers are answered over those that
// they have and over new ones. When that client goes, so does all it cost.
func TestManyConnections(t *testing.T) {
	s := runStamper(t)
	w := watchCertificates(t, s)
	before := costs(t, s)
	flood := startFlood(t, floodTarget{s.Address, s.Authority, floodSize(t)})
	flood.opened(t)
	held := costs(t, s)
	t.Logf("the stamper holds %.0f more descriptors and %.0f more goroutines",
		held.descriptors-before.descriptors, held.goroutines-before.goroutines)
	w.wantMore(t)
	flood.end(t)
	w.wantMore(t)
	wantCosts(t, s, before)
}

// TestMalformedReviews: whatever a body holds, its request is refused or its
// object allowed, and API servers are answered meanwhile.
func TestMalformedReviews(t *testing.T) {
	const senders = 4
	each := 4 * len(malformations)
	if *full {
		each = 250
	}
	s := runStamper(t)
	w := watchCertificates(t, s)
	before := costs(t, s)
	review := capturedReview(t)
	var group errgroup.Group
	for sender := range uint64(senders) {
		group.Go(func() error {
			client := s.Client()
			defer client.CloseIdleConnections()
			random := rand.New(rand.NewPCG(sender, 1))
			for i := range each {
				kind := malformations[i%len(malformations)]
				if err := sendMalformed(t.Context(), client, s.URL(), kind, kind.body(random, review)); err != nil {
					return fmt.Errorf("review %d of seed %d, %s: %w", i, sender, kind.name, err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	w.wantMore(t)
	wantCosts(t, s, before)
}

// runStamper runs one that nobody is registered for.
func runStamper(t *testing.T) *install.Stamper {
	t.Helper()
	s, err := install.RunStamper(t.Context(), testCluster(t), testProduct(t).Webhook)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// capturedReview is the review of an injected Pod, with the uid capturedUID.
func capturedReview(t *testing.T) []byte { return webhookFile(t, "admissionreview-istio-1.27.json") }

const capturedUID = "c700df9e-3607-453e-ba87-598170cf9c3e"

func webhookFile(t *testing.T, name string) []byte {
	t.Helper()
	root, err := install.Root()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, "webhook", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// watcher asks a stamper again and again, as API servers and a kubelet do: over
// one connection, over a new connection each time, and whether it is ready.
type watcher struct {
	stamper       *install.Stamper
	review, patch []byte // what is sent, and the patch that must come back

	asking         *errgroup.Group
	ctx            context.Context // done when an answer is wrong
	sent           atomic.Int64
	kept, fresh    answers
	connections    atomic.Int64 // of the client that keeps its own
	ready, unready atomic.Int64
}

// answers are those that one client got.
type answers struct{ count, slowest atomic.Int64 }

// watchCertificates asks until the test ends, and fails it then if an answer was wrong. It
// returns when the first answers have come.
func watchCertificates(t *testing.T, s *install.Stamper) *watcher {
	t.Helper()
	w := &watcher{stamper: s, review: capturedReview(t), patch: goldenPatch(t)}
	w.asking, w.ctx = errgroup.WithContext(t.Context())
	client := s.Client()
	w.repeat(func(ctx context.Context) error {
		return w.ask(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
			if !got.Reused {
				w.connections.Add(1)
			}
		}}), client, &w.kept)
	})
	w.repeat(func(ctx context.Context) error {
		client := s.Client()
		defer client.CloseIdleConnections()
		return w.ask(ctx, client, &w.fresh)
	})
	w.repeat(w.probe)
	t.Cleanup(func() {
		if err := w.asking.Wait(); err != nil {
			t.Error(err)
		}
		client.CloseIdleConnections()
		if n := w.connections.Load(); n != 1 {
			t.Errorf("a client had to connect %d times", n)
		}
		t.Logf("%d answers over one connection, at worst after %s; %d over new ones, at worst after %s; ready %d times of %d",
			w.kept.count.Load(), time.Duration(w.kept.slowest.Load()), w.fresh.count.Load(), time.Duration(w.fresh.slowest.Load()),
			w.ready.Load(), w.ready.Load()+w.unready.Load())
	})
	w.wantMore(t)
	return w
}

// repeat does something 50 times a second. What is under way at the end comes to
// an end of its own.
func (w *watcher) repeat(do func(context.Context) error) {
	w.asking.Go(func() error {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-w.ctx.Done():
				return nil
			case <-tick.C:
			}
			// Far more than the API server's two seconds: this test is about
			// whether there is an answer, on a machine however slow.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), 30*time.Second)
			err := do(ctx)
			cancel()
			if err != nil {
				return err
			}
		}
	})
}

// wantMore waits until both clients have got more answers and the stamper was
// ready.
func (w *watcher) wantMore(t *testing.T) {
	t.Helper()
	const more = 20
	kept, fresh, ready := w.kept.count.Load()+more, w.fresh.count.Load()+more, w.ready.Load()+1
	err := cluster.Poll(w.ctx, "more answers", func(context.Context) error {
		if w.kept.count.Load() < kept || w.fresh.count.Load() < fresh || w.ready.Load() < ready {
			return fmt.Errorf("%d of %d over one connection, %d of %d over new ones, ready %d of %d times",
				w.kept.count.Load(), kept, w.fresh.count.Load(), fresh, w.ready.Load(), ready)
		}
		return nil
	}, w.stamper.Process)
	if err != nil {
		t.Fatal(err)
	}
}

// ask sends a review with a uid of its own, and fails if the answer is another
// than the stamp.
func (w *watcher) ask(ctx context.Context, client *http.Client, got *answers) error {
	uid := types.UID(fmt.Sprintf("%08x%s", w.sent.Add(1), capturedUID[8:]))
	start := time.Now()
	status, text, err := post(ctx, client, w.stamper.URL(), bytes.Replace(w.review, []byte(capturedUID), []byte(uid), 1))
	if err != nil {
		return err
	}
	got.slowest.Store(max(got.slowest.Load(), int64(time.Since(start))))
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(text, &answer); err != nil || status != http.StatusOK {
		return fmt.Errorf("a good review is answered with status %d: %s", status, text)
	}
	if r := answer.Response; r == nil || r.UID != uid || !r.Allowed || !bytes.Equal(r.Patch, w.patch) {
		return fmt.Errorf("the review %s is answered with %s", uid, text)
	}
	got.count.Add(1)
	return nil
}

// probe asks whether the stamper is ready, and fails if there is no answer.
func (w *watcher) probe(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.stamper.Health+"/readyz", nil)
	if err != nil {
		return err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusOK {
		w.ready.Add(1)
	} else {
		w.unready.Add(1)
	}
	return response.Body.Close()
}

// goldenPatch is what the captured review is answered with.
func goldenPatch(t *testing.T) []byte {
	t.Helper()
	_, patch, _ := bytes.Cut(webhookFile(t, "admissionreview-istio-1.27.golden"), []byte("\n"))
	var compact bytes.Buffer
	if err := json.Compact(&compact, patch); err != nil {
		t.Fatal(err)
	}
	return compact.Bytes()
}

// post sends a body as JSON, and returns what is answered.
func post(ctx context.Context, client *http.Client, url string, body []byte) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// cost is what a stamper takes of the machine.
type cost struct{ goroutines, descriptors float64 }

func costs(t *testing.T, s *install.Stamper) cost {
	t.Helper()
	metrics, err := s.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cost{metrics["go_goroutines"], metrics["process_open_fds"]}
}

// wantCosts waits until nothing is left of what was done to the stamper; what
// watches it takes a few of each now and then. It never took more memory than
// its container has, and met no defect.
func wantCosts(t *testing.T, s *install.Stamper, want cost) {
	t.Helper()
	err := cluster.Poll(t.Context(), "the stamper to be as it was", func(context.Context) error {
		if got := costs(t, s); got.goroutines > want.goroutines+20 || got.descriptors > want.descriptors+10 {
			return fmt.Errorf("%.0f goroutines and %.0f descriptors, before: %.0f and %.0f", got.goroutines, got.descriptors, want.goroutines, want.descriptors)
		}
		return nil
	}, s.Process)
	if err != nil {
		t.Error(err)
	}
	memory, err := install.MemoryOf(s.PID())
	if err != nil {
		t.Fatal(err)
	}
	// A kernel in need takes back the pages of files.
	if most := memory.Most - memory.File; most > install.StamperMemory {
		t.Errorf("the stamper took %d MiB of memory, its container has %d", most>>20, install.StamperMemory>>20)
	} else {
		t.Logf("the stamper took %d MiB of memory", most>>20)
	}
	metrics, err := s.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if panics, counted := metrics[`sidecar_drift_webhook_reviews_total{outcome="panic"}`]; panics > 0 || !counted {
		t.Errorf("%.0f panics, counted: %t", panics, counted)
	}
}
