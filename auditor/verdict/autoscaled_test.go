package verdict

import (
	"slices"
	"testing"
)

// TestAutoscaled: what a VerticalPodAutoscaler sets is reported beside the
// verdict, unless it is to count.
func TestAutoscaled(t *testing.T) {
	const template = `{"spec":{"containers":[{"name":"web"}]}}`
	pod := func(annotations, cpu, image string) []byte {
		return []byte(`{"metadata":{"annotations":{` + annotations + `}},"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"` + cpu +
			`"}}},{"name":"proxy","image":"` + image + `","resources":{"requests":{"cpu":"` + cpu + `"}}}]}}`)
	}
	const vpa = `"vpaUpdates":"Pod resources updated by web: container 0: cpu request"`
	both := []string{"app/web resources.requests.cpu", "container/proxy resources.requests.cpu"}
	for name, test := range map[string]struct {
		live, fresh []byte
		include     bool
		state       State
		changes     []string
		autoscaled  []string
	}{
		"only sizes differ":      {pod(vpa, "1", "a"), pod(vpa, "2", "a"), false, InSync, nil, both},
		"only the fresh is ours": {pod("", "1", "a"), pod(vpa, "2", "a"), false, InSync, nil, both},
		"the image, too":         {pod(vpa, "1", "a"), pod(vpa, "2", "b"), false, Drifted, []string{"container/proxy image"}, both},
		"counted":                {pod(vpa, "1", "a"), pod(vpa, "2", "a"), true, Drifted, both, nil},
		"no autoscaler":          {pod("", "1", "a"), pod("", "2", "a"), false, Drifted, both, nil},
	} {
		v, err := Judge(Input{Live: parse(t, test.live), Fresh: parse(t, test.fresh), Template: parse(t, []byte(template)), IncludeAutoscaled: test.include})
		if err != nil {
			t.Fatal(err)
		}
		moved := paths(Verdict{Changes: v.Autoscaled})
		if v.State != test.state || !slices.Equal(paths(v), test.changes) || !slices.Equal(moved, test.autoscaled) {
			t.Errorf("%s: %s, changes %v, autoscaled %v", name, v.State, paths(v), moved)
		}
	}
}
