// Package churn creates Pods at the API server's full speed while something is
// done to the stamper, and counts those that could not be created and those that
// came through without a stamp.
package churn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
)

const (
	// Namespace is where the Pods are.
	Namespace = "churn"
	// patience bounds how long is waited for all to be well.
	patience = 5 * time.Minute
	// deleted is how many Pods are deleted by a request.
	deleted = 1000
	// enough is how many Pods are created at full speed; more come at a slower
	// one, so that what an event waits for gets its time.
	enough = 5000
	slower = 50 * time.Millisecond
)

// Pace is how Pods are created.
type Pace struct {
	// Creators is how many are created at a time.
	Creators int
	// Settled is how many in a row tell that all is well.
	Settled int
	// Pause is how long each of the creators waits between two.
	Pause time.Duration
}

// FullSpeed is an API server's that shares two cores with its etcd.
func FullSpeed() Pace { return Pace{Creators: 4, Settled: 100} }

// Light leaves room for other tests, and misses nothing that lasts longer than its pause.
func Light() Pace { return Pace{Creators: 1, Settled: 20, Pause: 25 * time.Millisecond} }

// Tally is what became of the Pods.
type Tally struct {
	Created, Failed int
	// Unstamped are those of Created that have no stamp.
	Unstamped    int
	FirstFailure error
}

// String returns "812 Pods, 0 not created, 3 without a stamp".
func (t Tally) String() string {
	return fmt.Sprintf("%d Pods, %d not created, %d without a stamp", t.Created, t.Failed, t.Unstamped)
}

// Stamped tells that a Pod came through with a stamp.
func Stamped(pod *corev1.Pod) bool { return pod.Annotations[fingerprint.StampAnnotation] != "" }

// Bare tells that a Pod came through without one.
func Bare(pod *corev1.Pod) bool { return !Stamped(pod) }

// During creates Pods, and has something done once enough in a row are stamped.
// It ends when that is done and as many are well, with an error if they never are
// or if act returned one.
func (p Pace) During(ctx context.Context, client kubernetes.Interface, act func(context.Context) error, well func(*corev1.Pod) bool) (Tally, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := &churn{client: client, settled: p.Settled, progress: make(chan struct{}, 1), well: Stamped}
	creating, stop := context.WithCancel(ctx)
	defer stop()
	var workers sync.WaitGroup
	for range p.Creators {
		workers.Go(func() { c.create(creating, p.Pause) })
	}
	err := c.settle(ctx, Stamped)
	if err == nil {
		err = act(ctx)
	}
	if err == nil {
		err = c.settle(ctx, well)
	}
	stop()
	workers.Wait()
	return c.Tally, errors.Join(err, c.deleteAll(context.WithoutCancel(ctx)))
}

// deleteAll deletes the Pods, some at a time: a request that takes a minute ends
// without having deleted all.
func (c *churn) deleteAll(ctx context.Context) error {
	pods := c.client.CoreV1().Pods(Namespace)
	for {
		if err := pods.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{Limit: deleted}); err != nil {
			return err
		}
		left, err := pods.List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil || len(left.Items) == 0 {
			return err
		}
	}
}

// churn counts.
type churn struct {
	client   kubernetes.Interface
	settled  int
	progress chan struct{} // holds one after each Pod

	mu sync.Mutex
	Tally
	well   func(*corev1.Pod) bool
	inARow int // well, since the last that was not
}

func (c *churn) create(ctx context.Context, pause time.Duration) {
	for {
		pod, err := c.client.CoreV1().Pods(Namespace).Create(ctx, gatedPod(), metav1.CreateOptions{})
		if ctx.Err() != nil {
			return
		}
		c.add(pod, err)
		select {
		case c.progress <- struct{}{}:
		default:
		}
		if c.created() > enough {
			pause = slower
		}
		time.Sleep(pause)
	}
}

func (c *churn) created() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Created
}

// settle waits until enough Pods in a row are well, from now on.
func (c *churn) settle(ctx context.Context, well func(*corev1.Pod) bool) error {
	c.mu.Lock()
	c.inARow, c.well = 0, well
	c.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %d Pods in a row that are as they should be: %w", c.settled, ctx.Err())
		case <-c.progress:
		}
		c.mu.Lock()
		done := c.inARow >= c.settled
		c.mu.Unlock()
		if done {
			return nil
		}
	}
}

func (c *churn) add(pod *corev1.Pod, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.Failed++
		c.inARow = 0
		if c.FirstFailure == nil {
			c.FirstFailure = err
		}
		return
	}
	c.Created++
	if !Stamped(pod) {
		c.Unstamped++
	}
	c.inARow++
	if !c.well(pod) {
		c.inARow = 0
	}
}

// gatedPod is a Pod that never runs.
func gatedPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "pod-"},
		Spec: corev1.PodSpec{
			SchedulingGates: []corev1.PodSchedulingGate{{Name: "sidecar-drift.io/never"}},
			Containers:      []corev1.Container{{Name: "app", Image: "app:1"}},
		},
	}
}
