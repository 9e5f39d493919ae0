package inventory

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// vpa is an autoscaler in the namespace shop, one of a number; spec is what it
// has beside its target.
func vpa(number int, target, spec string) []byte {
	return fmt.Appendf(nil, `{"metadata":{"namespace":"shop","name":"vpa-%d","creationTimestamp":"2026-01-02T15:04:0%dZ"},"spec":{"targetRef":{%s}%s}}`,
		number, number, target, spec)
}

func TestAutoscalersOf(t *testing.T) {
	const (
		web     = `"apiVersion":"apps/v1","kind":"Deployment","name":"web"`
		initial = `,"updatePolicy":{"updateMode":"Initial"}`
		off     = `,"updatePolicy":{"updateMode":"Off"}`
		proxied = `,"resourcePolicy":{"containerPolicies":[{"containerName":"*","mode":"Off"},{"containerName":"proxy","mode":"Auto"},{"containerName":"app"}]}`
	)
	revision := func(group, kind, namespace, name string) Revision {
		return Revision{Workload: WorkloadRef{kind, namespace, name}, Group: group}
	}
	deployment := revision("apps", "Deployment", "shop", "web")
	all := []verdict.Autoscaler{{Containers: map[string]bool{}}}
	some := []verdict.Autoscaler{{Containers: map[string]bool{"*": false, "proxy": true, "app": true}}}
	for name, test := range map[string]struct {
		vpas     [][]byte
		revision Revision
		want     []verdict.Autoscaler
	}{
		"none":                       {nil, deployment, nil},
		"no mode":                    {[][]byte{vpa(1, web, "")}, deployment, all},
		"an empty policy":            {[][]byte{vpa(1, web, `,"updatePolicy":{}`)}, deployment, all},
		"Initial":                    {[][]byte{vpa(1, web, initial)}, deployment, all},
		"InPlaceOrRecreate":          {[][]byte{vpa(1, web, `,"updatePolicy":{"updateMode":"InPlaceOrRecreate"}`)}, deployment, all},
		"Off":                        {[][]byte{vpa(1, web, off)}, deployment, nil},
		"containers":                 {[][]byte{vpa(1, web, proxied)}, deployment, some},
		"the oldest of two":          {[][]byte{vpa(2, web, ""), vpa(1, web, proxied)}, deployment, some},
		"the oldest that is not Off": {[][]byte{vpa(1, web, off), vpa(2, web, proxied), vpa(3, web, "")}, deployment, some},
		"another name":               {[][]byte{vpa(1, web, "")}, revision("apps", "Deployment", "shop", "cart"), nil},
		"another namespace":          {[][]byte{vpa(1, web, "")}, revision("apps", "Deployment", "payments", "web"), nil},
		"another kind":               {[][]byte{vpa(1, web, "")}, revision("apps", "StatefulSet", "shop", "web"), nil},
		"no apiVersion":              {[][]byte{vpa(1, `"kind":"Deployment","name":"web"`, "")}, deployment, all},
		"an old apiVersion":          {[][]byte{vpa(1, `"apiVersion":"extensions/v1beta1","kind":"Deployment","name":"web"`, "")}, deployment, all},
		"a custom kind": {
			[][]byte{vpa(1, `"apiVersion":"argoproj.io/v1alpha1","kind":"Rollout","name":"web"`, "")}, revision("argoproj.io", "Rollout", "shop", "web"), all,
		},
		"a custom kind's namesake": {
			[][]byte{vpa(1, `"apiVersion":"argoproj.io/v1alpha1","kind":"Rollout","name":"web"`, "")}, revision("example.com", "Rollout", "shop", "web"), nil,
		},
		"a namesake of Deployment": {[][]byte{vpa(1, web, "")}, revision("example.com", "Deployment", "shop", "web"), nil},
		"the core group": {
			[][]byte{vpa(1, `"apiVersion":"v1","kind":"ReplicationController","name":"web"`, "")}, revision("", "ReplicationController", "shop", "web"), all,
		},
		"no target": {[][]byte{vpa(1, "", "")}, deployment, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := Autoscalers{kinds: autoscalerKinds(), byTarget: map[sized]autoscaler{}}
			for _, raw := range test.vpas {
				if err := a.add(0, raw); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(test.want, a.Of(test.revision)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestAutoscalersOfSeveralKinds: each kind has its own way to say that it sizes nothing, and
// any that does is enough.
func TestAutoscalersOfSeveralKinds(t *testing.T) {
	const (
		vertical = iota
		datadog
		custom
	)
	rightsizer := AutoscalerKind{TargetRef: []string{"spec", "scaleTargetRef"}, Off: []string{"spec", "mode"}, OffValue: "Recommend"}
	object := func(ref, spec string) string {
		return fmt.Sprintf(`{"metadata":{"namespace":"shop","name":"web"},"spec":{"%s":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"}%s}}`, ref, spec)
	}
	type objects map[int]string
	everything := verdict.Autoscaler{Containers: map[string]bool{}}
	for name, test := range map[string]struct {
		objects objects
		want    []verdict.Autoscaler
	}{
		"Datadog's":                           {objects{datadog: object("targetRef", `,"applyPolicy":{"mode":"Apply"}`)}, []verdict.Autoscaler{everything}},
		"Datadog's, without a policy":         {objects{datadog: object("targetRef", ``)}, []verdict.Autoscaler{everything}},
		"Datadog's, a preview":                {objects{datadog: object("targetRef", `,"applyPolicy":{"mode":"Preview"}`)}, nil},
		"Datadog's, of some containers":       {objects{datadog: object("targetRef", `,"constraints":{"containers":[{"name":"*","enabled":false},{"name":"proxy"},{"name":"app","enabled":true}]}`)}, []verdict.Autoscaler{{Containers: map[string]bool{"*": false, "proxy": true, "app": true}}}},
		"a further kind":                      {objects{custom: object("scaleTargetRef", ``)}, []verdict.Autoscaler{{}}},
		"a further kind that only recommends": {objects{custom: object("scaleTargetRef", `,"mode":"Recommend"`)}, nil},
		"a further kind's other reference":    {objects{custom: object("targetRef", ``)}, nil},
		"two kinds":                           {objects{vertical: object("targetRef", ``), custom: object("scaleTargetRef", ``)}, []verdict.Autoscaler{everything, {}}},
		"what is no object":                   {objects{custom: `[`}, nil},
	} {
		a := Autoscalers{kinds: append(autoscalerKinds(), rightsizer), byTarget: map[sized]autoscaler{}}
		for kind, raw := range test.objects {
			if err := a.add(kind, []byte(raw)); err != nil {
				t.Fatal(err)
			}
		}
		got := a.Of(Revision{Workload: WorkloadRef{"Deployment", "shop", "web"}, Group: "apps"})
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestWorkloadNamespaces(t *testing.T) {
	for _, test := range []struct {
		selection Selection
		want      []string
	}{
		{Selection{}, []string{""}},
		{Selection{Namespace: "shop"}, []string{"shop"}},
		{Selection{IncludeNamespaces: []string{"shop", "payments"}}, []string{"payments", "shop"}},
		{Selection{Workloads: []WorkloadRef{{"Deployment", "shop", "web"}, {"Deployment", "shop", "cart"}}}, []string{"shop"}},
	} {
		if diff := cmp.Diff(test.want, test.selection.workloadNamespaces()); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.selection, diff)
		}
	}
}
