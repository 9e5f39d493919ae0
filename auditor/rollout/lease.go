package rollout

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/retry"
)

// lease is the Lease as leader election reads and writes it: resourcelock's LeaseLock with
// annotations, which it hides. It tells what leader election keeps to itself: that another
// run was seen to renew the Lease, that it cannot be had at all, that it is another's now,
// and that somebody waits for it.
type lease struct {
	claim     Claim
	client    coordinationv1client.LeaseInterface
	namespace string
	identity  string
	fail      func(error)
	lose      func()

	stored *coordinationv1.Lease // as it was last read or written
	ours   atomic.Bool           // once it is, until another's name stands in it
	seen   []byte                // the last record that was another's

	// Of a run that waits for an automatic one.
	since  time.Time // it waits since then
	wished time.Time // when it last said so
	// others is another person's wish, and since when it has been the same.
	others      string
	othersSince time.Time
	told        []string // what it was told to wait for

	mu     sync.Mutex
	doing  []string // workloads under way
	wanted chan struct{}
}

// Identity is the holder's that the Lease names while it is ours.
func (l *lease) Identity() string { return l.identity }

// Describe is the Lease's NAMESPACE/NAME.
func (l *lease) Describe() string { return l.namespace + "/" + LeaseName }

// RecordEvent does nothing: what there is to say stands in the Lease.
func (l *lease) RecordEvent(string) {}

// Get returns the record, its duration replaced by ours: whoever may write a
// Lease may write any number there.
func (l *lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	found, err := l.client.Get(ctx, LeaseName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		if l.ours.CompareAndSwap(true, false) {
			l.lose()
		}
		return nil, nil, err
	case err != nil:
		l.failed(ctx, err)
		return nil, nil, err
	}
	l.stored = found
	record := resourcelock.LeaseSpecToLeaderElectionRecord(&found.Spec)
	raw, err := json.Marshal(record)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case record.HolderIdentity == l.identity:
		l.heed(found)
	case l.ours.CompareAndSwap(true, false):
		l.lose()
	default:
		if err := l.another(ctx, record, raw); err != nil {
			return nil, nil, err
		}
	}
	record.LeaseDurationSeconds = int(leaseDuration.Seconds())
	return record, raw, nil
}

// another looks at a record that is not ours. The error keeps the Lease from being taken.
func (l *lease) another(ctx context.Context, record *resourcelock.LeaderElectionRecord, raw []byte) error {
	if err := l.giveWay(record); err != nil {
		l.fail(err)
		return err
	}
	if record.HolderIdentity == "" { // free
		l.seen = nil
		return nil
	}
	held := &HeldError{Holder: sentence(record.HolderIdentity, longestName), Since: record.AcquireTime.Time, Lease: l.Describe()}
	renewed := l.seen != nil && !bytes.Equal(l.seen, raw)
	waits := automatic(record.HolderIdentity) && l.claim.Patience > 0
	switch {
	case waits:
		l.wait(ctx, held, renewed)
	case renewed:
		l.fail(held)
	case l.seen == nil:
		l.claim.Watching(held)
	}
	l.seen = raw
	return nil
}

// giveWay has an automatic run leave a Lease that is no person's to who waits for it.
func (l *lease) giveWay(record *resourcelock.LeaderElectionRecord) error {
	polite := l.claim.Automatic
	if polite == nil {
		return nil
	}
	polite.changedHands(record.LeaderTransitions, false)
	if record.HolderIdentity != "" && !automatic(record.HolderIdentity) {
		return nil // which is told as ever
	}
	now := time.Now()
	by := polite.wanted(l.stored.Annotations[wantedKey], now)
	if by == "" {
		return nil
	}
	polite.gave(now)
	return &WantedError{By: by, Lease: l.Describe()}
}

// heed has an automatic run that holds the Lease know that somebody waits for it.
func (l *lease) heed(found *coordinationv1.Lease) {
	polite := l.claim.Automatic
	if polite == nil {
		return
	}
	now := time.Now()
	if polite.wanted(found.Annotations[wantedKey], now) == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.wanted:
	default:
		close(l.wanted)
		polite.gave(now)
	}
}

// wait has a person's run wait for an automatic one, which is told so. A holder that does
// not renew the Lease was killed: then it is taken over by leader election's rules.
func (l *lease) wait(ctx context.Context, held *HeldError, renewed bool) {
	now := time.Now()
	if l.since.IsZero() {
		l.since = now
	}
	if held.Waited = now.Sub(l.since); held.Waited >= l.claim.Patience && renewed {
		l.fail(held)
		return
	}
	doing := finishingOf(l.stored.Annotations[finishingKey], *l.stored.Spec.HolderIdentity)
	if l.told == nil || !slices.Equal(l.told, doing) {
		l.told = append([]string{}, doing...)
		l.claim.Waiting(held, doing)
	}
	mark, ok := parseWish(l.stored.Annotations[wantedKey])
	switch {
	case ok && mark.Holder == l.identity && now.Sub(l.wished) < wishRenewal:
		return
	case ok && mark.Holder != l.identity:
		// One wish is enough while its owner renews it; two would be in each other's way.
		if text := l.stored.Annotations[wantedKey]; text != l.others {
			l.others, l.othersSince = text, now
		}
		if now.Sub(l.othersSince) < 2*wishRenewal {
			return
		}
	}
	text, err := json.Marshal(wish{Holder: l.identity, Time: now.UTC()})
	if err != nil {
		return
	}
	next := l.stored.DeepCopy()
	metav1.SetMetaDataAnnotation(&next.ObjectMeta, wantedKey, string(text))
	switch stored, err := l.client.Update(ctx, next, metav1.UpdateOptions{}); {
	case err == nil:
		l.stored, l.wished = stored, now // or a takeover in the same turn would conflict with this
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		l.failed(ctx, err)
	}
}

// Create makes the Lease, ours, unless somebody was faster.
func (l *lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	next := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: LeaseName}}
	stored, err := l.client.Create(ctx, l.written(next, record), metav1.CreateOptions{})
	return l.wrote(ctx, stored, err, apierrors.IsAlreadyExists)
}

// Update renews the Lease, or takes it, unless somebody was faster.
func (l *lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	stored, err := l.client.Update(ctx, l.written(l.stored.DeepCopy(), record), metav1.UpdateOptions{})
	return l.wrote(ctx, stored, err, func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsNotFound(err) })
}

// written is the Lease as it is to be.
func (l *lease) written(next *coordinationv1.Lease, record resourcelock.LeaderElectionRecord) *coordinationv1.Lease {
	next.Spec = resourcelock.LeaderElectionRecordToLeaseSpec(&record)
	metav1.SetMetaDataLabel(&next.ObjectMeta, "app.kubernetes.io/name", "sidecar-drift")
	delete(next.Annotations, finishingKey)
	if l.claim.Automatic == nil || !l.ours.Load() {
		delete(next.Annotations, wantedKey) // it is fulfilled, or does not count
		return next
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.wanted:
		note := finishing{Holder: l.identity, Workloads: l.doing}.note()
		metav1.SetMetaDataAnnotation(&next.ObjectMeta, finishingKey, note)
	default:
	}
	return next
}

func (l *lease) wrote(ctx context.Context, stored *coordinationv1.Lease, err error, late func(error) bool) error {
	switch {
	case err == nil:
		l.stored = stored
		if polite := l.claim.Automatic; polite != nil {
			polite.changedHands(int(*stored.Spec.LeaseTransitions), true)
		}
		l.ours.Store(true)
	case !late(err):
		l.failed(ctx, err)
	}
	return err
}

// failed: what is in the way of a Lease that is not ours yet is told at once; one
// that is ours is renewed at the next attempt.
func (l *lease) failed(ctx context.Context, err error) {
	if !l.ours.Load() && ctx.Err() == nil {
		l.fail(err)
	}
}

// release leaves neither name nor wish of ours in the Lease.
func (l *lease) release(ctx context.Context) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		next, err := l.client.Get(ctx, LeaseName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		before := maps.Clone(next.Annotations)
		if mark, ok := parseWish(next.Annotations[wantedKey]); ok && mark.Holder == l.identity {
			delete(next.Annotations, wantedKey)
		}
		switch record := resourcelock.LeaseSpecToLeaderElectionRecord(&next.Spec); {
		case record.HolderIdentity == l.identity:
			now := metav1.Now()
			delete(next.Annotations, finishingKey)
			next.Spec = resourcelock.LeaderElectionRecordToLeaseSpec(&resourcelock.LeaderElectionRecord{
				LeaderTransitions: record.LeaderTransitions, LeaseDurationSeconds: 1, RenewTime: now, AcquireTime: now,
			})
		case maps.Equal(before, next.Annotations):
			return nil
		}
		_, err = l.client.Update(ctx, next, metav1.UpdateOptions{})
		return err
	})
}
