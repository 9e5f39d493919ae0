package service

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/metrics"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

const (
	// quiet is how long nothing must change before a change is acted upon, and
	// patience the longest that is waited for that.
	quiet    = 3 * time.Second
	patience = 30 * time.Second
	// firstRetry is the pause after an audit that failed; it doubles, up to the
	// interval.
	firstRetry = 5 * time.Second
	// fewWorkloads are audited by name when they change; more are a reason to
	// audit everything.
	fewWorkloads = 20
)

// loop audits, again and again, and has what is due rolled out.
type loop struct {
	config  func() config.Configuration
	audit   func(context.Context, config.Configuration, ...inventory.WorkloadRef) (*report.Report, error)
	metrics *metrics.Metrics
	page    *page
	reports *reporter
	memory  *memory
	changes *changes
	heal    func(context.Context, config.Configuration, *report.Report)
	log     logr.Logger

	last    *report.Report // nil before the first audit
	healing sync.WaitGroup
	healed  chan struct{} // holds one while nothing is being rolled out
}

func newLoop() *loop {
	l := &loop{changes: newChanges(), reports: newReporter(), healed: make(chan struct{}, 1)}
	l.healed <- struct{}{}
	return l
}

// run audits until ctx is done: everything at the interval, with some jitter, so
// that many clusters' auditors do not act as one, and when something changed that
// may change every verdict; a few workloads when only those did.
func (l *loop) run(ctx context.Context) {
	defer l.healing.Wait()
	if err := l.memory.load(ctx); err != nil && ctx.Err() == nil {
		l.log.Error(err, "Ages are not known")
	}
	retry := firstRetry
	why, workloads := "start", []inventory.WorkloadRef(nil)
	for ctx.Err() == nil {
		c := l.config()
		every := c.Interval.Duration
		pause := every + time.Duration((rand.Float64()-0.5)*0.2*float64(every))
		if err := l.once(ctx, why, workloads); err != nil {
			if ctx.Err() != nil {
				return
			}
			l.metrics.Failed(reasonOf(err))
			pause, retry = min(retry, every), min(2*retry, every)
			l.log.Error(err, "The audit failed", "next", pause.String())
		} else {
			retry = firstRetry
			l.rollOut(ctx, c)
			pause = min(pause, untilOpen(c, time.Now()))
		}
		why, workloads = l.wait(ctx, pause)
	}
}

// rollOut has what is due rolled out, beside further audits; no two at a time.
func (l *loop) rollOut(ctx context.Context, c config.Configuration) {
	select {
	case <-l.healed:
	default:
		return
	}
	found := l.last
	l.healing.Go(func() {
		defer func() { l.healed <- struct{}{} }()
		l.heal(ctx, c, found)
	})
}

// untilOpen is the time until a window opens in which to roll out; none is soon.
func untilOpen(c config.Configuration, now time.Time) time.Duration {
	const never = 1<<63 - 1
	if !c.AutoRollout.Enabled {
		return never
	}
	next := c.AutoRollout.Schedule().Next(now)
	if next.IsZero() || !next.After(now) {
		return never
	}
	return next.Sub(now)
}

// wait returns what is to be audited next: everything, for a reason, or some
// workloads.
func (l *loop) wait(ctx context.Context, pause time.Duration) (why string, workloads []inventory.WorkloadRef) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return "", nil
	case <-timer.C:
		l.changes.take() // this audit sees them
		return "interval", nil
	case <-l.changes.woken:
	}
	l.settle(ctx)
	why, workloads = l.changes.take()
	if why == "" && (len(workloads) > fewWorkloads || l.last == nil) {
		why = "many workloads"
	}
	return why, workloads
}

// settle waits until nothing has changed for a moment: an upgrade changes many
// objects, and none of its halves is worth an audit.
func (l *loop) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(quiet):
			return
		case <-l.changes.woken:
		}
	}
}

// once audits everything if there is a reason to, or else the workloads, and
// publishes what was found.
func (l *loop) once(ctx context.Context, why string, workloads []inventory.WorkloadRef) error {
	begin := time.Now()
	var (
		found *report.Report
		took  time.Duration
		err   error
	)
	if why == "" {
		why = "workloads changed"
		found, err = l.some(ctx, workloads)
	} else {
		found, err = l.audit(ctx, l.config())
		took = time.Since(begin)
	}
	if err != nil {
		return err
	}
	l.last = found
	l.memory.update(found, begin)
	l.metrics.Audited(found, l.memory.oldest(), took, l.config().WorkloadMetrics)
	l.page.audited(found)
	if l.config().PolicyReports {
		l.reports.audited(found, took > 0)
	}
	if err := l.memory.save(ctx); err != nil && ctx.Err() == nil {
		l.log.Error(err, "Ages are not kept")
	}
	l.log.Info("Audited", "reason", why, "took", time.Since(begin).Round(time.Millisecond).String(),
		"driftPercent", found.Summary.DriftPercent, "pods", found.Summary.Pods)
	return nil
}

// some brings the last report up to date on some workloads.
func (l *loop) some(ctx context.Context, workloads []inventory.WorkloadRef) (*report.Report, error) {
	c := l.config()
	selected := slices.DeleteFunc(workloads, func(w inventory.WorkloadRef) bool {
		return !c.Selection.Inventory().Selects(w.Namespace)
	})
	if len(selected) == 0 {
		return l.last, nil
	}
	found, err := l.audit(ctx, c, selected...)
	if err != nil {
		return nil, err
	}
	return updated(l.last, found, selected), nil
}

// updated is the last report with what a later audit of some workloads found.
func updated(last, found *report.Report, workloads []inventory.WorkloadRef) *report.Report {
	return last.Replace(found, func(item report.Item) bool { return slices.Contains(workloads, refOf(item)) })
}

func refOf(item report.Item) inventory.WorkloadRef {
	return inventory.WorkloadRef{Kind: item.Kind, Namespace: item.Namespace, Name: item.Name}
}

// reasonOf is the metric's label of an audit's error.
func reasonOf(err error) string {
	network, isNetwork := errors.AsType[net.Error](err)
	switch {
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return metrics.Forbidden
	case errors.Is(err, context.DeadlineExceeded), apierrors.IsTimeout(err), apierrors.IsServerTimeout(err), isNetwork && network.Timeout():
		return metrics.Timeout
	case apierrors.IsServiceUnavailable(err), apierrors.IsTooManyRequests(err), apierrors.IsInternalError(err),
		isNetwork, utilnet.IsConnectionRefused(err), utilnet.IsProbableEOF(err), utilnet.IsConnectionReset(err):
		return metrics.Unavailable
	}
	return metrics.OtherReason
}
