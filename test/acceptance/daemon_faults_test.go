//go:build chaos

package acceptance

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/service"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// expiry ends watches as an API server does that no longer knows their past (410).
type expiry struct {
	mu      sync.Mutex
	watches []*watchBody
	// change is open while a change is made that no watch may see; nil before.
	change chan struct{}
	held   int // requests to watch again
}

// watchBody is the events of a watch; once it is cut, the one that it has expired.
type watchBody struct {
	io.ReadCloser
	cut  atomic.Bool
	gone io.Reader
}

func (b *watchBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && b.cut.Load() {
		return b.gone.Read(p)
	}
	return n, err
}

func (e *expiry) through(r *http.Request, send roundTrip) (*http.Response, error) {
	if !r.URL.Query().Has("watch") {
		return send(r)
	}
	e.mu.Lock()
	change := e.change
	if change != nil {
		e.held++
	}
	e.mu.Unlock()
	if change != nil {
		select {
		case <-change:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	r = r.Clone(r.Context())
	r.Header.Set("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
	response, err := send(r)
	if err != nil {
		return nil, err
	}
	status, err := io.ReadAll(answer(r, http.StatusGone, metav1.StatusReasonExpired, "").Body)
	body := &watchBody{ReadCloser: response.Body, gone: strings.NewReader(fmt.Sprintf(`{"type":"ERROR","object":%s}`, status))}
	response.Body = body
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watches = append(e.watches, body)
	return response, err
}

// during ends all watches, and has what change does be seen by none.
func (e *expiry) during(t *testing.T, change func(context.Context) error) {
	t.Helper()
	e.mu.Lock()
	e.change, e.held = make(chan struct{}), 0
	watches := e.watches
	e.watches = nil
	e.mu.Unlock()
	for _, body := range watches {
		body.cut.Store(true)
		_ = body.Close()
	}
	err := cluster.Poll(t.Context(), "the watches to go on", func(context.Context) error {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.held < len(watches) {
			return fmt.Errorf("%d of %d do", e.held, len(watches))
		}
		return nil
	})
	if err == nil {
		err = change(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.change)
	e.change = nil
	t.Logf("%d watches have expired", len(watches))
}

// serveIn runs the daemon in this process until the test ends, and returns why it
// audits.
func serveIn(t *testing.T, cfg *rest.Config, namespace string) <-chan string {
	t.Helper()
	audits := make(chan string, 100)
	c := config.Default()
	c.Interval.Duration = time.Hour
	c.Selection.IncludeNamespaces = []string{namespace}
	log := funcr.NewJSON(func(line string) {
		if _, after, found := strings.Cut(line, `"msg":"Audited","reason":"`); found {
			reason, _, _ := strings.Cut(after, `"`)
			audits <- reason
		}
	}, funcr.Options{Verbosity: 1}) // where rounds of what changed are told of
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- service.Run(ctx, cfg, service.Options{
			Config: c, Namespace: namespace, Name: "auditor", LeaseDuration: 10 * time.Second,
			MetricsBindAddress: "0", HealthProbeBindAddress: "0", PageBindAddress: "0",
			Registry: prometheus.NewRegistry(), Logger: log,
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return audits
}

// A change that no watch saw, as its past was gone when it went on, is found by the
// list that follows, and audited.
func serveThroughExpiredWatches(t *testing.T, c *cluster.Cluster) {
	namespace, _ := ownInjector(t, c)
	deployWeb(t, c, namespace, 1, "web")
	watches := &expiry{}
	audits := serveIn(t, through(c.RESTConfig(), watches.through), namespace)
	configurations := c.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	name := "test-injector-" + namespace
	await := func(t *testing.T, want string) {
		t.Helper()
		for {
			select {
			case reason := <-audits:
				if strings.HasPrefix(reason, want) {
					return
				}
				t.Logf("an audit because of: %s", reason)
			case <-time.After(time.Minute):
				t.Fatalf("no audit because of: %s", want)
			}
		}
	}
	await(t, "start")
	for _, test := range []struct {
		name   string
		change func(context.Context) error
		want   string
		full   bool // each takes longer than the one before: client-go backs off
	}{
		{"a webhook is replaced", func(ctx context.Context) error {
			configuration, err := configurations.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if err := configurations.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
				return err
			}
			configuration.ResourceVersion, configuration.UID = "", ""
			_, err = configurations.Create(ctx, configuration, metav1.CreateOptions{})
			return err
		}, "MutatingWebhookConfiguration " + name, false},
		{"a workload is changed", func(ctx context.Context) error {
			_, err := c.Kubectl(ctx, "", "-n", namespace, "scale", "deployment/web", "--replicas=2")
			return err
		}, "Pods changed", false},
		{"a webhook is changed", func(ctx context.Context) error {
			configuration, err := configurations.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			fails := admissionregistrationv1.Fail
			configuration.Webhooks[0].FailurePolicy = &fails
			_, err = configurations.Update(ctx, configuration, metav1.UpdateOptions{})
			return err
		}, "MutatingWebhookConfiguration " + name, true},
		{"a namespace's labels are changed", func(ctx context.Context) error {
			_, err := c.Kubectl(ctx, "", "label", "namespace", namespace, "--overwrite", injector.NamespaceLabel+"=no")
			return err
		}, "Namespace " + namespace, true},
	} {
		if test.full && !*full {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			watches.during(t, test.change)
			await(t, test.want)
		})
	}
}
