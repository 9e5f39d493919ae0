// Package injectors knows well-known injectors by the names that they give to containers and
// to webhooks. No state rests on it: it names what people see, and tells whose a change can be.
package injectors

import (
	"slices"
	"strings"
)

// family is an injector and the names that it gives.
type family struct {
	name       string
	containers []string
	webhook    string
}

// known are injectors by the containers that they add, each a name or, with a star, the
// beginning of one, and by a word in the names of their webhooks.
var known = []family{
	// istio/istio manifests/charts/istio-control/istio-discovery/files/injection-template.yaml
	{"istio", []string{"istio-proxy", "istio-init", "istio-validation", "enable-core-dump"}, "istio"},
	// linkerd/linkerd2 charts/partials/templates
	{"linkerd", []string{"linkerd-proxy", "linkerd-init", "linkerd-network-validator", "linkerd-debug"}, "linkerd"},
	// dapr/dapr pkg/injector/consts
	{"dapr", []string{"daprd"}, "dapr"},
	// open-telemetry/opentelemetry-operator internal/naming, internal/instrumentation
	{"opentelemetry", []string{"opentelemetry-auto-instrumentation*", "otc-container"}, "mpod"},
	// hashicorp/vault-k8s agent-inject/agent
	{"vault", []string{"vault-agent*"}, "vault"},
	// hashicorp/consul-k8s control-plane/connect-inject
	{"consul", []string{"consul-dataplane*", "consul-connect-inject-init*", "consul-mesh-init*"}, "consul"},
	// kumahq/kuma pkg/plugins/runtime/k8s/util
	{"kuma", []string{"kuma-sidecar", "kuma-init", "kuma-validation"}, "kuma"},
}

// Of names the injector that adds containers of this name; where none is known to, the
// container's name stands for it.
func Of(container string) string {
	if at := slices.IndexFunc(known, func(k family) bool { return k.adds(container) }); at >= 0 {
		return known[at].name
	}
	return container
}

// Adds reports whether an injector, by its name, is known to add containers of that name.
func Adds(injector, container string) bool {
	return slices.ContainsFunc(known, func(k family) bool { return k.name == injector && k.adds(container) })
}

func (f family) adds(container string) bool {
	return slices.ContainsFunc(f.containers, func(name string) bool {
		prefix, begins := strings.CutSuffix(name, "*")
		return begins && strings.HasPrefix(container, prefix) || name == container
	})
}

// Known reports whether it is one that Of may name.
func Known(injector string) bool {
	return slices.ContainsFunc(known, func(k family) bool { return k.name == injector })
}

// Makes reports whether a webhook, by its name, is known to be of the injector that adds
// containers of that name. False says nothing.
func Makes(webhook, container string) bool {
	for _, injector := range known {
		if injector.name == Of(container) {
			return strings.Contains(webhook, injector.webhook)
		}
	}
	return false
}
