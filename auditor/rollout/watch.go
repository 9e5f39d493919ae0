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

// judge looks at one version of a workload: done, not yet, or an error that
// ends the wait.
type judge func(*unstructured.Unstructured) (done bool, err error)

// await follows a workload from the given version on, which it judges first,
// until judge ends it. An
// API server that is away, and a watch that is refused or breaks, only slow it
// down: it then reads the object again and again until ctx ends. Whatever was
// in the way when ctx ended is part of the error.
func (c *cluster) await(ctx context.Context, object *unstructured.Unstructured, judge judge) error {
	ref := refTo(object)
	sameObject := func(seen *unstructured.Unstructured) (bool, error) {
		if seen.GetUID() != object.GetUID() {
			return false, errGone
		}
		return judge(seen)
	}
	if done, err := judge(object); done || err != nil {
		return err
	}
	version := object.GetResourceVersion()
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
	watcher, err := c.of(ref).Watch(ctx, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, ref.Name).String(),
		ResourceVersion: version,
		TimeoutSeconds:  new(watchSeconds),
	})
	if err != nil {
		return false, err
	}
	defer watcher.Stop()
	for event := range watcher.ResultChan() {
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
	return false, nil
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
