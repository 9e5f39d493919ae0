package main

import (
	"fmt"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// shape is what an injector may decide by, beyond names, images and values: two
// workloads of one shape differ in nothing else.
type shape struct {
	namespace                               int // one of shapedNamespaces
	annotation                              int // one of annotations
	containers, ports, probes, env, volumes int
	command, initial, secured               bool
}

// annotations are those of shapes: Istio's injector renders the first ones
// differently.
var annotations = []map[string]string{
	nil,
	{"sidecar.istio.io/proxyCPU": "250m"},
	{"sidecar.istio.io/proxyMemory": "256Mi"},
	{"traffic.sidecar.istio.io/excludeOutboundPorts": "5432"},
	{"traffic.sidecar.istio.io/excludeInboundPorts": "9090"},
	{"proxy.istio.io/config": "concurrency: 2"},
	{"sidecar.istio.io/logLevel": "warning"},
	{"prometheus.io/scrape": "true", "prometheus.io/port": "9090"},
}

// shapedNamespaces are the labels of the namespaces of shapes, beside the one that
// has them injected.
var shapedNamespaces = []map[string]string{
	nil, {"team": "shop"}, {"team": "payments", "tier": "backend"}, {"pod-security.kubernetes.io/warn": "baseline"},
}

// Of the shapes so many in a hundred have a single workload; of the others each has
// two at least, and the first ones most of them.
const (
	shapesInAll   = 50
	singlePercent = 30
)

// shapes returns a population of so many workloads of one Pod each.
func shapes(workloads int) (population, error) {
	const single = shapesInAll * singlePercent / 100
	const shared = shapesInAll - single
	if workloads < single+2*shared {
		return population{}, fmt.Errorf("%d shapes need %d workloads or more", shapesInAll, single+2*shared)
	}
	var p population
	for i, labels := range shapedNamespaces {
		p.namespaces = append(p.namespaces, injectedNamespace(fmt.Sprintf("shapes-%d", i), labels))
	}
	random := rand.New(rand.NewPCG(seed, 0))
	seen := map[shape]bool{}
	for _, count := range skewed(workloads-single, shared, single) {
		s := randomShape(random)
		for seen[s] {
			s = randomShape(random)
		}
		seen[s] = true
		for range count {
			template := service(fmt.Sprintf("svc-%d", len(p.workloads)), s)
			p.workloads = append(p.workloads, deployment(p.namespaces[s.namespace].Name, 1, template))
		}
	}
	random.Shuffle(len(p.workloads), func(i, j int) { p.workloads[i], p.workloads[j] = p.workloads[j], p.workloads[i] })
	return p, nil
}

// skewed parts n into so many shares, each at least 2 and the k-th in proportion to
// 1/k, and adds so many shares of 1.
func skewed(n, shares, ones int) []int {
	sum := 0.0
	for k := range shares {
		sum += 1 / float64(k+1)
	}
	parts := make([]int, 0, shares+ones)
	left := n - 2*shares
	for k := range shares {
		part := int(float64(n-2*shares) / sum / float64(k+1))
		parts = append(parts, 2+part)
		left -= part
	}
	parts[0] += left
	for range ones {
		parts = append(parts, 1)
	}
	return parts
}

func randomShape(random *rand.Rand) shape {
	return shape{
		namespace: random.IntN(len(shapedNamespaces)), annotation: random.IntN(len(annotations)),
		containers: 1 + random.IntN(2), ports: random.IntN(4), probes: random.IntN(3), env: random.IntN(9), volumes: random.IntN(5),
		command: random.IntN(2) == 0, initial: random.IntN(4) == 0, secured: random.IntN(2) == 0,
	}
}

// service returns the template of a service's Pods.
func service(name string, s shape) corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			Labels:      map[string]string{"app": name, "version": "v1", "app.kubernetes.io/part-of": "shop"},
			Annotations: annotations[s.annotation],
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{app(name, s)}},
	}
	for i := range s.containers - 1 {
		t.Spec.Containers = append(t.Spec.Containers, corev1.Container{Name: fmt.Sprintf("helper-%d", i), Image: "registry.example/helper:1"})
	}
	if s.initial {
		t.Spec.InitContainers = []corev1.Container{{Name: "prepare", Image: "registry.example/prepare:1"}}
	}
	if s.secured {
		user := int64(1000)
		t.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user, FSGroup: &user}
	}
	for i := range s.volumes {
		volume := corev1.Volume{Name: fmt.Sprintf("data-%d", i)}
		if i%2 == 0 {
			volume.ConfigMap = &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}
		} else {
			volume.EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
		t.Spec.Volumes = append(t.Spec.Volumes, volume)
	}
	return t
}

// app is the service's own container.
func app(name string, s shape) corev1.Container {
	c := corev1.Container{
		Name: "app", Image: "registry.example/" + name + ":1.0",
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
		},
	}
	if s.command {
		c.Args = []string{"serve", "--name", name}
	}
	for i := range s.ports {
		c.Ports = append(c.Ports, corev1.ContainerPort{Name: fmt.Sprintf("port-%d", i), ContainerPort: int32(8080 + i)})
	}
	for i := range s.env {
		c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", i), Value: fmt.Sprintf("%s-%d", name, i)})
	}
	for i := range s.volumes {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: fmt.Sprintf("data-%d", i), MountPath: fmt.Sprintf("/data/%d", i)})
	}
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}}}
	if s.probes > 0 {
		c.ReadinessProbe = probe
	}
	if s.probes > 1 {
		c.LivenessProbe = probe
	}
	return c
}
