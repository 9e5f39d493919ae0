package verdict

import (
	"encoding/json"
	"testing"
)

func TestTakesAway(t *testing.T) {
	x := json.RawMessage(`"x"`)
	gone := func(part, path string) Change { return Change{Part: part, Path: path, From: x} }
	for name, test := range map[string]struct {
		changes []Change
		loses   []string
		want    bool
	}{
		"nothing":              {nil, nil, false},
		"a variable":           {[]Change{gone("app/web", "env[OTEL_TRACES]")}, nil, true},
		"all variables":        {[]Change{gone("app/web", "env")}, nil, true},
		"a mount and a volume": {[]Change{gone("app/web", "volumeMounts[/otel].name"), gone("volumes", "[otel]")}, nil, true},
		"a container":          {[]Change{gone("container/proxy", "")}, []string{"proxy"}, true},
		"a port":               {[]Change{gone("container/proxy", "ports[15090]")}, nil, true},
		"a setting":            {[]Change{gone("container/proxy", "securityContext.runAsGroup")}, nil, false},
		"a variable, one more": {[]Change{gone("app/web", "env[A]"), {Part: "app/web", Path: "env[B]", To: x}}, nil, false},
		"one changes":          {[]Change{gone("app/web", "env[A]"), {Part: "container/proxy", Path: "image", From: x, To: x}}, nil, false},
		"an ended container":   {[]Change{gone("initContainer/istio-init", "")}, nil, false},
		"a native sidecar":     {[]Change{gone("initContainer/istio-proxy", "")}, []string{"istio-proxy"}, true},
		"of ended one, too":    {[]Change{gone("initContainer/vault-agent-init", ""), gone("volumes", "[home]")}, nil, true},
	} {
		if got := TakesAway(test.changes, test.loses); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// An init container that has run to its end is no loss where its injector's others
// stay; another injector's do not count.
func TestLoses(t *testing.T) {
	pod := func(containers, inits string) []byte {
		return []byte(`{"metadata":{"annotations":{"sidecar.istio.io/status":"{\"containers\":[\"istio-proxy\",\"vault-agent\"],\"initContainers\":[\"istio-init\",\"vault-agent-init\",\"istio-native\"]}"}},` +
			`"spec":{"containers":[{"name":"app"}` + containers + `],"initContainers":[` + inits + `]}}`)
	}
	const proxy = `,{"name":"istio-proxy"}`
	for name, test := range map[string]struct {
		live, fresh []byte
		want        []string
	}{
		"Istio's CNI":        {pod(proxy, `{"name":"istio-init"}`), pod(proxy, ``), []string{}},
		"Istio is lost":      {pod(proxy, `{"name":"istio-init"}`), pod("", ``), []string{"istio-init", "istio-proxy"}},
		"a native sidecar":   {pod(proxy, `{"name":"istio-native","restartPolicy":"Always"}`), pod(proxy, ``), []string{"istio-native"}},
		"another injector's": {pod(proxy, `{"name":"vault-agent-init"}`), pod(proxy, ``), []string{"vault-agent-init"}},
	} {
		v, err := Judge(Input{Live: parse(t, test.live), Fresh: parse(t, test.fresh), Template: parse(t, pod("", ""))})
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Loses) != len(test.want) {
			t.Errorf("%s: loses %q, want %q", name, v.Loses, test.want)
			continue
		}
		for i := range test.want {
			if v.Loses[i] != test.want[i] {
				t.Errorf("%s: loses %q, want %q", name, v.Loses, test.want)
			}
		}
	}
}

// TestTakesAwayPlacement: where an injector is down, annotations and placement go, too.
func TestTakesAwayPlacement(t *testing.T) {
	gone := []byte(`"a"`)
	for _, test := range []struct {
		part, path string
		want       bool
	}{
		{"metadata", "annotations[traffic.kuma.io/transparent-proxy-config]", true},
		{"pod", "imagePullSecrets[mesh]", true},
		{"pod", "nodeSelector.kubernetes.io/os", true},
		{"pod", "tolerations", true},
		{"pod", "securityContext.fsGroup", false},
	} {
		c := Change{Part: test.part, Path: test.path, From: gone}
		if got := TakesAway([]Change{c}, nil); got != test.want {
			t.Errorf("%s: %v", c.Place(), got)
		}
		c.To = []byte(`"b"`)
		if TakesAway([]Change{c}, nil) {
			t.Errorf("%s that changes takes something away", c.Place())
		}
	}
}
