package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// errGone: the workload was deleted, perhaps created anew under its name.
var errGone = errors.New("was deleted meanwhile")

// watchSeconds bounds one watch, so that a connection that has silently died
// is noticed: after it the object is read again.
const watchSeconds int64 = 60

// rewatchPause is the wait before a read that follows a broken watch.
const rewatchPause = time.Second

func refTo(object *unstructured.Unstructured) inventory.WorkloadRef {
	return inventory.WorkloadRef{Kind: object.GetKind(), Namespace: object.GetNamespace(), Name: object.GetName()}
}

// firstVersion is how long a watch is given to say what there is: it says nothing of what
// is not there.
const firstVersion = 2 * time.Second

// versions are those of one workload, as a watch tells them from the first one on, which
// spares the request to read that. The zero value begins with none.
type versions struct {
	events watch.Interface // nil: no watch is open
	stop   context.CancelFunc
	last   *unstructured.Unstructured
}

// open reports whether a watch is.
func (v *versions) open() bool { return v.events != nil }

// end closes the watch.
func (v *versions) end() {
	if v.open() {
		v.events.Stop()
		v.stop()
	}
	*v = versions{}
}

// json is the last version that was waited for; nil if none was.
func (v *versions) json() []byte {
	if v.last == nil {
		return nil
	}
	text, err := v.last.MarshalJSON()
	if err != nil {
		return nil // then it is read
	}
	return text
}

// readAndWatch reads a workload, and has it watched from then on. Where it may not be watched it is
// read alone. An API server may answer a watch out of its cache, which can lag behind: what is
// decided by that must be written with the version that it was decided by.
func (c *cluster) readAndWatch(ctx context.Context, ref inventory.WorkloadRef) (*unstructured.Unstructured, versions, error) {
	watching, stop := context.WithCancel(ctx)
	slow := time.AfterFunc(firstVersion, stop)
	if events, err := c.watch(watching, ref, ""); err == nil {
		v := versions{events: events, stop: stop}
		select {
		case event, open := <-events.ResultChan():
			if object, is := event.Object.(*unstructured.Unstructured); open && is && event.Type == watch.Added && slow.Stop() {
				return object, v, nil
			}
		case <-watching.Done():
		}
		v.end()
	}
	stop()
	object, err := c.get(ctx, ref)
	return object, versions{}, err
}

// watch watches one workload from a version on; without one, what there is comes first.
func (c *cluster) watch(ctx context.Context, ref inventory.WorkloadRef, version string) (watch.Interface, error) {
	return c.of(ref).Watch(ctx, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, ref.Name).String(),
		ResourceVersion: version,
		TimeoutSeconds:  new(watchSeconds),
	})
}

// judge looks at one version of a workload: done, not yet, or an error that
// ends the wait.
type judge func(*unstructured.Unstructured) (done bool, err error)

// await follows a workload from the given version on, which it judges first, until judge
// ends it: by the watch that is open already, if one is, whose next version must be that
// one or a later one. It keeps the last version. An API server that is away, and a watch
// that is refused or breaks, only slow it down: it then reads the object again and again
// until ctx ends. Whatever was in the way when ctx ended is part of the error.
func (c *cluster) await(ctx context.Context, object *unstructured.Unstructured, v *versions, judge judge) error {
	ref := refTo(object)
	sameObject := func(seen *unstructured.Unstructured) (bool, error) {
		if seen.GetUID() != object.GetUID() {
			return false, errGone
		}
		v.last = seen
		return judge(seen)
	}
	if done, err := sameObject(object); done || err != nil {
		return err
	}
	version := object.GetResourceVersion()
	if v.open() {
		// What is wrong with this watch the next one tells.
		if ended, err := judgeEach(ctx, v.events, sameObject); ended {
			return err
		}
		version = ""
	}
	for {
		ended, err := c.follow(ctx, ref, version, sameObject)
		if ended {
			return err
		}
		if !pause(ctx, rewatchPause) {
			return errors.Join(ctx.Err(), err)
		}
		version = ""
	}
}

// follow judges a workload's versions as they come, for as long as one watch
// lasts. Without a version to start after it reads the present one first. An
// error without ended says why it could not follow any longer.
func (c *cluster) follow(ctx context.Context, ref inventory.WorkloadRef, version string, judge judge) (ended bool, err error) {
	if version == "" {
		object, err := c.get(ctx, ref)
		if apierrors.IsNotFound(err) {
			return true, errGone
		}
		if err != nil {
			return false, err
		}
		if done, err := judge(object); done || err != nil {
			return true, err
		}
		version = object.GetResourceVersion()
	}
	events, err := c.watch(ctx, ref, version)
	if err != nil {
		return false, err
	}
	defer events.Stop()
	return judgeEach(ctx, events, judge)
}

// judgeEach judges versions until the watch ends.
func judgeEach(ctx context.Context, events watch.Interface, judge judge) (ended bool, err error) {
	for {
		var event watch.Event
		select {
		case <-ctx.Done():
			return false, nil
		case next, open := <-events.ResultChan():
			if !open {
				return false, nil
			}
			event = next
		}
		switch event.Type {
		case watch.Added, watch.Modified:
			if done, err := judge(event.Object.(*unstructured.Unstructured)); done || err != nil {
				return true, err
			}
		case watch.Deleted:
			return true, errGone
		case watch.Error:
			return false, fmt.Errorf("watch: %w", apierrors.FromObject(event.Object))
		}
	}
}

// pause waits; it returns false if ctx ended meanwhile.
func pause(ctx context.Context, wait time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}
