package service

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
)

// What changes asks for those whom it concerns.
func TestWhomAChangeConcerns(t *testing.T) {
	object := func(name, version string, change func(*metav1.PartialObjectMetadata)) *metav1.PartialObjectMetadata {
		m := &metav1.PartialObjectMetadata{}
		m.Name, m.ResourceVersion, m.Generation = name, version, 1
		m.Labels, m.Annotations = map[string]string{"team": "a"}, map[string]string{"linkerd.io/inject": "disabled", "example.org": "x", "kubectl.kubernetes.io/last": "1"}
		change(m)
		slimmed, err := slim(m)
		if err != nil {
			t.Fatal(err)
		}
		return slimmed.(*metav1.PartialObjectMetadata)
	}
	same := func(*metav1.PartialObjectMetadata) {}
	shop, webhook := []watch.Concern{{Namespace: "shop"}}, []watch.Concern{{Object: "MutatingWebhookConfiguration/shop"}}
	for name, test := range map[string]struct {
		kind   string
		change func(*metav1.PartialObjectMetadata)
		want   []watch.Concern
	}{
		"a namespace's label":                       {"Namespace", func(m *metav1.PartialObjectMetadata) { m.Labels["istio-injection"] = "enabled" }, shop},
		"a namespace's annotation of an injector's": {"Namespace", func(m *metav1.PartialObjectMetadata) { m.Annotations["linkerd.io/inject"] = "enabled" }, shop},
		"a namespace's annotation of a deployer's":  {"Namespace", func(m *metav1.PartialObjectMetadata) { m.Annotations["kubectl.kubernetes.io/last"] = "2" }, nil},
		"nothing of a namespace":                    {"Namespace", same, nil},
		"a webhook":                                 {"MutatingWebhookConfiguration", func(m *metav1.PartialObjectMetadata) { m.Generation++ }, webhook},
		"a webhook's labels":                        {"MutatingWebhookConfiguration", func(m *metav1.PartialObjectMetadata) { m.Labels["a"] = "b" }, nil},
		"a binding": {"ValidatingAdmissionPolicyBinding", func(m *metav1.PartialObjectMetadata) { m.Generation++ }, []watch.Concern{
			{Object: "ValidatingAdmissionPolicyBinding/shop"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChanges()
			for _, kind := range watchedKinds() {
				if kind.Kind == test.kind {
					c.handler(kind).OnUpdate(object("shop", "1", same), object("shop", "2", test.change))
				}
			}
			got := c.take(request{scope: watch.Changes})
			if diff := cmp.Diff(test.want, got.concerns); diff != "" || got.scope != watch.Changes {
				t.Errorf("scope %d, concerns (-want +got):\n%s", got.scope, diff)
			}
		})
	}
}

// The widest round is had, with all that is of concern, each once.
func TestRequestsAreJoined(t *testing.T) {
	c := newChanges()
	c.ask(watch.Changes, "Namespace shop", watch.Concern{Namespace: "shop"})
	c.ask(watch.Changes, "Pods changed")
	c.ask(watch.Changes, "Namespace shop", watch.Concern{Namespace: "shop"})
	got := c.take(request{scope: watch.Changes, why: "Pods changed", concerns: []watch.Concern{{Namespace: "pay"}}})
	if got.why != "Namespace shop" || len(got.concerns) != 2 {
		t.Errorf("%+v", got)
	}
	c.ask(watch.Cover, "ConfigMap istio")
	c.ask(watch.Changes, "Namespace shop", watch.Concern{Namespace: "shop"})
	if got = c.take(request{scope: watch.Changes, why: "Pods changed"}); got.scope != watch.Cover || got.why != "ConfigMap istio" || len(got.concerns) != 1 {
		t.Errorf("%+v", got)
	}
	if got = c.take(request{scope: watch.Changes, why: "Pods changed"}); got.why != "Pods changed" || len(got.concerns) != 0 {
		t.Errorf("the next time: %+v", got)
	}
}
