package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/cover"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// subject is a workload of a simulated cluster, of one revision.
type subject struct {
	name      string
	namespace simulatedNamespace
	owner     string // its Pods' controller's kind
	template  corev1.PodTemplateSpec
	// like is the same for workloads that differ in nothing but their names; empty: it is
	// like no other.
	like string
}

type simulatedNamespace struct {
	name                string
	labels, annotations map[string]string
}

// simulated is such a cluster: what is in it, and what a changing injector makes of it.
type simulated struct {
	name     string
	subjects []subject
	changes  []change
	// features are of those that were asked about before, by what they are like.
	features map[string]*asked
}

// asked are the features of the last two reaches that somebody was asked under.
type asked struct {
	reach    [2]string
	features [2][]cover.Feature
	next     int
}

// change is one of the injector's template. It reaches those who are concerned.
type change struct {
	what      string
	concerned func(subject) bool
	lone      bool // it reaches one
}

// injected reports whether anything is: Istio by a label of the namespace, Linkerd by an
// annotation of it or of the Pod.
func (s subject) injected() bool {
	return s.namespace.labels["istio-injection"] == "enabled" || s.namespace.labels["istio.io/rev"] != "" ||
		s.namespace.annotations["linkerd.io/inject"] == "enabled" || s.template.Annotations["linkerd.io/inject"] == "enabled"
}

// reach tells which of the first n changes concern a subject.
func (w *simulated) reach(s subject, n int) string {
	if !s.injected() {
		return ""
	}
	var b strings.Builder
	for i, c := range w.changes[:n] {
		if c.concerned(s) {
			fmt.Fprintf(&b, "%d,", i)
		}
	}
	return b.String()
}

// outcome is a digest of what admission answers under that reach.
func outcome(reach string) cover.Sum {
	sum := sha256.Sum256([]byte(reach))
	return cover.Sum(sum[:16])
}

// pod is what is submitted.
func (s subject) pod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace.name, GenerateName: s.name + "-7d4-", Labels: s.template.Labels, Annotations: s.template.Annotations,
			OwnerReferences: []metav1.OwnerReference{{Kind: s.owner, Name: s.name + "-7d4"}},
		},
		Spec: s.template.Spec,
	}
}

// answer is what admission makes of it: a proxy whose configuration tells the changes
// that reached it, and what injectors derive from the workload.
func (s subject) answer(reach string) *corev1.Pod {
	pod := s.pod()
	if !s.injected() {
		return pod
	}
	pod.Spec = *pod.Spec.DeepCopy()
	var ports []string
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			ports = append(ports, fmt.Sprint(p.ContainerPort))
		}
	}
	proxy := corev1.Container{
		Name: "istio-proxy", Image: "registry.example/proxy:" + s.namespace.labels["istio.io/rev"],
		Env: []corev1.EnvVar{
			{Name: "WORKLOAD", Value: s.name}, {Name: "OWNER", Value: "kubernetes://" + s.namespace.name + "/" + s.name},
			{Name: "PORTS", Value: strings.Join(ports, ",")}, {Name: "CPU", Value: s.template.Annotations["sidecar.istio.io/proxyCPU"]},
			{Name: "VERSION", Value: s.template.Labels["tags.datadoghq.com/version"]},
		},
	}
	for i, number := range strings.Split(strings.TrimSuffix(reach, ","), ",") {
		proxy.Args = append(proxy.Args, fmt.Sprintf("--setting-%d=%s", i, number))
	}
	if s.namespace.labels["istio-injection"] == "" && s.namespace.labels["istio.io/rev"] == "" {
		proxy.Name = "linkerd-proxy"
	}
	pod.Spec.Containers = append(pod.Spec.Containers, proxy)
	pod.Spec.Volumes = append(slices.Clone(pod.Spec.Volumes), corev1.Volume{Name: "proxy-envoy", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	return pod
}

// steps are the webhooks that are asked.
func (s subject) steps() []string {
	steps := []string{"MutatingWebhook linkerd/inject"} // which decides by itself
	switch {
	case s.namespace.labels["istio.io/rev"] != "":
		steps = append(steps, "MutatingWebhook istio/rev-"+s.namespace.labels["istio.io/rev"])
	case s.namespace.labels["istio-injection"] == "enabled":
		steps = append(steps, "MutatingWebhook istio/namespace")
	}
	return steps
}

// featuresOf returns the features of a subject under that reach.
func (w *simulated) featuresOf(s subject, reach string) ([]cover.Feature, error) {
	like := s.like
	if like == "" {
		like = "only " + s.name
	}
	known := w.features[like]
	if known == nil {
		known = &asked{}
		w.features[like] = known
	}
	for i, r := range known.reach {
		if r == reach && known.features[i] != nil {
			return known.features[i], nil
		}
	}
	submitted, err := tree(s.pod())
	if err != nil {
		return nil, err
	}
	answer, err := tree(s.answer(reach))
	if err != nil {
		return nil, err
	}
	found := cover.FeaturesOf(cover.Subject{
		Steps: s.steps(), NamespaceLabels: s.namespace.labels, NamespaceAnnotations: s.namespace.annotations,
		Pod: submitted, Answer: answer, Names: []string{s.name, s.name + "-7d4", s.namespace.name},
	})
	known.reach[known.next], known.features[known.next] = reach, found
	known.next = 1 - known.next
	return found, nil
}

func tree(pod *corev1.Pod) (jsontree.Node, error) {
	text, err := json.Marshal(pod)
	if err != nil {
		return jsontree.Node{}, err
	}
	return jsontree.Parse(text)
}

// reached numbers those whose answer the last of n changes has changed.
func (w *simulated) reached(n int) []int {
	var all []int
	for i, s := range w.subjects {
		if s.injected() && w.changes[n-1].concerned(s) {
			all = append(all, i)
		}
	}
	return all
}

// with are labels or annotations beside those of another map.
func with(base map[string]string, pairs ...string) map[string]string {
	all := maps.Clone(base)
	if all == nil {
		all = map[string]string{}
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			all[pairs[i]] = pairs[i+1]
		}
	}
	return all
}
