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
	// Waited is for how long an automatic run was waited for.
	Waited time.Duration
}

// Error names the holder.
func (e *HeldError) Error() string {
	if e.Waited > 0 {
		return fmt.Sprintf("%s has not finished what it rolls out in this cluster (Lease %s) after %s: try again when it has, or wait longer with --lock-timeout",
			e.Holder, e.Lease, e.Waited.Round(time.Second))
	}
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

// Claim is who wants the Lease, and how.
type Claim struct {
	// Namespace of the Lease; empty: sidecar-drift if that exists, and kube-system
	// otherwise.
	Namespace string
	// Automatic is how an automatic run gives way to people's; nil: it is a person's.
	Automatic *Courtesy
	// Patience is how long a person's run waits for an automatic one that holds the Lease
	// to finish what is under way, and to give the Lease up; not at all if not positive.
	Patience time.Duration
	// Watching is told once whose Lease is watched for whether it is renewed; Waiting who
	// is waited for, and for which of their workloads, each time that these are others.
	Watching func(*HeldError)
	Waiting  func(held *HeldError, finishing []string)
}

// Acquire takes the Lease. One that somebody holds is watched: if it is renewed, Acquire
// returns a *[HeldError], in a few seconds, or waits as the claim says; if it is
// not for some LongestWatch, its holder was killed, and it is taken over. No
// clock but this one's is believed, nor what a Lease says of its duration. Where a person
// waits for it, an automatic run gets a *[WantedError].
func Acquire(ctx context.Context, cfg *rest.Config, claim Claim) (*Lock, error) {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("lock the rollout: %w", err)
	}
	return acquire(ctx, client, claim)
}

func acquire(ctx context.Context, client kubernetes.Interface, claim Claim) (*Lock, error) {
	if claim.Namespace == "" {
		var err error
		if claim.Namespace, err = lockNamespace(ctx, client); err != nil {
			return nil, fmt.Errorf("lock the rollout: %w", err)
		}
	}
	if claim.Watching == nil {
		claim.Watching = func(*HeldError) {}
	}
	if claim.Waiting == nil {
		claim.Waiting = func(*HeldError, []string) {}
	}
	// The Lease is renewed while work under way is waited for, which outlives
	// an interrupt.
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &Lock{stop: stop, acquired: make(chan struct{}), lost: make(chan struct{}), failed: make(chan error, 1)}
	l.lease = &lease{
		claim: claim, client: client.CoordinationV1().Leases(claim.Namespace), namespace: claim.Namespace,
		identity: identity(claim.Automatic != nil), fail: l.fail, lose: l.lose, wanted: make(chan struct{}),
	}
	l.done.Go(func() { l.keep(renewing) })
	select {
	case <-l.acquired:
		return l, nil
	case err := <-l.failed:
		l.leave(ctx)
		return nil, explainLock(err, l.lease.Describe())
	case <-ctx.Done():
		// It may have been acquired at that very moment.
		l.leave(ctx)
		return nil, fmt.Errorf("lock the rollout by Lease %s: %w", l.lease.Describe(), ctx.Err())
	}
}

// leaveTimeout bounds how long an API server that is away delays the end of who gives up.
const leaveTimeout = 5 * time.Second

// leave gives up, and leaves nothing behind: who waited no longer does.
func (l *Lock) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	_ = l.Release(ctx) // which otherwise ends by itself
}

func explainLock(err error, lease string) error {
	if held, ok := errors.AsType[*HeldError](err); ok {
		return held
	}
	if wanted, ok := errors.AsType[*WantedError](err); ok {
		return wanted
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

// Wanted is closed when a person's run waits for an automatic one: nothing new may start.
func (l *Lock) Wanted() <-chan struct{} { return l.lease.wanted }

// Look has Wanted known at once; an automatic run otherwise learns it when it renews the
// Lease.
func (l *Lock) Look(ctx context.Context) {
	if found, err := l.lease.client.Get(ctx, LeaseName, metav1.GetOptions{}); err == nil {
		l.lease.heed(found)
	}
}

// Doing takes down what is under way, for those who wait to be told.
func (l *Lock) Doing(workloads []inventory.WorkloadRef) {
	names := make([]string, len(workloads))
	for i, ref := range workloads {
		names[i] = ref.String()
	}
	l.lease.mu.Lock()
	defer l.lease.mu.Unlock()
	l.lease.doing = names
}

// Release gives the Lease back, so that the next run need not wait for its end.
func (l *Lock) Release(ctx context.Context) error {
	l.stop()
	l.done.Wait()
	if err := l.lease.release(ctx); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("release the Lease %s: %w", l.lease.Describe(), err)
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

// identity says to people who rolls out, USER@HOST, process PID, and whether it is the
// daemon. It is another one each time: containers have their hosts' names and processes'
// numbers again.
func identity(automatic bool) string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	if who, err := user.Current(); err == nil {
		host = who.Username + "@" + host
	}
	text := fmt.Sprintf("%.80s, process %d, run %s", host, os.Getpid(), rand.String(8))
	if automatic {
		return servePrefix + text
	}
	return text
}
