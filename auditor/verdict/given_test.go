package verdict

import (
	"cmp"
	"strings"
	"testing"
)

// podOf is a Pod of one container app, which its creator declared with the fields of
// owned; spec is what else the Pod has.
func podOf(app, spec, owned string) []byte {
	return []byte(`{"metadata":{"name":"web-0","managedFields":[{"manager":"c","operation":"Update","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:name":{}` + owned + `}}}}}]},
		"spec":{"containers":[{"name":"app","image":"app:1"` + app + `}]` + spec + `}}`)
}

// TestGiven: items of the app's lists that neither its template nor its controller
// declares are injection, though no container comes with them.
func TestGiven(t *testing.T) {
	const bare = `{"spec":{"containers":[{"name":"app","image":"app:1"}]}}`
	env := func(value string) string { return `,"env":[{"name":"OTEL","value":"` + value + `"}]` }
	const token = `,"volumeMounts":[{"name":"kube-api-access-x","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}]`
	for name, test := range map[string]struct {
		live, fresh, template string // the app's container; the template's whole
		liveSpec, freshSpec   string
		owned                 string // in both Pods
		state                 State
		injected              bool
	}{
		"nothing": {state: NotInjected},
		"the same variable": {
			live: env("a"), fresh: env("a"), state: InSync, injected: true,
		},
		"another value":      {live: env("a"), fresh: env("b"), state: Drifted, injected: true},
		"a variable comes":   {fresh: env("a"), state: Missing, injected: true},
		"a variable goes":    {live: env("a"), state: Orphaned, injected: true},
		"secrets in envFrom": {fresh: `,"envFrom":[{"secretRef":{"name":"s"}}]`, state: Missing, injected: true},
		"a port":             {fresh: `,"ports":[{"containerPort":9090}]`, state: Missing, injected: true},
		"a volume alone":     {freshSpec: `,"volumes":[{"name":"v","emptyDir":{}}]`, state: Missing, injected: true},
		"one is the template's, another value": {
			live: env("a"), fresh: env("b"), template: `{"spec":{"containers":[{"name":"app"` + env("a") + `}]}}`, state: Mutated,
		},
		"one is the template's, another is added": {
			live: env("a"), fresh: `,"env":[{"name":"OTEL","value":"a"},{"name":"MORE"}]`,
			template: `{"spec":{"containers":[{"name":"app"` + env("a") + `}]}}`, state: Missing, injected: true,
		},
		"envFrom is the template's": {
			live: `,"envFrom":[{"secretRef":{"name":"s"}}]`, fresh: `,"envFrom":[{"secretRef":{"name":"s"}}]`,
			template: `{"spec":{"containers":[{"name":"app","envFrom":[{"secretRef":{"name":"s"}}]}]}}`, state: NotInjected,
		},
		"the ServiceAccount's token":    {live: token, fresh: strings.Replace(token, "access-x", "access-y", 1), state: NotInjected},
		"the token comes":               {fresh: token, state: NotInjected},
		"a LimitRange's resources":      {live: `,"resources":{"requests":{"cpu":"1"}}`, fresh: `,"resources":{"requests":{"cpu":"2"}}`, state: Mutated},
		"a mirror":                      {fresh: `,"imagePullPolicy":"Always"`, state: Mutated},
		"the controller's own variable": {live: env("1"), fresh: env("1"), owned: `,"f:env":{"k:{\"name\":\"OTEL\"}":{".":{},"f:name":{},"f:value":{}}}`, state: NotInjected},
		"a StatefulSet's claim": {
			liveSpec:  `,"volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"data-web-0"}}]`,
			freshSpec: `,"volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"data-web-0"}}]`, state: NotInjected,
		},
		"beside a sidecar, a variable comes": {
			liveSpec: `,"initContainers":[{"name":"proxy","restartPolicy":"Always"}]`, freshSpec: `,"initContainers":[{"name":"proxy","restartPolicy":"Always"}]`,
			fresh: env("a"), state: Drifted,
		},
		"the sidecar comes, the variable is there": {live: env("a"), fresh: env("a"), freshSpec: `,"initContainers":[{"name":"proxy","restartPolicy":"Always"}]`, state: Missing},
	} {
		for _, template := range []string{cmp.Or(test.template, bare), ""} {
			if template == "" && test.template != "" {
				continue // managedFields do not say so
			}
			in := documents{Live: podOf(test.live, test.liveSpec, test.owned), Fresh: podOf(test.fresh, test.freshSpec, test.owned)}
			if template != "" {
				in.Template = []byte(template)
			}
			if v := judge(t, in); v.State != test.state || v.Injected != test.injected {
				t.Errorf("%s, template %q: %s, injected %v, changes %v", name, template, v.State, v.Injected, paths(v))
			}
		}
	}
}

// TestGivenUnknown: where nothing says who declared what, nothing is called injected.
func TestGivenUnknown(t *testing.T) {
	live := []byte(`{"spec":{"containers":[{"name":"app","env":[{"name":"A"}]}]}}`)
	if v := judge(t, documents{Live: live, Fresh: []byte(`{"spec":{"containers":[{"name":"app"}]}}`)}); v.State != Mutated || v.Injected {
		t.Errorf("%s, injected %v", v.State, v.Injected)
	}
}

// TestUnchanged: a Pod that is as the fresh one is in sync, whatever was injected.
func TestUnchanged(t *testing.T) {
	const template = `{"spec":{"containers":[{"name":"app"}]}}`
	for name, test := range map[string]struct {
		app   string
		state State
	}{
		"nothing":    {"", NotInjected},
		"a variable": {`,"env":[{"name":"OTEL"}]`, InSync},
		"a mirror":   {`,"imagePullPolicy":"Always"`, NotInjected},
		"a mount":    {`,"volumeMounts":[{"name":"v","mountPath":"/v"}]`, InSync},
	} {
		v, err := Unchanged(parse(t, podOf(test.app, "", "")), parse(t, []byte(template)), nil)
		if err != nil || v.State != test.state {
			t.Errorf("%s: %s, %v", name, v.State, err)
		}
	}
}
