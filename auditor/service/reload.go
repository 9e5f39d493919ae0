package service

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/metrics"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

// reloadEvery is how often the configuration is looked at. The kubelet takes a
// minute to bring a changed ConfigMap to a Pod anyway.
const reloadEvery = 5 * time.Second

// reloader holds the configuration in force. Every replica follows it, so that
// the next leader knows it.
type reloader struct {
	load    func() (*config.Configuration, error)
	metrics *metrics.Metrics
	events  events.EventRecorder
	about   *corev1.ConfigMap // what Events are about
	log     logr.Logger

	said string // of the last Event

	mu      sync.Mutex
	current config.Configuration
	changed func(before, after config.Configuration)
}

func newReloader(options Options, m *metrics.Metrics, recorder events.EventRecorder) *reloader {
	return &reloader{
		load: options.Reload, metrics: m, events: recorder, log: options.Logger, current: options.Config,
		about: &corev1.ConfigMap{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: metav1.ObjectMeta{Namespace: options.Namespace, Name: options.Name},
		},
	}
}

func (r *reloader) config() config.Configuration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// follow has changed called after each change.
func (r *reloader) follow(changed func(before, after config.Configuration)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = changed
}

// NeedLeaderElection is manager.LeaderElectionRunnable's.
func (r *reloader) NeedLeaderElection() bool { return false }

// Start looks at the configuration until ctx is done.
func (r *reloader) Start(ctx context.Context) error {
	if r.load == nil {
		return nil
	}
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			r.reload()
		}
	}
}

// reload takes a changed configuration over; an invalid one leaves the one that
// is in force, and says so in the log, the metric and an Event.
func (r *reloader) reload() {
	next, err := r.load()
	if err != nil {
		r.metrics.Reloaded(false)
		r.log.Error(err, "The configuration is invalid: the one before it stays in force")
		if r.said != err.Error() { // a file that is away is so each time
			r.said = err.Error()
			r.events.Eventf(r.about, nil, corev1.EventTypeWarning, "InvalidConfiguration", "Reload", "%s", printable.Lines(mask.Constant().Prose(r.said)))
		}
		return
	}
	if next == nil {
		return
	}
	r.said = ""
	r.metrics.Reloaded(true)
	r.log.Info("The configuration has changed")
	r.mu.Lock()
	before, changed := r.current, r.changed
	r.current = *next
	r.mu.Unlock()
	if changed != nil {
		changed(before, *next)
	}
}
