package verdict

import (
	"slices"
	"testing"
)

// TestAutoscaled: what an autoscaler sets is reported beside the
// verdict, unless it is to count.
func TestAutoscaled(t *testing.T) {
	const template = `{"spec":{"containers":[{"name":"web"}]}}`
	pod := func(annotations, cpu, image string) []byte {
		return []byte(`{"metadata":{"annotations":{` + annotations + `}},"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"` + cpu +
			`"}}},{"name":"proxy","image":"` + image + `","resources":{"requests":{"cpu":"` + cpu + `"}}}]}}`)
	}
	const vpa = `"vpaUpdates":"Pod resources updated by web: container 0: cpu request"`
	app, proxy := "app/web resources.requests.cpu", "container/proxy resources.requests.cpu"
	both := []string{app, proxy}
	covered := []Autoscaler{{}}
	named := []Autoscaler{{Containers: map[string]bool{"proxy": false}}}
	others := []Autoscaler{{Containers: map[string]bool{"proxy": true, "*": false}}}
	for name, test := range map[string]struct {
		live, fresh []byte
		autoscalers []Autoscaler
		include     bool
		state       State
		changes     []string
		autoscaled  []string
	}{
		"only sizes differ":            {pod(vpa, "1", "a"), pod(vpa, "2", "a"), nil, false, InSync, nil, both},
		"only the fresh is annotated":  {pod("", "1", "a"), pod(vpa, "2", "a"), nil, false, InSync, nil, both},
		"only the live is annotated":   {pod(vpa, "1", "a"), pod("", "2", "a"), nil, false, InSync, nil, both},
		"the image, too":               {pod(vpa, "1", "a"), pod(vpa, "2", "b"), nil, false, Drifted, []string{"container/proxy image"}, both},
		"counted":                      {pod(vpa, "1", "a"), pod(vpa, "2", "a"), nil, true, Drifted, both, nil},
		"no autoscaler":                {pod("", "1", "a"), pod("", "2", "a"), nil, false, Drifted, both, nil},
		"covered":                      {pod("", "1", "a"), pod("", "2", "a"), covered, false, InSync, nil, both},
		"covered, the image, too":      {pod("", "1", "a"), pod("", "2", "b"), covered, false, Drifted, []string{"container/proxy image"}, both},
		"covered and counted":          {pod("", "1", "a"), pod("", "2", "a"), covered, true, Drifted, both, nil},
		"covered but for the sidecar":  {pod("", "1", "a"), pod("", "2", "a"), named, false, Drifted, []string{proxy}, []string{app}},
		"only the sidecar is covered":  {pod("", "1", "a"), pod("", "2", "a"), others, false, Drifted, []string{app}, []string{proxy}},
		"covered by two":               {pod("", "1", "a"), pod("", "2", "a"), slices.Concat(named, others), false, InSync, nil, both},
		"the policy beats annotations": {pod(vpa, "1", "a"), pod(vpa, "2", "a"), named, false, Drifted, []string{proxy}, []string{app}},
	} {
		v, err := Judge(Input{
			Live: parse(t, test.live), Fresh: parse(t, test.fresh), Template: parse(t, []byte(template)),
			IncludeAutoscaled: test.include, Autoscalers: test.autoscalers,
		})
		if err != nil {
			t.Fatal(err)
		}
		moved := paths(Verdict{Changes: v.Autoscaled})
		if v.State != test.state || !slices.Equal(paths(v), test.changes) || !slices.Equal(moved, test.autoscaled) {
			t.Errorf("%s: %s, changes %v, autoscaled %v", name, v.State, paths(v), moved)
		}
	}
}

// TestAnnotationsOfAnybody: where autoscalers are known, an annotation tells that one
// sizes the Pods only if admission has just added it.
func TestAnnotationsOfAnybody(t *testing.T) {
	const (
		vpa     = `"vpaUpdates":"Pod resources updated by web"`
		datadog = `"autoscaling.datadoghq.com/rec-id":"7f9c"`
		custom  = `"example.com/sized":"yes"`
	)
	pod := func(annotations, cpu string) []byte {
		return []byte(`{"metadata":{"annotations":{` + annotations + `}},"spec":{"containers":[{"name":"web"},{"name":"proxy","resources":{"requests":{"cpu":"` + cpu + `"}}}]}}`)
	}
	unread := map[string][]string{
		"in the template, and theirs are unread":          {"vpaUpdates"},
		"in the template, and those of others are unread": {"autoscaling.datadoghq.com/rec-id"},
	}
	for name, test := range map[string]struct {
		template, live, fresh string
		known                 bool
		autoscalers           []Autoscaler
		want                  State
	}{
		"in the template":                                 {vpa, vpa, vpa, true, nil, Drifted},
		"in the template, none are known":                 {vpa, vpa, vpa, false, nil, InSync},
		"in the template, and there is one":               {vpa, vpa, vpa, true, []Autoscaler{{}}, InSync},
		"on the live Pod":                                 {"", vpa, "", true, nil, Drifted},
		"on the live Pod, none are known":                 {"", vpa, "", false, nil, InSync},
		"by admission":                                    {"", "", vpa, true, nil, InSync},
		"of an observer, in the template":                 {`"vpaObservedContainers":"web"`, vpa, vpa, true, nil, Drifted},
		"by admission, over the template's":               {vpa, "", vpa, true, nil, Drifted},
		"Datadog's, by admission":                         {"", "", datadog, true, nil, InSync},
		"Datadog's, in the template":                      {datadog, datadog, datadog, true, nil, Drifted},
		"one that was named, by admission":                {"", "", custom, true, nil, InSync},
		"one that was named, in the template":             {custom, custom, custom, true, nil, Drifted},
		"one that was not named":                          {"", "", `"example.com/other":"yes"`, true, nil, Drifted},
		"in the template, and theirs are unread":          {vpa, vpa, vpa, true, nil, InSync},
		"in the template, and those of others are unread": {vpa, vpa, vpa, true, nil, Drifted},
		"nowhere, and autoscalers are unread":             {"", "", "", false, nil, Drifted},
	} {
		template := []byte(`{"metadata":{"annotations":{` + test.template + `}},"spec":{"containers":[{"name":"web"}]}}`)
		v, err := Judge(Input{
			Live: parse(t, pod(test.live, "1")), Fresh: parse(t, pod(test.fresh, "2")), Template: parse(t, template),
			UnreadAnnotations: unread[name], SizingAnnotations: []string{"example.com/sized"}, AutoscalersKnown: test.known, Autoscalers: test.autoscalers,
		})
		if err != nil {
			t.Fatal(err)
		}
		if v.State != test.want {
			t.Errorf("%s: %s, want %s", name, v.State, test.want)
		}
	}
}
