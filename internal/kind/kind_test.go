package kind

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// The table agrees with the API that client-go knows, and with itself.
func TestTable(t *testing.T) {
	for _, k := range All() {
		if known, ok := Of(k.Name); !ok || known.Resource != k.Resource {
			t.Errorf("%s is found as %+v", k.Name, known)
		}
		for _, text := range append([]string{k.Name, k.Resource, k.Resource + "." + k.Group}, k.Names...) {
			if found, ok := Find(text); !ok || found.Name != k.Name {
				t.Errorf("%q is found as %q", text, found.Name)
			}
		}
		if gvk := (schema.GroupVersionKind{Group: k.Group, Version: k.Version, Kind: k.Name}); k.Name != Rollout && !scheme.Scheme.Recognizes(gvk) {
			t.Errorf("there is no %s", gvk)
		}
		owner, ok := Of(k.Owner)
		if ok != (k.Name != Pod) || ok && (owner.Owner != owner.Name || owner.Account == "") {
			t.Errorf("Pods of a %s are owned by a %q, which creates none", k.Name, k.Owner)
		}
		if with, _ := Of(k.IncludedWith); k.Recreated != (with.IncludedWith == with.Name && with.Name != "") {
			t.Errorf("%s is re-created: %t, but included with %q", k.Name, k.Recreated, k.IncludedWith)
		}
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(names())))); n != len(names()) {
		t.Error("two kinds share a name")
	}
	for _, text := range []string{"", "deploy.batch", "pods.v2", "secret", "deployments.v1beta1.apps"} {
		if found, ok := Find(text); ok {
			t.Errorf("%q is found as %s", text, found.Name)
		}
	}
}

func names() []string {
	var all []string
	for _, k := range All() {
		all = append(append(all, k.Resource), k.Names...)
	}
	return all
}
