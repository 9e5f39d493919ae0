package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// named is what is known of the workloads that were named. Their owners are
// then read one by one, which is cheaper than lists.
type named struct {
	uids    map[string]bool   // of the workloads, and of the Pods' owners
	objects map[string][]byte // read already, by UID
	seen    map[string]bool   // UIDs of Pods
}

// object is one that was read already.
func (n *named) object(uid string) ([]byte, bool) {
	if n == nil {
		return nil, false
	}
	raw, read := n.objects[uid]
	return raw, read
}

func (i *Inventory) takeNamed(ctx context.Context) error {
	i.named = &named{uids: map[string]bool{}, objects: map[string][]byte{}, seen: map[string]bool{}}
	for _, workload := range i.selection.Workloads {
		err := i.takeWorkload(ctx, workload)
		if i.selection.SkipGone && apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (i *Inventory) takeWorkload(ctx context.Context, workload WorkloadRef) error {
	kind, known := of(workload.Kind)
	if !known {
		return fmt.Errorf("%s: Pods cannot be found by workloads of this kind", workload)
	}
	if kind == pods {
		return i.takePod(ctx, workload)
	}
	raw, seen := i.selection.Seen[workload]
	if !seen {
		var err error
		if raw, err = get(ctx, i.client, kind, workload.Namespace, workload.Name); err != nil {
			return err
		}
	}
	object, err := jsontree.Parse(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", workload, err)
	}
	uid := object.Get("metadata", "uid").String()
	i.named.uids[uid], i.named.objects[uid] = true, raw
	i.workloads.add(kind, object)
	var selector string
	wanted := func(r record) bool { return r.owner.UID == uid && kind.owns(r.owner) }
	switch kind {
	case cronJobs:
		selector, err = i.jobsOf(ctx, workload.Namespace, uid)
		wanted = func(r record) bool { return jobs.owns(r.owner) }
	case deployments, rollouts:
		selector, err = selectorOf(object)
		wanted = func(r record) bool { return replicaSets.owns(r.owner) }
	default:
		selector, err = selectorOf(object)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", workload, err)
	}
	return i.takePods(ctx, query{
		resource: pods, namespace: workload.Namespace, labels: and(selector, i.selection.LabelSelector),
	}, i.named.firstTime(wanted))
}

// firstTime wants no Pod twice, as two named workloads may share it.
func (n *named) firstTime(wanted func(record) bool) func(record) bool {
	return func(r record) bool {
		if n.seen[r.UID] || !wanted(r) {
			return false
		}
		n.seen[r.UID] = true
		return true
	}
}

func (i *Inventory) takePod(ctx context.Context, pod WorkloadRef) error {
	found := false
	err := i.takePods(ctx, query{
		resource: pods, namespace: pod.Namespace,
		fields: "metadata.name=" + pod.Name, labels: i.selection.LabelSelector,
	}, i.named.firstTime(func(r record) bool {
		found = true
		i.named.uids[r.owner.UID] = true
		return true
	}))
	if err == nil && !found {
		err = fmt.Errorf("%s not found; check the name and the namespace (-n)", pod)
	}
	return err
}

// jobsOf returns a selector of the Pods of all Jobs of a CronJob.
func (i *Inventory) jobsOf(ctx context.Context, namespace, uid string) (selector string, err error) {
	names := []string{}
	err = list(ctx, i.client, query{resource: jobs, namespace: namespace}, func(raw []byte) error {
		job, err := jsontree.Parse(raw)
		if metadata := job.Get("metadata"); controllerOf(metadata).UID == uid {
			names = append(names, metadata.Get("uid").String())
		}
		return err
	}, func() error { return nil })
	return fmt.Sprintf("batch.kubernetes.io/controller-uid in (%s)", strings.Join(names, ",")), err
}

func selectorOf(object jsontree.Node) (string, error) {
	node := object.Get("spec", "selector")
	if !node.Exists() {
		return "", nil
	}
	var selector metav1.LabelSelector
	if err := json.Unmarshal(node.Raw(), &selector); err != nil {
		return "", fmt.Errorf("spec.selector: %w", err)
	}
	s, err := metav1.LabelSelectorAsSelector(&selector)
	if err != nil {
		return "", fmt.Errorf("spec.selector: %w", err)
	}
	return s.String(), nil
}

func and(selectors ...string) string {
	return strings.Join(slices.DeleteFunc(selectors, func(s string) bool { return s == "" }), ",")
}
