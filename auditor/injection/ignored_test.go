package injection

import "testing"

// What a webhook that is known by name to look at who asks has injected is no matter of
// who asked.
func TestIgnored(t *testing.T) {
	dapr := Step{byName: askersByName["sidecar-injector.dapr.io"]}
	const wanted, unwanted = `{"metadata": {"annotations": {"dapr.io/enabled": "True"}}}`, `{"metadata": {"annotations": {"dapr.io/enabled": "no"}}}`
	for _, test := range []struct {
		name, template  string
		sidecars, loses []string
		want            bool
	}{
		{"wanted, and there", wanted, []string{"daprd"}, nil, false},
		{"wanted, and gone", wanted, []string{"daprd"}, []string{"daprd"}, true},
		{"wanted, and never there", wanted, []string{"istio-proxy"}, nil, true},
		{"not wanted", unwanted, []string{"istio-proxy"}, nil, false},
		{"not wanted, and gone", unwanted, []string{"daprd"}, []string{"daprd"}, true},
		{"nothing said", `{}`, []string{"istio-proxy"}, []string{"istio-proxy"}, false},
		{"no template", ``, nil, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := dapr.Ignored([]byte(test.template), test.sidecars, test.loses); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
			if (Step{LooksAtAsker: true}).Ignored([]byte(test.template), test.sidecars, test.loses) {
				t.Error("so is one whose code nothing is known of")
			}
		})
	}
}
