package rollout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// Names of the Lease and of the namespaces that it is in by default.
const (
	LeaseName             = "sidecar-drift-rollout"
	installationNamespace = "sidecar-drift"
	fallbackNamespace     = "kube-system"
)

// How the Lease is kept: client-go's leader election with the durations of
// Kubernetes' own components. A run that was killed is followed by another one
// once its Lease was not seen to be renewed for leaseDuration.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	leaseRenewal  = 2 * time.Second // somewhat more while it is waited for
)

// LongestWatch is about how long Acquire watches whether a Lease is renewed.
const LongestWatch = leaseDuration + 5*time.Second

// HeldError is that another run rolls out in this cluster.
type HeldError struct {
	Holder string
	Since  time.Time // by the holder's own clock
	// Lease is NAMESPACE/NAME.
	Lease string
}

// Error names the holder.
func (e *HeldError) Error() string {
	return fmt.Sprintf("%s rolls out in this cluster since %s (Lease %s, just renewed): try again when it has ended",
		e.Holder, e.Since.UTC().Format(time.RFC3339), e.Lease)
}

// Lock is a Lease that keeps a second run out of the cluster. It is renewed until
// Release.
type Lock struct {
	lease    *lease
	stop     context.CancelFunc
	done     sync.WaitGroup
	acquired chan struct{}
	lost     chan struct{}
	failed   chan error
}

// Acquire takes the Lease in the namespace; an empty one means sidecar-drift if
// that exists, and kube-system otherwise. A Lease that somebody holds is watched:
// if it is renewed, Acquire returns a *[HeldError], in a few seconds; if it is
// not for some LongestWatch, its holder was killed, and it is taken over. No
// clock but this one's is believed, nor what a Lease says of its duration.
// watching is told whom Acquire watches, once.
func Acquire(ctx context.Context, cfg *rest.Config, namespace string, watching func(*HeldError)) (*Lock, error) {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("lock the rollout: %w", err)
	}
	return acquire(ctx, client, namespace, watching)
}

func acquire(ctx context.Context, client kubernetes.Interface, namespace string, watching func(*HeldError)) (*Lock, error) {
	if namespace == "" {
		var err error
		if namespace, err = lockNamespace(ctx, client); err != nil {
			return nil, fmt.Errorf("lock the rollout: %w", err)
		}
	}
	// The Lease is renewed while work under way is waited for, which outlives
	// an interrupt.
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &Lock{stop: stop, acquired: make(chan struct{}), lost: make(chan struct{}), failed: make(chan error, 1)}
	l.lease = &lease{
		Interface: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: LeaseName},
			Labels:     map[string]string{"app.kubernetes.io/name": "sidecar-drift"},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity()},
		},
		watching: watching, fail: l.fail, lose: l.lose,
	}
	l.done.Go(func() { l.keep(renewing) })
	select {
	case <-l.acquired:
		return l, nil
	case err := <-l.failed:
		l.done.Wait()
		return nil, explainLock(err, l.lease.Describe())
	case <-ctx.Done():
		stop()
		l.done.Wait()
		// It may have been acquired at that very moment.
		_ = l.Release(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("lock the rollout by Lease %s: %w", l.lease.Describe(), ctx.Err())
	}
}

func explainLock(err error, lease string) error {
	if held, ok := errors.AsType[*HeldError](err); ok {
		return held
	}
	advice := ""
	if apierrors.IsForbidden(err) {
		advice = "; roll out as who may (" + inventory.RollOutAsFenced + "), or choose a namespace in which you may with --lock-namespace"
	}
	return fmt.Errorf("lock the rollout by Lease %s: %w%s", lease, err, advice)
}

// keep acquires the Lease and renews it until ctx is done or it is lost. Leader
// election gives up after renewDeadline without an answer; an API server that is
// away can give the Lease to nobody else, so it is begun again.
func (l *Lock) keep(ctx context.Context) {
	ctx = klog.NewContext(ctx, logr.Discard())
	var once sync.Once
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: l.lease, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: leaseRenewal, Name: LeaseName,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { once.Do(func() { close(l.acquired) }) },
				OnStoppedLeading: func() {},
			},
		})
		if err != nil {
			l.fail(err)
			return
		}
		elector.Run(ctx)
	}
}

// fail ends Acquire.
func (l *Lock) fail(err error) {
	select {
	case l.failed <- err:
	default:
	}
	l.stop()
}

// lose lets nothing new start.
func (l *Lock) lose() {
	close(l.lost)
	l.stop()
}

// Lost is closed when another run has taken the Lease: nothing new may start.
func (l *Lock) Lost() <-chan struct{} { return l.lost }

// Release gives the Lease back, so that the next run need not wait for its end.
func (l *Lock) Release(ctx context.Context) error {
	l.stop()
	l.done.Wait()
	lock := l.lease.Interface
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		record, _, err := lock.Get(ctx)
		if err != nil || record.HolderIdentity != lock.Identity() {
			return err
		}
		now := metav1.Now()
		return lock.Update(ctx, resourcelock.LeaderElectionRecord{
			LeaderTransitions: record.LeaderTransitions, LeaseDurationSeconds: 1, RenewTime: now, AcquireTime: now,
		})
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("release the Lease %s: %w", lock.Describe(), err)
	}
	return nil
}

func lockNamespace(ctx context.Context, client kubernetes.Interface) (string, error) {
	_, err := client.CoreV1().Namespaces().Get(ctx, installationNamespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		return fallbackNamespace, nil
	case err != nil:
		return "", fmt.Errorf("look for namespace %s: %w", installationNamespace, err)
	}
	return installationNamespace, nil
}

// identity says to people who rolls out, USER@HOST, process PID, and is another
// one each time: containers have their hosts' names and processes' numbers again.
func identity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	if who, err := user.Current(); err == nil {
		host = who.Username + "@" + host
	}
	return fmt.Sprintf("%.80s, process %d, run %s", host, os.Getpid(), rand.String(8))
}
