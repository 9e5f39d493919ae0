package verdict

import (
	"slices"
	"testing"
)

// TestListedAndDeclared: Istio's status lists the containers that its templates
// mention, some of which are the app's.
func TestListedAndDeclared(t *testing.T) {
	const template = `{"spec":{"containers":[{"name":"app"},{"name":"istio-proxy"}]}}`
	pod := func(listed, app, proxy string) []byte {
		return []byte(`{"metadata":{"annotations":{"sidecar.istio.io/status":"{\"containers\":[` + listed + `]}"},
			"managedFields":[{"manager":"a","operation":"Update","fieldsV1":{"f:spec":{}}},
				{"manager":"b","operation":"Update","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{"f:image":{}},"k:{\"name\":\"istio-proxy\"}":{"f:image":{}}}}}}]},
			"spec":{"containers":[{"name":"app","image":"` + app + `"},{"name":"istio-proxy","image":"` + proxy + `"}]}}`)
	}
	const proxy, both = `\"istio-proxy\"`, `\"istio-proxy\",\"app\"`
	for name, test := range map[string]struct {
		live, fresh []byte
		state       State
		changes     []string
		loses       []string
	}{
		"the app is edited":             {pod(both, "a:2", "p:1"), pod(both, "a:1", "p:1"), InSync, nil, nil},
		"the proxy is edited":           {pod(both, "a:1", "p:2"), pod(both, "a:1", "p:1"), Modified, []string{"container/istio-proxy image"}, nil},
		"the app is no more mentioned":  {pod(both, "a:1", "p:1"), pod(proxy, "a:1", "p:1"), InSync, nil, nil},
		"the proxy is no more injected": {pod(both, "a:1", "p:1"), pod("", "a:1", "p:1"), Orphaned, nil, []string{"istio-proxy"}},
	} {
		v, err := Judge(Input{Live: parse(t, test.live), Fresh: parse(t, test.fresh), Template: parse(t, []byte(template))})
		if err != nil {
			t.Fatal(err)
		}
		if v.State != test.state || !slices.Equal(paths(v), test.changes) || !slices.Equal(v.Loses, test.loses) {
			t.Errorf("%s: %s, changes %v, loses %v", name, v.State, paths(v), v.Loses)
		}
	}
}
