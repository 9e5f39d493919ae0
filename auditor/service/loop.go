package service

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/metrics"
	"github.com/sidecar-drift/sidecar-drift/auditor/notify"
	"github.com/sidecar-drift/sidecar-drift/auditor/policyreport"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
)

const (
	// quiet is how long nothing must change before a change is acted upon, and
	// patience the longest that is waited for that.
	quiet    = 3 * time.Second
	patience = 30 * time.Second
	// firstRetry is the pause after an audit that failed; it doubles, up to the
	// interval.
	firstRetry = 5 * time.Second
)

// loop audits, again and again, and has what is due rolled out.
type loop struct {
	config  func() config.Configuration
	round   func(context.Context, config.Configuration, request) (watch.Round, error)
	metrics *metrics.Metrics
	page    *page
	reports *policyreport.Writer
	first   *progress
	memory  *memory
	kept    *lastReport
	history *history
	causes  *causes
	// announce tells of changes that a round saw begin.
	announce func(context.Context, *report.Report, map[string]journal.Interval, journal.Audit)
	changes  *changes
	heal     func(context.Context, config.Configuration, *report.Report)
	tell     func(notify.Message)
	// identify names the cluster.
	identify func(context.Context, config.Configuration) *report.ClusterIdentity
	cluster  *report.ClusterIdentity // as it was identified before the first audit
	log      logr.Logger

	last    *report.Report // nil before the first audit
	whole   time.Time      // when policy reports were last looked at
	healing sync.WaitGroup
	healed  chan struct{} // holds one while nothing is being rolled out
}

func newLoop() *loop {
	l := &loop{
		tell: func(notify.Message) {}, announce: func(context.Context, *report.Report, map[string]journal.Interval, journal.Audit) {}, identify: func(context.Context, config.Configuration) *report.ClusterIdentity { return nil },
		changes: newChanges(), reports: policyreport.New(), healed: make(chan struct{}, 1),
	}
	l.healed <- struct{}{}
	return l
}

// run audits until ctx is done: everything at first; the cover at the interval, with
// some jitter, so that many clusters' auditors do not act as one; and what changed, and
// whom it concerns, when it did.
func (l *loop) run(ctx context.Context) {
	defer l.healing.Wait()
	defer l.page.drawings.Wait()
	var keeping sync.WaitGroup
	keeping.Go(func() { l.history.keep(ctx, l.log) })
	defer keeping.Wait()
	l.first.begin()
	if err := l.memory.load(ctx); err != nil && ctx.Err() == nil {
		l.log.Error(err, "Ages are not known")
	}
	l.cluster = l.identify(ctx, l.config())
	switch last, err := l.kept.load(ctx); {
	case last != nil:
		last.Cluster = l.cluster
		l.page.restored(last)
	case err != nil && ctx.Err() == nil:
		l.log.Error(err, "The page shows nothing before the first audit has ended")
	}
	retry := firstRetry
	due := request{scope: watch.Everything, why: "start"}
	var next time.Time // of the cover
	for ctx.Err() == nil {
		c := l.config()
		if due.scope > watch.Changes {
			every := c.Interval.Duration
			next = time.Now().Add(every + time.Duration((rand.Float64()-0.5)*0.2*float64(every)))
		}
		if err := l.audit(ctx, c, due); err != nil {
			if ctx.Err() != nil {
				return
			}
			l.metrics.Failed(reasonOf(err))
			pause := min(retry, c.Interval.Duration)
			l.log.Error(err, "The audit failed", "next", pause.String())
			// What was asked for is still to be done.
			due = l.wait(ctx, time.Now().Add(pause), due)
			retry *= 2
			continue
		}
		retry = firstRetry
		if reflect.DeepEqual(c, l.config()) { // else a round by the other one comes first
			l.rollOut(ctx, c)
		}
		until := next
		if opens := time.Now().Add(untilOpen(c, time.Now())); opens.Before(until) {
			until = opens
		}
		due = l.wait(ctx, until, request{scope: watch.Cover, why: "interval"})
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
	const never = 1 << 62
	if !c.AutoRollout.Enabled {
		return never
	}
	next := c.AutoRollout.Schedule().Next(now)
	if next.IsZero() || !next.After(now) {
		return never
	}
	return next.Sub(now)
}

// wait returns what is to be audited next: the given round when it is time, and before
// that what changes ask for, with what the given one is to do besides.
func (l *loop) wait(ctx context.Context, until time.Time, due request) request {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return due
	case <-timer.C:
		return l.changes.take(due) // this round sees them
	case <-l.changes.woken:
	}
	l.settle(ctx)
	if !time.Now().Before(until) {
		return l.changes.take(due)
	}
	return l.changes.take(request{scope: watch.Changes, why: "Pods changed", concerns: due.concerns})
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

// audit has a round and publishes what was found.
func (l *loop) audit(ctx context.Context, c config.Configuration, due request) error {
	begin := time.Now()
	round, err := l.round(ctx, c, due)
	if err != nil {
		return err
	}
	found := round.Report
	found.Cluster = l.identify(ctx, c)
	found.Group()
	if err := l.history.load(ctx); err != nil && ctx.Err() == nil {
		l.log.Error(err, "Since when changes are is not known")
	}
	observed := found.Observed()
	observed.Began, observed.At, observed.Asked = begin, time.Now(), due.scope != watch.Changes
	open := l.history.audited(observed)
	found.Began(open)
	found.Caused(l.history.whose())
	if c.Causes && (observed.Asked || len(due.concerns) > 0) {
		l.causes.audited(found.Questions())
	}
	l.last = found
	fresh := l.memory.update(found, begin)
	took := time.Since(begin)
	if due.scope == watch.Changes && len(due.concerns) == 0 {
		took = 0
	}
	found.Waves, found.Detection = l.memory.waveProgress(), detectionOf(round, c.Interval.Duration, time.Now())
	l.metrics.Audited(found, l.memory.oldest(), took, c.WorkloadMetrics)
	l.metrics.Covered(metrics.Cover{
		Features: round.Features, Learned: round.Learned, Classes: round.Classes,
		Detection: round.Detection, OldestFeature: round.OldestFeature, OldestAnswer: round.OldestAnswer,
		Interval: c.Interval.Duration, FullInterval: c.FullInterval.Duration,
	})
	l.first.end()
	l.page.audited(found)
	for _, message := range fresh.messages(found, begin) {
		l.tell(message)
	}
	l.announce(ctx, found, open, observed)
	if c.PolicyReports {
		look := due.scope == watch.Everything || begin.Sub(l.whole) >= c.FullInterval.Duration
		if look {
			l.whole = begin
		}
		l.reports.Audited(found, look)
	}
	if err := l.memory.save(ctx); err != nil && ctx.Err() == nil {
		l.log.Error(err, "Ages are not kept")
	}
	if err := l.history.save(ctx, time.Now()); err != nil && ctx.Err() == nil {
		l.log.Error(err, "The history of changes is not kept")
	}
	if err := l.kept.save(ctx, found, time.Now()); err != nil && ctx.Err() == nil {
		l.log.Error(err, "The next leader's page begins without a report")
	}
	log := l.log.V(1)
	if due.scope == watch.Everything || len(due.concerns) > 0 || round.Learned > 0 {
		log = l.log
	}
	values := []any{"reason", due.why, "took", time.Since(begin).Round(time.Millisecond).String(), "asked", round.Asked,
		"features", round.Features, "learned", round.Learned, "detection", round.Detection.Round(time.Second).String(),
		"driftPercent", found.Summary.Drift()}
	log.Info("Audited", append(values, podCounts(found)...)...)
	return nil
}

// soFar shows what the first audit has found so far.
func (l *loop) soFar(found *report.Report) {
	found.Cluster = l.cluster
	judged, of := l.first.far()
	l.page.partly(found, judged, of)
}

// podCounts are the Pods by state as values of a log line: drifted=12.
func podCounts(found *report.Report) []any {
	var values []any
	for _, state := range verdict.States() {
		if n := found.Summary.Pods[state]; n > 0 {
			name := string(state)
			values = append(values, strings.ToLower(name[:1])+name[1:], n)
		}
	}
	return values
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
