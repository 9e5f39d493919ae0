package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

const (
	// largeNamespace holds the Pods of somebody who makes them as large as can be.
	largeNamespace = "bench-large"
	largePods      = 200
	// largeSize is the number of bytes of each: etcd takes 1.5 MB.
	largeSize = 1_200_000
)

// measureLarge measures how much more an audit and a daemon have in memory for Pods
// that are as large as the API server takes, under one owner of a kind that there is
// not: each is a revision of its own, and approximate.
func (s scale) measureLarge(ctx context.Context, out io.Writer, at site) error {
	audit := func() (row, error) {
		var most row
		for range scaleRounds {
			_, took, err := at.run(ctx, "audit", "-o", "json", "--kubeconfig", at.kubeconfig)
			if err != nil {
				return row{}, err
			}
			most.rss, most.private, most.seconds = max(most.rss, took.rss), max(most.private, took.private), took.seconds
		}
		return most, nil
	}
	before, err := audit()
	if err != nil {
		return err
	}
	d, err := at.serve(ctx)
	if err != nil {
		return err
	}
	served, err := install.MemoryOf(d.PID())
	if err != nil {
		return err
	}
	if err := createLarge(ctx, at.Cluster); err != nil {
		return err
	}
	after, err := audit()
	if err != nil {
		return err
	}
	after.benchmark, after.pods, after.workloads = "audit-large", largePods, 1
	fmt.Fprintf(out, "audit beside %d Pods of %.1f MB: %.1f s, %.1f MB in memory; without them %.1f MB\n",
		largePods, float64(largeSize)/1e6, after.seconds, after.rss, before.rss)
	figure(out, "audit-rss-large", fmt.Sprintf("%.1f", after.rss-before.rss), "MB", "<= 120")
	if err := cluster.Poll(ctx, "the daemon to have judged them", func(ctx context.Context) error {
		series, err := install.MetricsAt(ctx, d.metrics)
		if err != nil {
			return err
		}
		judged := 0.0
		for name, value := range series {
			if strings.HasPrefix(name, "sidecar_drift_pods{") && strings.Contains(name, largeNamespace) {
				judged += value
			}
		}
		if judged != largePods {
			return fmt.Errorf("%.0f are judged", judged)
		}
		return nil
	}); err != nil {
		return err
	}
	serving, err := install.MemoryOf(d.PID())
	if err != nil {
		return err
	}
	more := float64(serving.Most-served.Most) / 1e6
	fmt.Fprintf(out, "serve beside them: %.1f MB in memory; before they came %.1f MB\n", float64(serving.Most)/1e6, float64(served.Most)/1e6)
	figure(out, "daemon-rss-large", fmt.Sprintf("%.1f", more), "MB", "<= 120")
	if err := d.Stop(); err != nil {
		return err
	}
	if err := deleteLarge(ctx, at.Cluster); err != nil {
		return err
	}
	return s.add(after)
}

// deleteLarge leaves nothing of the Pods for what is measured next.
func deleteLarge(ctx context.Context, c *cluster.Cluster) error {
	pods := c.Client().CoreV1().Pods(largeNamespace)
	if err := pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}, metav1.ListOptions{}); err != nil {
		return err
	}
	return cluster.Poll(ctx, "the large Pods to be gone", func(ctx context.Context) error {
		left, err := pods.List(ctx, metav1.ListOptions{Limit: 1})
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("there is %s", left.Items[0].Name)
		}
		return err
	})
}

// createLarge creates the Pods: every second one has one large value, and the others
// thousands of small ones.
func createLarge(ctx context.Context, c *cluster.Cluster) error {
	client := c.Client()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: largeNamespace}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := cluster.Poll(ctx, "its ServiceAccount", func(ctx context.Context) error {
		_, err := client.CoreV1().ServiceAccounts(largeNamespace).Get(ctx, "default", metav1.GetOptions{})
		return err
	}); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for i := range largePods {
		group.Go(func() error {
			_, err := client.CoreV1().Pods(largeNamespace).Create(ctx, largePod(i), metav1.CreateOptions{})
			return err
		})
	}
	return group.Wait()
}

func largePod(i int) *corev1.Pod {
	var env []corev1.EnvVar
	if i%2 == 0 {
		env = []corev1.EnvVar{{Name: "LARGE", Value: strings.Repeat(fmt.Sprintf("%09d ", i), largeSize/10)}}
	} else {
		const each = 150 // of a variable, and of its creator's managedFields
		for n := range largeSize / each {
			env = append(env, corev1.EnvVar{Name: fmt.Sprintf("V%d", n), Value: fmt.Sprintf("%d of Pod %d", n, i)})
		}
	}
	yes := true
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: largeNamespace, Name: fmt.Sprint("large-", i),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "example.com/v1", Kind: "Foo", Name: "bar", UID: "none", Controller: &yes}},
		},
		Spec: corev1.PodSpec{
			SchedulerName: "none", Containers: []corev1.Container{{Name: "app", Image: "app:1", Env: env}},
			ActiveDeadlineSeconds: new(int64(time.Hour.Seconds())),
		},
	}
}
