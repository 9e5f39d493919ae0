package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// population is Deployments whose Pods Istio injects, in namespaces of their own.
// The same arguments make the same one.
type population struct {
	namespaces []*corev1.Namespace
	workloads  []*appsv1.Deployment
}

// pods is how many the workloads have.
func (p population) pods() int {
	sum := 0
	for _, w := range p.workloads {
		sum += int(*w.Spec.Replicas)
	}
	return sum
}

// Of a hundred workloads of a sized population few are large and many small: ten
// Pods each on average.
var sizes = []struct{ workloads, replicas int }{{1, 300}, {4, 75}, {15, 16}, {80, 2}}

const (
	sizedNamespaces = 10
	seed            = 1
)

// sized returns a population of so many Pods of one shape. A larger one holds all
// workloads of a smaller one, of which the last may have fewer Pods.
func sized(pods int) population {
	var p population
	for i := range sizedNamespaces {
		p.namespaces = append(p.namespaces, injectedNamespace(fmt.Sprintf("scale-%d", i), nil))
	}
	random := rand.New(rand.NewPCG(seed, 0))
	for left := pods; left > 0; {
		var hundred []int
		for _, size := range sizes {
			for range size.workloads {
				hundred = append(hundred, size.replicas)
			}
		}
		random.Shuffle(len(hundred), func(i, j int) { hundred[i], hundred[j] = hundred[j], hundred[i] })
		for _, replicas := range hundred {
			replicas = min(replicas, left)
			if left -= replicas; replicas == 0 {
				break
			}
			i := len(p.workloads)
			template := service(fmt.Sprintf("svc-%d", i), shape{containers: 1, ports: 2, probes: 2, env: 8, volumes: 2})
			p.workloads = append(p.workloads, deployment(p.namespaces[i%sizedNamespaces].Name, replicas, template))
		}
	}
	return p
}

func injectedNamespace(name string, labels map[string]string) *corev1.Namespace {
	all := map[string]string{"istio-injection": "enabled"}
	for key, value := range labels {
		all[key] = value
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: all}}
}

// deployment returns a workload whose Pods have their Node from the template: the
// scheduler's part is half of what is written for a Pod, and no audit looks at it.
func deployment(namespace string, replicas int, template corev1.PodTemplateSpec) *appsv1.Deployment {
	name, count, revisions := template.Labels["app"], int32(replicas), int32(1)
	template.Spec.NodeName = "node-0"
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &count, RevisionHistoryLimit: &revisions, Template: template,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
		},
	}
}

// Limits of create.
const (
	// creators is how many workloads are created at once.
	creators = 16
	// creationPatience is how long no further Pod may become ready.
	creationPatience = 5 * time.Minute
	// awaitEvery is how often all workloads are listed, which costs what the
	// Pods' creation is in need of.
	awaitEvery = 5 * time.Second
)

// create brings the cluster to hold the population and returns when all Pods are
// ready: they come, as anywhere, from the controllers and through admission. What is
// there already is scaled.
func (p population) create(ctx context.Context, c *cluster.Cluster) error {
	client := c.Client()
	for _, namespace := range p.namespaces {
		_, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		// Without its ServiceAccount, Pods are refused, and tried again late.
		if err := cluster.Poll(ctx, "ServiceAccount "+namespace.Name+"/default", func(ctx context.Context) error {
			_, err := client.CoreV1().ServiceAccounts(namespace.Name).Get(ctx, "default", metav1.GetOptions{})
			return err
		}); err != nil {
			return err
		}
	}
	group, creating := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for _, w := range p.workloads {
		group.Go(func() error {
			deployments := client.AppsV1().Deployments(w.Namespace)
			_, err := deployments.Create(creating, w, metav1.CreateOptions{})
			if apierrors.IsAlreadyExists(err) {
				_, err = deployments.Update(creating, w, metav1.UpdateOptions{})
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("create workloads: %w", err)
	}
	return p.await(ctx, client)
}

// await returns when all Pods are ready.
func (p population) await(ctx context.Context, client kubernetes.Interface) error {
	tick := time.NewTicker(awaitEvery)
	defer tick.Stop()
	most, since := 0, time.Now()
	for {
		ready := 0
		for _, namespace := range p.namespaces {
			list, err := client.AppsV1().Deployments(namespace.Name).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
			if err != nil {
				return err
			}
			for _, d := range list.Items {
				if d.Status.ObservedGeneration == d.Generation {
					ready += int(d.Status.ReadyReplicas)
				}
			}
		}
		switch {
		case ready == p.pods():
			return nil
		case ready > most:
			most, since = ready, time.Now()
		case time.Since(since) > creationPatience:
			return fmt.Errorf("%d of %d Pods are ready, and none has become so for %s", ready, p.pods(), creationPatience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
