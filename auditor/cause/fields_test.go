package cause

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFieldsOf(t *testing.T) {
	for text, want := range map[string][]string{
		`{"f:data":{".":{},"f:values":{},"f:config.yaml":{}}}`: {"data.values", "data[config.yaml]"},
		`{"f:metadata":{"f:labels":{"f:istio.io/rev":{}}}}`:    {"metadata.labels[istio.io/rev]"},
		`{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"istiod\"}":{".":{},"f:image":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{}}}}}}}}`: {
			"spec.template.spec.containers[istiod].image", "spec.template.spec.containers[istiod].ports[80,TCP]",
		},
		`{"f:metadata":{"f:finalizers":{"v:\"a-value-of-a-set\"":{}}}}`: {"metadata.finalizers[]"},
		``: nil,
	} {
		got, err := FieldsOf([]byte(text))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", text, err, diff)
		}
	}
}

func TestWhichFieldsMatter(t *testing.T) {
	for text, want := range map[string]bool{
		"Namespace shop metadata.labels[istio.io/rev]":                                          true,
		"Namespace shop metadata.labels.istio-injection":                                        true,
		"Namespace shop metadata.annotations[linkerd.io/inject]":                                true,
		"Namespace shop metadata.labels[kubernetes.io/metadata.name]":                           false,
		"Namespace shop metadata.annotations[kubectl.kubernetes.io/last-applied-configuration]": false,
		"Namespace shop metadata.annotations[argocd.argoproj.io/tracking-id]":                   false,
		"Namespace shop spec.finalizers[]":                                                      false,
		"ConfigMap a/b data.values":                                                             true,
		"ConfigMap a/b metadata.annotations[control-plane.alpha.kubernetes.io/leader]":          false,
		"MutatingWebhookConfiguration x webhooks[y].clientConfig.caBundle":                      false,
		"MutatingWebhookConfiguration x webhooks[y].clientConfig.service.name":                  true,
		"Deployment a/b spec.replicas":                                                          false,
		"Deployment a/b spec.template.spec.containers[x].env[SIDECAR_IMAGE].value":              true,
		"Deployment a/b metadata.annotations[deployment.kubernetes.io/revision]":                false,
		"ProxyConfig a/b spec.concurrency":                                                      true,
		"ProxyConfig a/b metadata.annotations[dapr.io/component-container]":                     true,
		"ProxyConfig a/b metadata.finalizers[]":                                                 false,
		"ProxyConfig a/b status.conditions":                                                     false,
	} {
		parts := strings.Split(text, " ")
		if got := object(parts[0] + " " + parts[1]).matters(parts[2]); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

// Whatever is in a fieldsV1: it is an error, or fields that are sorted, and none twice.
func FuzzFieldsOf(f *testing.F) {
	f.Add([]byte(`{"f:data":{".":{},"f:values":{},"k:{\"name\":\"x\"}":{"v:1":{},"i:3":{}}}}`))
	f.Add([]byte(`{"f:`))
	f.Fuzz(func(t *testing.T, text []byte) {
		fields, err := FieldsOf(text)
		if err != nil {
			return
		}
		if !slices.IsSorted(fields) || len(slices.Compact(slices.Clone(fields))) != len(fields) || len(fields) > mostFields {
			t.Errorf("%q", fields)
		}
		for _, o := range []Object{object("Namespace a"), object("ConfigMap a/b"), object("ProxyConfig a/b")} {
			for _, field := range o.mattering(fields) {
				if h := o.hint("image", []string{field}); h < -1 || h > 1 {
					t.Errorf("hint %d", h)
				}
			}
		}
	})
}

// Of a ConfigMap of which it is known by which keys an injector goes, others do not matter.
func TestWhichKeysMatter(t *testing.T) {
	o := object("ConfigMap istio-system/istio")
	o.Keys = []string{"mesh", "ca.crt"}
	for field, want := range map[string]bool{"data.mesh": true, "data[ca.crt]": true, "data.meshNetworks": false, "data": true} {
		if o.matters(field) != want {
			t.Errorf("%s: %t", field, !want)
		}
	}
}

func TestKnownInjectors(t *testing.T) {
	istio, ok := KnownBy("rev.namespace.sidecar-injector.istio.io")
	if !ok || !istio.Injects([]string{"container/istio-proxy", "volumes"}) || istio.Injects([]string{"container/daprd"}) || istio.Injects([]string{"pod"}) {
		t.Errorf("Istio: %+v", istio)
	}
	for name, want := range map[string]bool{"istio": true, "istio-sidecar-injector": true, "istio-sidecar-injector-1-29": true, "istio-1-29": true, "istio-ca-root-cert": false, "istio-other": false, "values": false} {
		if istio.ReadsConfigMap(name, "1-29") != want {
			t.Errorf("ConfigMap %s: %t", name, !want)
		}
	}
	dapr, ok := KnownBy("sidecar-injector.dapr.io")
	if !ok || !dapr.ReadsSize("dapr-scheduler-server") || !dapr.Foreign([]string{"container/istio-proxy"}) || dapr.Foreign([]string{"container/daprd"}) || dapr.Foreign([]string{"pod"}) {
		t.Errorf("Dapr: %+v", dapr)
	}
	if _, ok := KnownBy("own.injector.test"); ok {
		t.Error("an injector of somebody's own is known")
	}
	if !slices.Contains(Resources(), "proxyconfigs.networking.istio.io") {
		t.Errorf("%q", Resources())
	}
}

// What a write's fields are called speaks for a kind of change, or against it; where a value
// may hold anything, it does neither.
func TestHint(t *testing.T) {
	for _, test := range []struct {
		of     Object
		kind   string
		fields []string
		want   int
	}{
		{Object{Group: "opentelemetry.io", Kind: "Instrumentation"}, "image", []string{"spec.java.image"}, 1},
		{Object{Group: "opentelemetry.io", Kind: "Instrumentation"}, "resources", []string{"spec.java.image"}, -1},
		{Object{Group: "networking.istio.io", Kind: "ProxyConfig"}, "env", []string{"spec.concurrency"}, 1},
		{Object{Group: "networking.istio.io", Kind: "ProxyConfig"}, "image", []string{"spec.concurrency"}, -1},
		{Object{Group: "dapr.io", Kind: "Component"}, "image", []string{"metadata.annotations[dapr.io/component-container]"}, 0},
		{Object{Group: "dapr.io", Kind: "Component"}, "image", []string{"spec.type"}, -1},
		{Object{Kind: "ConfigMap"}, "image", []string{"data.values"}, 0},
		{Object{Kind: "ConfigMap", Kinds: []string{"env"}}, "image", []string{"data.mesh"}, -1},
		{Object{Kind: "Namespace"}, "containerAdded", []string{"metadata.labels.istio-injection"}, 1},
	} {
		if got := test.of.hint(test.kind, test.fields); got != test.want {
			t.Errorf("%s %q of %s: %d, want %d", test.of.Kind, test.fields, test.kind, got, test.want)
		}
	}
}
