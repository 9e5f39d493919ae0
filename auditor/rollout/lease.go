package rollout

import (
	"bytes"
	"context"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lease is the Lease as leader election reads and writes it. It tells what
// leader election keeps to itself: that another run was seen to renew the Lease,
// that it cannot be had at all, and that it is another's now.
type lease struct {
	resourcelock.Interface
	watching func(*HeldError)
	fail     func(error)
	lose     func()

	ours atomic.Bool // once it is, until another's name stands in it
	seen []byte      // the last record that was another's
}

// Get returns the record, its duration replaced by ours: whoever may write a
// Lease may write any number there.
func (l *lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	switch {
	case apierrors.IsNotFound(err):
		if l.ours.CompareAndSwap(true, false) {
			l.lose()
		}
	case err != nil:
		l.failed(ctx, err)
	case record.HolderIdentity != l.Identity():
		l.another(record, raw)
	}
	if record != nil {
		record.LeaseDurationSeconds = int(leaseDuration.Seconds())
	}
	return record, raw, err
}

// another looks at a record that is not ours.
func (l *lease) another(record *resourcelock.LeaderElectionRecord, raw []byte) {
	switch {
	case l.ours.CompareAndSwap(true, false):
		l.lose()
		return
	case record.HolderIdentity == "": // free
		l.seen = nil
		return
	}
	held := &HeldError{Holder: sentence(record.HolderIdentity, longestName), Since: record.AcquireTime.Time, Lease: l.Describe()}
	switch {
	case l.seen == nil:
		l.watching(held)
	case !bytes.Equal(l.seen, raw):
		l.fail(held)
	}
	l.seen = raw
}

// Create makes the Lease, ours, unless somebody was faster.
func (l *lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.wrote(ctx, l.Interface.Create(ctx, record), apierrors.IsAlreadyExists)
}

// Update renews the Lease, or takes it, unless somebody was faster.
func (l *lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.wrote(ctx, l.Interface.Update(ctx, record), func(err error) bool {
		return apierrors.IsConflict(err) || apierrors.IsNotFound(err)
	})
}

func (l *lease) wrote(ctx context.Context, err error, late func(error) bool) error {
	switch {
	case err == nil:
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
