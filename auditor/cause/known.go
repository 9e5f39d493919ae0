package cause

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/internal/injectors"
)

// Known is what is known of an injector by its code: it goes by nothing else.
type Known struct {
	// Webhook is how the names of its webhooks end. Injector is its name in
	// internal/injectors, which knows its containers; empty: it adds none.
	Webhook, Injector string
	// ConfigMaps are those in its namespace that it reads, by patterns of their names, with
	// the keys.
	ConfigMaps map[string][]string
	// Kinds are those of changes that a ConfigMap makes, by the same patterns; none: any.
	Kinds map[string][]string
	// Resources are custom resources that it reads: RESOURCE.GROUP. Those in its own
	// namespace are about all, others about their namespaces, where it is so.
	Resources []string
	Central   bool
	// Sized are patterns of the names of StatefulSets whose number of replicas it reads.
	Sized []string
	// Secret are words in the paths of what it takes from Secrets.
	Secret []string
}

// ofMesh are the kinds of changes that Istio's mesh configuration makes: what is in a proxy's
// container and how, but for its CPU, its volumes and its rights
// (istio.io/api/mesh/v1alpha1, ProxyConfig).
var ofMesh = []string{"image", "env", "args", "probe", "network", "annotation", "order", "other"}

// known are the injectors that are known.
var known = []Known{
	{ // istio.io/istio pkg/kube/inject, pilot/pkg/bootstrap/sidecarinjector.go
		Webhook: "sidecar-injector.istio.io", Injector: "istio",
		ConfigMaps: map[string][]string{
			"istio-sidecar-injector": {"config", "values"}, "istio-sidecar-injector-*": {"config", "values"},
			"istio": {"mesh"}, "istio-{revision}": {"mesh"},
		},
		Kinds:     map[string][]string{"istio": ofMesh, "istio-{revision}": ofMesh},
		Resources: []string{"proxyconfigs.networking.istio.io"}, Central: true,
	},
	{ // github.com/dapr/dapr pkg/injector/service
		Webhook: "sidecar-injector.dapr.io", Injector: "dapr",
		ConfigMaps: map[string][]string{"dapr-trust-bundle": {"ca.crt"}}, Resources: []string{"components.dapr.io"},
		Sized: []string{"dapr-scheduler-server"}, Secret: []string{"TRUST_ANCHORS"},
	},
	{ // github.com/linkerd/linkerd2 controller/proxy-injector
		Webhook: "linkerd-proxy-injector.linkerd.io", Injector: "linkerd",
		ConfigMaps: map[string][]string{"linkerd-config": {"values"}, "linkerd-identity-trust-roots": {"ca-bundle.crt"}},
	},
	{ // github.com/open-telemetry/opentelemetry-operator internal/webhook/podmutation
		Webhook: "mpod.kb.io", Injector: "opentelemetry",
		Resources: []string{"instrumentations.opentelemetry.io", "opentelemetrycollectors.opentelemetry.io"},
	},
	{ // github.com/kubeflow/kubeflow components/admission-webhook
		Webhook: "admission-webhook-deployment.kubeflow.org", Resources: []string{"poddefaults.kubeflow.org"},
	},
}

// KnownBy finds an injector by the name of its webhook.
func KnownBy(webhook string) (Known, bool) {
	at := slices.IndexFunc(known, func(k Known) bool { return strings.HasSuffix(webhook, k.Webhook) })
	if at < 0 {
		return Known{}, false
	}
	return known[at], true
}

// Injects reports whether all parts of a change that are containers are its own, and
// that there is one: container/istio-proxy.
func (k Known) Injects(parts []string) bool {
	found := false
	for _, part := range parts {
		kind, name, _ := strings.Cut(part, "/")
		if kind != "container" && kind != "initContainer" {
			continue
		}
		if !injectors.Adds(k.Injector, name) {
			return false
		}
		found = true
	}
	return found
}

// Confined reports whether it changes no containers but its own.
func (k Known) Confined() bool { return k.Injector != "" }

// Foreign reports whether one of the parts is a container of another injector that is known.
func (k Known) Foreign(parts []string) bool {
	return slices.ContainsFunc(known, func(other Known) bool { return other.Webhook != k.Webhook && other.Injects(parts) })
}

// ReadsConfigMap reports whether it reads a ConfigMap of its namespace; the revision is that
// of its webhook configuration.
func (k Known) ReadsConfigMap(name, revision string) bool {
	return matches(slices.Collect(maps.Keys(k.ConfigMaps)), name, revision)
}

// Keys are those of a ConfigMap that it reads, and kinds those of the changes that come of it;
// nil where that is not known.
func (k Known) Keys(name, revision string) (keys, kinds []string) {
	of := func(patterns map[string][]string) []string {
		for pattern, list := range patterns {
			if matches([]string{pattern}, name, revision) {
				return list
			}
		}
		return nil
	}
	return of(k.ConfigMaps), of(k.Kinds)
}

// ReadsSize reports whether it goes by the number of a StatefulSet's replicas.
func (k Known) ReadsSize(name string) bool { return matches(k.Sized, name, "") }

func matches(patterns []string, name, revision string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(strings.ReplaceAll(pattern, "{revision}", revision), name)
		return ok && err == nil
	})
}

// Resources are those of all injectors that are known, RESOURCE.GROUP.
func Resources() []string {
	var all []string
	for _, k := range known {
		all = append(all, k.Resources...)
	}
	return all
}
