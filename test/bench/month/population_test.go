package month

import (
	"fmt"
	"math/rand/v2"
)

// workload is one of the population.
type workload struct {
	namespace, name, kind string
	trait                 trait
	replicas              int // at the beginning
	deploys               float64
}

// share is how many of 40 have a value.
type share[T any] struct {
	of    int
	value T
}

// trait is what a Pod template has beside a container app, in YAML's flow style.
type trait struct{ labels, annotations, app string }

// traits are mostly annotations that set for a Pod what a change would, or that
// ask for a part of the template.
var traits = []share[trait]{
	{20, trait{}},
	{5, trait{annotations: `sidecar.istio.io/proxyCPU: 300m`}},
	{2, trait{annotations: `sidecar.istio.io/proxyImage: "mirror.test/proxyv2:1"`}},
	{1, trait{annotations: `sidecar.istio.io/proxyImage: "mirror.test/proxyv2:1", sidecar.istio.io/proxyCPU: 300m`}},
	{2, trait{annotations: `sidecar.istio.io/logLevel: warning`}},
	{4, trait{app: `livenessProbe: {httpGet: {path: /live, port: 8080}}`}},
	{2, trait{annotations: `inject.istio.io/templates: "sidecar,custom"`}},
	{2, trait{annotations: `sidecar.istio.io/nativeSidecar: "true"`}},
	{2, trait{labels: `sidecar.istio.io/inject: "false"`}},
}

// Namespaces, and the labels by which Istio's revisions choose them.
const (
	defaultRevision = "istio-injection: enabled"
	otherRevision   = "istio.io/rev: other"
	notInjected     = "mesh: none"
	configured      = "billing" // gets a ProxyConfig
)

var namespaces = []share[string]{
	{11, "shop"}, {8, "payments"}, {5, configured}, {5, "data"}, {4, "edge"}, {3, "lab"}, {4, "legacy"},
}

var revisions = map[string]string{
	"shop": defaultRevision, "payments": defaultRevision, configured: defaultRevision, "data": defaultRevision,
	"edge": otherRevision, "lab": otherRevision, "legacy": notInjected,
}

var kinds = []share[string]{{27, "Deployment"}, {8, "StatefulSet"}, {5, "DaemonSet"}}

// paces are how many deploys a workload has in a day, on average.
var paces = []share[float64]{{14, 0}, {13, 1.0 / 30}, {13, 1.0 / 7}}

// populationOf makes workloads whose proportions are those above for every seed;
// which goes with which is the seed's.
func populationOf(seed uint64, size size) []workload {
	random := rand.New(rand.NewPCG(seed, 1))
	inNamespace, ofKind := deal(random, size.workloads, namespaces), deal(random, size.workloads, kinds)
	with, pace := deal(random, size.workloads, traits), deal(random, size.workloads, paces)
	all := make([]workload, size.workloads)
	for n := range all {
		all[n] = workload{
			namespace: inNamespace[n], name: fmt.Sprintf("w-%02d", n), kind: ofKind[n],
			trait: with[n], deploys: pace[n], replicas: 1 + random.IntN(size.replicas),
		}
		if all[n].kind == "DaemonSet" {
			all[n].replicas = nodes
		}
	}
	return all
}

// deal returns n values in their shares, each at least once and the first for what
// is left, shuffled.
func deal[T any](random *rand.Rand, n int, shares []share[T]) []T {
	var dealt []T
	for _, s := range shares[1:] {
		for range max(1, s.of*n/40) {
			dealt = append(dealt, s.value)
		}
	}
	for len(dealt) < n {
		dealt = append(dealt, shares[0].value)
	}
	random.Shuffle(n, func(i, j int) { dealt[i], dealt[j] = dealt[j], dealt[i] })
	return dealt
}

// template is its Pod template, as YAML.
func (w workload) template() string {
	return fmt.Sprintf(`{metadata: {labels: {workload: %s, %s}, annotations: {%s}}, spec: {containers: [{name: app, image: "app:1", %s}]}}`,
		w.name, w.trait.labels, w.trait.annotations, w.trait.app)
}

func (w workload) manifest() string {
	more := fmt.Sprintf("replicas: %d", w.replicas)
	switch w.kind {
	case "StatefulSet":
		more += fmt.Sprintf("\n  serviceName: %s\n  podManagementPolicy: Parallel", w.name)
	case "DaemonSet":
		more = "updateStrategy: {rollingUpdate: {maxUnavailable: 2}}"
	}
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: %s
metadata: {name: %s, namespace: %s, labels: {month: workload}}
spec:
  %s
  selector: {matchLabels: {workload: %[2]s}}
  template: %[5]s
`, w.kind, w.name, w.namespace, more, w.template())
}
