package service

import (
	"context"
	"reflect"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
)

// adviceAge is for how long it holds whether a rollout would take a workload: what decides
// about that besides what differs, as its PodDisruptionBudget, is not watched.
const adviceAge = 5 * time.Minute

// configuredAuditor is the Auditor of the present configuration, another one when that is
// another.
type configuredAuditor struct {
	cluster *rest.Config
	audits  audits
	changes *changes
	adviser rollout.Adviser

	auditor *watch.Auditor // nil before the first round
	by      config.Configuration
	cancel  context.CancelFunc
	watches sync.WaitGroup
}

func (r *configuredAuditor) round(ctx context.Context, c config.Configuration, due request) (watch.Round, error) {
	if r.auditor == nil || !reflect.DeepEqual(r.by, c) {
		if err := r.begin(ctx, c); err != nil {
			return watch.Round{}, err
		}
		due.scope = watch.Everything
	}
	round, err := r.auditor.Round(ctx, due.scope, due.concerns...)
	if err != nil {
		return round, err
	}
	return round, r.adviser.Advise(ctx, r.cluster, round.Report, c.AdviceOptions())
}

// begin puts an Auditor by this configuration in the place of the last one. It
// lives until ctx is done.
func (r *configuredAuditor) begin(ctx context.Context, c config.Configuration) error {
	r.stop()
	of := r.audits.options(c, nil)
	of.Progress, of.Labels = r.audits.judged, c.Labels
	next, err := watch.New(r.cluster, of, watch.Sweep{
		Interval: c.Interval.Duration, Full: c.FullInterval.Duration,
	})
	if err != nil {
		return err
	}
	next.SoFar = r.audits.soFar
	ctx, r.cancel = context.WithCancel(ctx)
	r.auditor, r.by, r.adviser = next, c, rollout.Adviser{Age: adviceAge}
	r.watches.Go(func() { next.Run(ctx) })
	r.watches.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-next.Changed():
				r.changes.ask(watch.Changes, "Pods changed")
			}
		}
	})
	return nil
}

// stop ends the watches.
func (r *configuredAuditor) stop() {
	if r.cancel != nil {
		r.cancel()
	}
	r.watches.Wait()
}
