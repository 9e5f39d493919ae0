package acceptance

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidecar-drift/sidecar-drift/certs"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/webhook"
)

// certsFixture is a cluster with manifests/ applied, two stampers that wait for
// their certificate, and no certificate controller yet.
type certsFixture struct {
	*cluster.Cluster
	owner    *testing.T // not one of its subtests
	admin    client.Client
	options  certs.Options
	stampers []*mountedStamper // the API server calls the first
	log      certsLog
}

// newCertsFixture has a cluster of its own: what the controller writes exists
// once in a cluster, and other tests' Pods depend on it.
func newCertsFixture(t *testing.T) *certsFixture {
	t.Helper()
	c := clustertest.New(t, cluster.Options{})
	f := &certsFixture{Cluster: c, owner: t, admin: asAdmin(t, c), options: certs.DefaultOptions()}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the controllers' log:\n%s", strings.Join(f.log.lines, "\n"))
		}
	})
	f.options.MetricsBindAddress, f.options.HealthProbeBindAddress = "0", "0"
	f.options.Hosts = []string{"127.0.0.1", "localhost"}
	f.options.PropagationWait = 3 * time.Second
	for i := range 2 {
		stamper := f.newStamper(i)
		f.stampers = append(f.stampers, stamper)
		f.options.Replicas = append(f.options.Replicas, stamper.address)
	}
	f.applyManifests(t)
	return f
}

// applyManifests is a user's installation, or a GitOps tool's next round.
func (f *certsFixture) applyManifests(t *testing.T) {
	t.Helper()
	f.install(t, base)
}

// install applies a kustomization, with the webhook at the first stamper.
func (f *certsFixture) install(t *testing.T, kustomization string) {
	t.Helper()
	_, text, err := net.SplitHostPort(f.stampers[0].address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.InstallManifests(t.Context(), kustomization, port); err != nil {
		t.Fatal(err)
	}
}

// run runs the controller under its own ServiceAccount until stop is called,
// or until the fixture's test ends.
func (f *certsFixture) run(change ...func(*certs.Options)) (stop func()) {
	t := f.owner
	t.Helper()
	options := f.options
	for _, change := range change {
		change(&options)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.runUntil(ctx, f.account(), options) }()
	stopped := false
	stop = func() {
		t.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the controller ended with: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func (f *certsFixture) account() *rest.Config {
	f.owner.Helper()
	config, err := f.ServiceAccountConfig(f.owner.Context(), installation, "sidecar-drift-certs")
	if err != nil {
		f.owner.Fatal(err)
	}
	return config
}

func (f *certsFixture) runUntil(ctx context.Context, config *rest.Config, options certs.Options) error {
	options.Logger = f.log.logger()
	options.Registry = prometheus.NewRegistry()
	return certs.Run(ctx, config, options)
}

// certsLog is what all controllers of a fixture log.
type certsLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *certsLog) logger() logr.Logger {
	return funcr.New(func(prefix, line string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, fmt.Sprintf("%s %s %s", time.Now().Format("15:04:05.000"), prefix, line))
	}, funcr.Options{})
}

// since says whether a line after the first n holds the text.
func (l *certsLog) since(n int, text string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines[n:] {
		if strings.Contains(line, text) {
			return nil
		}
	}
	return fmt.Errorf("nothing of %q in:\n%s", text, strings.Join(l.lines[n:], "\n"))
}

func (l *certsLog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

// mountedStamper is a real stamper with the serving Secret mounted.
type mountedStamper struct {
	address string
	stop    context.CancelFunc
	mu      sync.Mutex
	stuck   bool // the volume is not updated
}

func (s *mountedStamper) setStuck(stuck bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck = stuck
}

func (s *mountedStamper) isStuck() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stuck
}

// newStamper starts a stamper, which runs until it is stopped or the fixture's
// test ends.
func (f *certsFixture) newStamper(i int) *mountedStamper {
	t := f.owner
	t.Helper()
	port, err := cluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), fmt.Sprint("tls-", i))
	s := &mountedStamper{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	ctx, cancel := context.WithCancel(t.Context())
	s.stop = cancel
	var running sync.WaitGroup
	running.Go(func() {
		err := webhook.Run(ctx, webhook.Options{
			BindAddress: s.address, CertDir: dir, MetricsBindAddress: "0", HealthProbeBindAddress: "0",
			Log: logr.Discard(), Registry: prometheus.NewRegistry(),
		})
		if err != nil {
			t.Errorf("stamper %d: %v", i, err)
		}
	})
	running.Go(func() {
		for ctx.Err() == nil {
			if !s.isStuck() {
				// A Secret that is gone stays mounted, as on a node.
				_ = f.WriteSecretFiles(ctx, installation, "sidecar-drift-webhook-tls", dir)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(i+1) * 200 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return s
}
