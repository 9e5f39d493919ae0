package report

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func quoted(text string) json.RawMessage {
	b, _ := json.Marshal(text)
	return b
}

// Of a value that means something of several parts people see what changed in it.
func TestSpelledOut(t *testing.T) {
	inBase64 := func(text string) json.RawMessage {
		return quoted(base64.StdEncoding.EncodeToString([]byte(text)))
	}
	const env = "env[CONFIG].value"
	changed := func(part, path string, from, to json.RawMessage) []verdict.Change {
		return []verdict.Change{{Part: part, Path: path, From: from, To: to}}
	}
	many := make([]string, 0, change.MaxSpelled+1)
	for i := range change.MaxSpelled + 1 {
		many = append(many, strings.Repeat("x", i+1))
	}
	list, _ := json.Marshal(many)
	for name, test := range map[string]struct {
		changes []verdict.Change
		want    string
	}{
		"an argument": {changed("container/proxy", "args", json.RawMessage(`["proxy","--concurrency=2","--log_as_json"]`), json.RawMessage(`["proxy","--concurrency=4","--log_as_json"]`)),
			"proxy: args[--concurrency] 2 → 4"},
		"JSON in a text": {changed("container/proxy", env, quoted(`{"tracing":{"sampling":1},"port":15001}`), quoted(`{"tracing":{"sampling":2},"port":15001}`)),
			"proxy: env[CONFIG].value → tracing.sampling 1 → 2"},
		"JSON in base64": {changed("container/vault-agent", env, inBase64(`{"vault":{"address":"a"},"pid_file":"/p"}`), inBase64(`{"vault":{"address":"b"},"pid_file":"/p"}`)),
			"vault-agent: env[CONFIG].value → vault.address a → b"},
		"an object": {changed("volumes", "[v].projected.sources", json.RawMessage(`[{"name":"a","path":"token-of-the-mesh"}]`), json.RawMessage(`[{"name":"a","path":"token-of-another-mesh"}]`)),
			"volumes: [v].projected.sources[a].path token-of-the-mesh → token-of-another-mesh"},
		"a text that means no more than it says": {changed("container/proxy", env, quoted("a text that is long enough"), quoted("and another one that is as long")), "proxy: env[CONFIG].value changed"},
		"another form of the same":               {changed("container/proxy", env, quoted(`{"a":1, "b":[1,2,3,4,5]}`), quoted(`{"a":1,  "b":[1,2,3,4,5]}`)), "proxy: env[CONFIG].value changed"},
		"too much":                               {changed("container/proxy", "args", json.RawMessage(`["other","arguments","altogether"]`), list), "proxy: args changed"},
		"the order of containers":                {changed("order", "", json.RawMessage(`["istio-proxy","application"]`), json.RawMessage(`["application","istio-proxy"]`)), "order changed"},
		"a container that becomes a native sidecar": {append(
			changed("container/linkerd-proxy", "", json.RawMessage(`{"name":"linkerd-proxy","image":"proxy:1"}`), nil),
			changed("initContainer/linkerd-proxy", "", nil, json.RawMessage(`{"name":"linkerd-proxy","image":"proxy:2","restartPolicy":"Always"}`))...),
			"linkerd-proxy: becomes a native sidecar, image 1 → 2"},
		"what runs before what has ended": {
			[]verdict.Change{
				{Part: "initContainer/agent-init", Path: "image", From: quoted("a:1"), To: quoted("a:2"), OneShot: true},
				{Part: "initContainer/proxy", Path: "image", From: quoted("p:1"), To: quoted("p:2")},
				{Part: "container/agent", Path: "image", From: quoted("a:1"), To: quoted("a:2")},
			},
			"agent: image 1 → 2; proxy: image 1 → 2; agent-init: image 1 → 2",
		},
		"a container that goes, and an init container of its name": {append(
			changed("container/agent", "", json.RawMessage(`{"name":"agent"}`), nil),
			changed("initContainer/agent", "", nil, json.RawMessage(`{"name":"agent"}`))...),
			"agent removed, agent added"},
	} {
		if diff := cmp.Diff(test.want, summarizeChanges(test.changes, 0, 0, 0)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
