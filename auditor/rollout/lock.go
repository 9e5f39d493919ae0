package rollout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
)

// Names of the Lease and of the namespaces that it is in by default.
const (
	LeaseName             = "sidecar-drift-rollout"
	installationNamespace = "sidecar-drift"
	fallbackNamespace     = "kube-system"
)

const (
	// leaseDuration is after which a run that renews its Lease no more counts
	// as gone.
	leaseDuration = 15 * time.Second
	// leaseRenewal is the time between renewals, and how long a Lease that
	// looks abandoned is watched for one: clocks may differ.
	leaseRenewal = 4 * time.Second
)

// HeldError is that another run rolls out in this cluster.
type HeldError struct {
	Holder string
	Since  time.Time
	// Lease is NAMESPACE/NAME.
	Lease string
}

// Error names the holder.
func (e *HeldError) Error() string {
	return fmt.Sprintf("%s rolls out in this cluster since %s (Lease %s); if it was killed, its Lease ends within %s",
		e.Holder, e.Since.UTC().Format(time.RFC3339), e.Lease, leaseDuration)
}

// Lock is a Lease that keeps a second run out of the cluster. It is renewed until
// Release.
type Lock struct {
	leases coordinationclient.LeaseInterface
	holder string
	stop   context.CancelFunc
	done   sync.WaitGroup
	lost   chan struct{}
}

// Acquire takes the Lease in the namespace; an empty one means sidecar-drift if
// that exists, and kube-system otherwise. It returns a *[HeldError] if another
// run holds it; one that a killed run has left is taken over once it has ended.
func Acquire(ctx context.Context, cfg *rest.Config, namespace string) (*Lock, error) {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("lock the rollout: %w", err)
	}
	if namespace == "" {
		if namespace, err = lockNamespace(ctx, client); err != nil {
			return nil, fmt.Errorf("lock the rollout: %w", err)
		}
	}
	l := &Lock{leases: client.CoordinationV1().Leases(namespace), holder: identity(), lost: make(chan struct{})}
	if err := l.acquire(ctx, namespace); err != nil {
		if held, ok := errors.AsType[*HeldError](err); ok {
			return nil, held
		}
		advice := ""
		if apierrors.IsForbidden(err) {
			advice = "; bind the Role sidecar-drift-rollout of that namespace to this identity, or choose another with --lock-namespace"
		}
		return nil, fmt.Errorf("lock the rollout by Lease %s/%s: %w%s", namespace, LeaseName, err, advice)
	}
	// The Lease is renewed while work under way is waited for, which outlives
	// an interrupt.
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	l.done.Go(func() { l.renew(renewing) })
	return l, nil
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

// identity says to people who rolls out: USER@HOST, process PID.
func identity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	if who, err := user.Current(); err == nil {
		host = who.Username + "@" + host
	}
	return fmt.Sprintf("%.80s, process %d", host, os.Getpid())
}

func (l *Lock) acquire(ctx context.Context, namespace string) error {
	for {
		lease, err := l.leases.Get(ctx, LeaseName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: LeaseName, Labels: map[string]string{"app.kubernetes.io/name": "sidecar-drift"}}}
			l.take(lease)
			if _, err = l.leases.Create(ctx, lease, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if held := heldBy(lease, time.Now(), namespace); held != nil {
			return held
		}
		if free(lease) || l.abandoned(ctx, lease) {
			l.take(lease)
			if _, err = l.leases.Update(ctx, lease, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func free(lease *coordinationv1.Lease) bool {
	return lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == ""
}

// heldBy is nil for a Lease that nobody holds any more, by this machine's clock.
func heldBy(lease *coordinationv1.Lease, now time.Time, namespace string) *HeldError {
	s := lease.Spec
	if free(lease) || s.RenewTime == nil || now.After(s.RenewTime.Add(leaseDuration)) {
		return nil
	}
	held := &HeldError{Holder: *s.HolderIdentity, Lease: namespace + "/" + LeaseName}
	if s.AcquireTime != nil {
		held.Since = s.AcquireTime.Time
	}
	return held
}

// abandoned watches a Lease whose time is over for one more renewal.
func (l *Lock) abandoned(ctx context.Context, lease *coordinationv1.Lease) bool {
	if !pause(ctx, leaseRenewal+time.Second) {
		return false
	}
	again, err := l.leases.Get(ctx, LeaseName, metav1.GetOptions{})
	return err == nil && again.ResourceVersion == lease.ResourceVersion
}

func (l *Lock) take(lease *coordinationv1.Lease) {
	now, seconds := metav1.NowMicro(), int32(leaseDuration/time.Second)
	transitions := int32(0)
	if lease.Spec.LeaseTransitions != nil {
		transitions = *lease.Spec.LeaseTransitions + 1
	}
	lease.Spec = coordinationv1.LeaseSpec{
		HolderIdentity: &l.holder, AcquireTime: &now, RenewTime: &now,
		LeaseDurationSeconds: &seconds, LeaseTransitions: &transitions,
	}
}

// renew keeps the Lease until ctx is done. An API server that is away can give it
// to nobody else, so only another holder means that it is lost.
func (l *Lock) renew(ctx context.Context) {
	for pause(ctx, leaseRenewal) {
		lease, err := l.leases.Get(ctx, LeaseName, metav1.GetOptions{})
		switch {
		case err == nil && (free(lease) || *lease.Spec.HolderIdentity != l.holder), apierrors.IsNotFound(err):
			close(l.lost)
			return
		case err != nil:
			continue
		}
		now := metav1.NowMicro()
		lease.Spec.RenewTime = &now
		_, _ = l.leases.Update(ctx, lease, metav1.UpdateOptions{}) // or the next time
	}
}

// Lost is closed when another run has taken the Lease: nothing new may start.
func (l *Lock) Lost() <-chan struct{} { return l.lost }

// Release gives the Lease back, so that the next run need not wait for its end.
func (l *Lock) Release(ctx context.Context) error {
	l.stop()
	l.done.Wait()
	lease, err := l.leases.Get(ctx, LeaseName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("release the Lease %s: %w", LeaseName, err)
	}
	if free(lease) || *lease.Spec.HolderIdentity != l.holder {
		return nil
	}
	nobody := ""
	lease.Spec.HolderIdentity, lease.Spec.RenewTime = &nobody, nil
	if _, err := l.leases.Update(ctx, lease, metav1.UpdateOptions{}); err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("release the Lease %s: %w", LeaseName, err)
	}
	return nil
}
