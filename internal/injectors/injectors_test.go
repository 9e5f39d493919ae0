package injectors

import "testing"

func TestOf(t *testing.T) {
	for container, want := range map[string]string{
		"istio-proxy": "istio", "istio-init": "istio", "linkerd-network-validator": "linkerd", "daprd": "dapr",
		"opentelemetry-auto-instrumentation-java": "opentelemetry", "vault-agent-init": "vault", "vault-agent": "vault",
		"consul-dataplane": "consul", "kuma-sidecar": "kuma",
		"istio-proxy-of-mine": "istio-proxy-of-mine", "envoy": "envoy", "": "",
	} {
		if got := Of(container); got != want {
			t.Errorf("Of(%q) = %q, want %q", container, got, want)
		}
	}
}

func TestMakes(t *testing.T) {
	for _, test := range []struct {
		webhook, container string
		want               bool
	}{
		{"istio-sidecar-injector/rev.namespace.sidecar-injector.istio.io", "istio-proxy", true},
		{"dapr-sidecar-injector/sidecar-injector.dapr.io", "daprd", true},
		{"dapr-sidecar-injector/sidecar-injector.dapr.io", "istio-proxy", false},
		{"vault-agent-injector-cfg/vault.hashicorp.com", "vault-agent", true},
		{"mine/inject.example.com", "envoy", false},
	} {
		if got := Makes(test.webhook, test.container); got != test.want {
			t.Errorf("Makes(%s, %s) = %t", test.webhook, test.container, got)
		}
	}
}

func TestAdds(t *testing.T) {
	for _, test := range []struct {
		injector, container string
		want                bool
	}{
		{"istio", "istio-init", true}, {"istio", "istio-initializer", false}, {"istio", "istio", false}, {"istio", "daprd", false},
		{"opentelemetry", "opentelemetry-auto-instrumentation-java", true}, {"mine", "mine", false}, {"", "", false},
	} {
		if got := Adds(test.injector, test.container); got != test.want {
			t.Errorf("Adds(%s, %s) = %t", test.injector, test.container, got)
		}
	}
}
