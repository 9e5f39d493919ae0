package verdict

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDerivedAmounts: which amounts of a Pod as a whole make no difference, as they follow
// from its containers'.
func TestDerivedAmounts(t *testing.T) {
	const (
		app     = `{"name":"app","resources":{"requests":{"cpu":"500m"},"limits":{"cpu":"1"}}}`
		proxy   = `{"name":"proxy","resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"cpu":"1"}}}`
		bare    = `{"name":"proxy"}`
		pages   = `{"name":"proxy","resources":{"limits":{"hugepages-2Mi":"4Mi"}}}`
		native  = `{"name":"native","restartPolicy":"Always","resources":{"requests":{"cpu":"200m"}}}`
		migrate = `{"name":"migrate","resources":{"requests":{"cpu":"2"}}}`
		limit   = `"limits":{"cpu":"3","memory":"1Gi"}`
	)
	for name, test := range map[string]struct {
		containers, init string
		template         string
		live, fresh      string // resources
		changes          []string
	}{
		"the limit, then the sum":    {containers: proxy, live: limit + `,"requests":{"memory":"1Gi"}`, fresh: limit + `,"requests":{"memory":"64Mi"}`},
		"the sum, written otherwise": {containers: proxy, live: limit, fresh: limit + `,"requests":{"cpu":"0.6"}`},
		"no sum":                     {containers: proxy, live: limit, fresh: limit + `,"requests":{"cpu":"700m"}`, changes: []string{"resources.requests.cpu"}},
		"neither":                    {containers: proxy, live: limit + `,"requests":{"memory":"1Mi"}`, fresh: limit + `,"requests":{"memory":"64Mi"}`, changes: []string{"resources.requests.memory"}},
		"the template's": {
			containers: proxy, template: `"requests":{"memory":"1Gi"}`,
			live: limit + `,"requests":{"memory":"1Gi"}`, fresh: limit + `,"requests":{"memory":"64Mi"}`, changes: []string{"resources.requests.memory"},
		},
		"no resources before":      {containers: proxy, fresh: `"requests":{"cpu":"600m"}`, changes: []string{"resources.requests.cpu"}},
		"native sidecars":          {containers: proxy, init: native, live: limit, fresh: limit + `,"requests":{"cpu":"800m"}`},
		"one that runs to its end": {containers: proxy, init: native + `,` + migrate, live: limit, fresh: limit + `,"requests":{"cpu":"2200m"}`},
		"limits together":          {containers: proxy, live: `"requests":{"cpu":"600m"}`, fresh: `"requests":{"cpu":"600m"},"limits":{"cpu":"2"}`},
		"no less than the request": {containers: proxy, live: `"requests":{"cpu":"5"}`, fresh: `"requests":{"cpu":"5"},"limits":{"cpu":"5"}`},
		"less than the request":    {containers: proxy, live: `"requests":{"cpu":"5"}`, fresh: `"requests":{"cpu":"5"},"limits":{"cpu":"2"}`, changes: []string{"resources.limits.cpu"}},
		"a container without limit": {
			containers: bare, live: `"requests":{"cpu":"600m"}`, fresh: `"requests":{"cpu":"600m"},"limits":{"cpu":"1"}`, changes: []string{"resources.limits.cpu"},
		},
		"huge pages":       {containers: pages, live: limit, fresh: `"limits":{"cpu":"3","memory":"1Gi","hugepages-2Mi":"4Mi"}`},
		"another resource": {containers: pages, live: limit, fresh: limit + `,"requests":{"example.com/gpu":"1"}`, changes: []string{"resources.requests.example.com/gpu"}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := func(resources string) []byte {
				if resources != "" {
					resources = `,"resources":{` + resources + `}`
				}
				return fmt.Appendf(nil, `{"metadata":{"name":"web"},"spec":{"containers":[%s,%s],"initContainers":[%s]%s}}`, app, test.containers, test.init, resources)
			}
			template := fmt.Appendf(nil, `{"spec":{"containers":[%s],"resources":{%s}}}`, app, test.template)
			for turned, pods := range [][2]string{{test.live, test.fresh}, {test.fresh, test.live}} {
				v := judge(t, documents{Live: pod(pods[0]), Fresh: pod(pods[1]), Template: template})
				var found []string
				for _, c := range v.Changes {
					found = append(found, c.Path)
				}
				slices.Sort(found)
				if diff := cmp.Diff(test.changes, found); diff != "" {
					t.Errorf("turned round %d times: %s", turned, diff)
				}
			}
		})
	}
}

// TestAppArmorOfPods: what the annotation says counts as the field, in the digest, too, and
// one that only repeats the field is not even shown.
func TestAppArmorOfPods(t *testing.T) {
	const fields = `"managedFields":[{"manager":"c","operation":"Update","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{}}}}}}]`
	pod := func(annotation, field, whole string) []byte {
		return fmt.Appendf(nil, `{"metadata":{"name":"web","annotations":{%s},%s},"spec":{"securityContext":{%s},"containers":[{"name":"app"},{"name":"proxy","securityContext":{%s}}]}}`,
			annotation, fields, whole, field)
	}
	const (
		runtime    = `"` + appArmorAnnotation + `proxy":"runtime/default"`
		unconfined = `"` + appArmorAnnotation + `proxy":"unconfined"`
		field      = `"appArmorProfile":{"type":"RuntimeDefault"}`
	)
	for name, test := range map[string]struct {
		live, fresh []byte
		state       State
		shown       int
	}{
		"annotation, then field":            {pod(runtime, "", ""), pod(runtime, field, ""), InSync, 0},
		"field, then annotation":            {pod(runtime, field, ""), pod(runtime, "", ""), InSync, 0},
		"annotation, then field alone":      {pod(runtime, "", ""), pod("", field, ""), InSync, 1},
		"another annotation, then field":    {pod(unconfined, "", ""), pod(runtime, field, ""), Drifted, 1},
		"none, then field":                  {pod("", "", ""), pod("", field, ""), Drifted, 0},
		"both, then field":                  {pod(runtime, field, ""), pod("", field, ""), InSync, 0},
		"both of the Pod, then field":       {pod(runtime, "", field), pod("", "", field), InSync, 0},
		"one that says more than the field": {pod(unconfined, "", field), pod("", "", field), InSync, 1},
	} {
		t.Run(name, func(t *testing.T) {
			v := judge(t, documents{Live: test.live, Fresh: test.fresh, Template: []byte(`{"spec":{"containers":[{"name":"app"}]}}`)})
			if v.State != test.state || len(v.Metadata) != test.shown {
				t.Errorf("%s, %v, shown %v", v.State, v.Changes, v.Metadata)
			}
		})
	}
	if digest(t, pod(runtime, "", "")) == digest(t, pod("", "", "")) {
		t.Error("a Pod without a profile has the digest of one with an annotation")
	}
	if digest(t, pod(runtime, field, "")) != digest(t, pod("", field, "")) || digest(t, pod(runtime, "", field)) != digest(t, pod("", "", field)) {
		t.Error("an annotation that repeats the field is in the digest")
	}
}
