package verdict

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// agentPod is a Pod with an injected container agent.
func agentPod(agent, volumes string) []byte {
	return fmt.Appendf(nil, `{"metadata":{"name":"web-1"},"spec":{"containers":[{"name":"app","image":"app:1"}%s],"volumes":[%s]}}`, agent, volumes)
}

func agentWith(image string, env ...string) string {
	var list []string
	for i := 0; i < len(env); i += 2 {
		list = append(list, fmt.Sprintf(`{"name":%q,"value":%q}`, env[i], env[i+1]))
	}
	return fmt.Sprintf(`,{"name":"agent","image":%q,"env":[%s]}`, image, strings.Join(list, ","))
}

func inBase64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// judgedBy judges two Pods by what the fresh ones show to vary.
func judgedBy(t *testing.T, live string, fresh ...string) Verdict {
	t.Helper()
	pod := func(text string) []byte {
		agent, volumes, _ := strings.Cut(text, "|")
		return agentPod(agent, volumes)
	}
	template := parse(t, []byte(`{"spec":{"containers":[{"name":"app"}]}}`))
	var varying Varying
	for _, other := range fresh[1:] {
		if _, err := varying.Learn(Input{Live: parse(t, pod(fresh[0])), Fresh: parse(t, pod(other)), Template: template}); err != nil {
			t.Fatal(err)
		}
	}
	v, err := Judge(Input{Live: parse(t, pod(live)), Fresh: parse(t, pod(fresh[0])), Template: template, Varying: &varying})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// said are changes, "~" before those that are unstable.
func said(changes []Change) []string {
	lines := []string{}
	for _, c := range changes {
		mark := ""
		if c.Unstable {
			mark = "~"
		}
		lines = append(lines, mark+c.Place())
	}
	return lines
}

func TestWhatVaries(t *testing.T) {
	const env = "container/agent:env"
	config := func(order, address string) string {
		return inBase64(`{"vault":{"address":"` + address + `"},"template":[` + order + `]}`)
	}
	const ab, ba = `{"destination":"/a"},{"destination":"/b"}`, `{"destination":"/b"},{"destination":"/a"}`
	named := func(volume string) string {
		return agentWith("agent:1") + `|{"name":"` + volume + `","emptyDir":{}},{"name":"data","emptyDir":{}}`
	}
	for name, test := range map[string]struct {
		live    string
		fresh   []string
		state   State
		changes []string
	}{
		"a value, and nothing else": {
			agentWith("agent:1", "NONCE", "x"), []string{agentWith("agent:1", "NONCE", "y"), agentWith("agent:1", "NONCE", "z")},
			Unstable, []string{"~" + env + "[NONCE].value"}},
		"a value, and the image has changed": {
			agentWith("agent:1", "NONCE", "x"), []string{agentWith("agent:2", "NONCE", "y"), agentWith("agent:2", "NONCE", "z")},
			Drifted, []string{"~" + env + "[NONCE].value", "container/agent:image"}},
		"a value that there was none of": {
			agentWith("agent:1"), []string{agentWith("agent:1", "NONCE", "y"), agentWith("agent:1", "NONCE", "z")},
			Drifted, []string{env + "[NONCE]"}},
		"a value that comes and goes": {
			agentWith("agent:1"), []string{agentWith("agent:1", "NONCE", "y"), agentWith("agent:1")},
			Unstable, []string{"~" + env + "[NONCE]"}},
		"the container comes and goes": {
			"", []string{agentWith("agent:1"), ""}, Unstable, []string{"~container/agent"}},
		"the container comes and goes, and was another one": {
			agentWith("agent:0"), []string{agentWith("agent:1"), ""}, Unstable, []string{"~container/agent:image"}},
		"an order": {
			agentWith("agent:1", "CONFIG", config(ba, "v")), []string{agentWith("agent:1", "CONFIG", config(ab, "v")), agentWith("agent:1", "CONFIG", config(ba, "v"))},
			InSync, []string{}},
		"an order, and the address has changed": {
			agentWith("agent:1", "CONFIG", config(ba, "v")), []string{agentWith("agent:1", "CONFIG", config(ab, "w")), agentWith("agent:1", "CONFIG", config(ba, "w"))},
			Drifted, []string{env + "[CONFIG].value → vault.address"}},
		"an order that never changes": {
			agentWith("agent:1", "CONFIG", config(ba, "v")), []string{agentWith("agent:1", "CONFIG", config(ab, "v")), agentWith("agent:1", "CONFIG", config(ab, "v"))},
			Drifted, []string{env + "[CONFIG].value"}},
		"a part of a value": {
			agentWith("agent:1", "CONFIG", `{"id":1,"a":"x"}`), []string{agentWith("agent:1", "CONFIG", `{"id":2,"a":"x"}`), agentWith("agent:1", "CONFIG", `{"id":3,"a":"x"}`)},
			Unstable, []string{"~" + env + "[CONFIG].value"}},
		"a part of a value, and another part has changed": {
			agentWith("agent:1", "CONFIG", `{"id":1,"a":"x"}`), []string{agentWith("agent:1", "CONFIG", `{"id":2,"a":"y"}`), agentWith("agent:1", "CONFIG", `{"id":3,"a":"y"}`)},
			Drifted, []string{"~" + env + "[CONFIG].value", env + "[CONFIG].value → a"}},
		"a name that is made up": {
			named("v-1"), []string{named("v-2"), named("v-3")}, Unstable, []string{"~volumes:[v-1]", "~volumes:[v-2]"}},
		"a name that is made up, and another volume goes": {
			named("v-1"), []string{agentWith("agent:1") + `|{"name":"v-2","emptyDir":{}}`, agentWith("agent:1") + `|{"name":"v-3","emptyDir":{}}`},
			Drifted, []string{"volumes:[data]", "volumes:[v-1]", "~volumes:[v-2]"}},
	} {
		v := judgedBy(t, test.live, test.fresh...)
		if diff := cmp.Diff(test.changes, said(v.Changes)); v.State != test.state || diff != "" {
			t.Errorf("%s: %s, want %s; changes (-want +got):\n%s", name, v.State, test.state, diff)
		}
	}
}

// Of what varies in a workload, others of its namespace know orders and values; those of
// other namespaces know orders alone.
func TestWhatVariesElsewhere(t *testing.T) {
	template := parse(t, []byte(`{"spec":{"containers":[{"name":"app"}]}}`))
	var own Varying
	pods := func(nonce, order string) []byte {
		return agentPod(agentWith("agent:1", "NONCE", nonce, "ORDER", order), "")
	}
	for _, other := range [][]byte{pods("b", `["y","x"]`), pods("c", `["x","y"]`)} {
		if _, err := own.Learn(Input{Live: parse(t, pods("a", `["x","y"]`)), Fresh: parse(t, other), Template: template}); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		known *Varying
		live  []byte
		want  []string
	}{
		"an order, elsewhere":                   {own.Elsewhere(), pods("a", `["y","x"]`), []string{}},
		"an order, everywhere":                  {own.Everywhere(), pods("a", `["y","x"]`), []string{}},
		"a value that was seen, elsewhere":      {own.Elsewhere(), pods("b", `["x","y"]`), []string{"~container/agent:env[NONCE].value"}},
		"a value that was seen, everywhere":     {own.Everywhere(), pods("b", `["x","y"]`), []string{"container/agent:env[NONCE].value"}},
		"a value that was never seen elsewhere": {own.Elsewhere(), pods("z", `["x","y"]`), []string{"container/agent:env[NONCE].value"}},
	} {
		v, err := Judge(Input{Live: parse(t, test.live), Fresh: parse(t, pods("a", `["x","y"]`)), Template: template, Varying: test.known})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, said(v.Changes)); diff != "" {
			t.Errorf("%s: changes (-want +got):\n%s", name, diff)
		}
	}
	for _, c := range []Change{{Part: "container/agent", Path: "env[NONCE].value"}, {Part: "container/agent", Path: "env[ORDER].value"}} {
		if !own.Everywhere().Has(c) {
			t.Errorf("%s: is not known to vary", c.Place())
		}
	}
	for _, c := range []Change{{Part: "container/agent", Path: "image"}, {Part: "container/agent", Path: "env[ORDER].value → [0]"}} {
		if own.Everywhere().Has(c) {
			t.Errorf("%s: is known to vary", c.Place())
		}
	}
}

// Of a Pod of which more varies than can be remembered, everything does.
func TestTooMuchVaries(t *testing.T) {
	pod := func(value string) string {
		var env []string
		for i := range maxVarying + 1 {
			env = append(env, fmt.Sprintf("V%d", i), value)
		}
		return agentWith("agent:1", env...)
	}
	v := judgedBy(t, strings.Replace(pod("x"), "agent:1", "agent:0", 1), pod("y"), pod("z"))
	if v.State != Unstable {
		t.Errorf("%s", v.State)
	}
}

// An order that is in doubt is no reason to re-create a Pod; other differences are.
func TestOrdersInDoubt(t *testing.T) {
	template := parse(t, []byte(`{"spec":{"containers":[{"name":"app"}]}}`))
	pod := func(image, list, args string) []byte {
		return agentPod(strings.Replace(agentWith(image, "LIST", list), `"env"`, `"args":`+args+`,"env"`, 1), "")
	}
	for name, test := range map[string]struct {
		live, fresh []byte
		state       State
		changes     []string
	}{
		"an order":                    {pod("agent:1", `["a","b"]`, `[]`), pod("agent:1", `["b","a"]`, `[]`), Unstable, []string{"~container/agent:env[LIST].value"}},
		"an order, and another image": {pod("agent:1", `["a","b"]`, `[]`), pod("agent:2", `["b","a"]`, `[]`), Drifted, []string{"~container/agent:env[LIST].value", "container/agent:image"}},
		"other items":                 {pod("agent:1", `["a","b"]`, `[]`), pod("agent:1", `["b","c"]`, `[]`), Drifted, []string{"container/agent:env[LIST].value"}},
		"arguments":                   {pod("agent:1", `[]`, `["a","b"]`), pod("agent:1", `[]`, `["b","a"]`), Drifted, []string{"container/agent:args"}},
	} {
		v, err := Judge(Input{Live: parse(t, test.live), Fresh: parse(t, test.fresh), Template: template, Varying: &Varying{}, OrdersDoubted: true})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.changes, said(v.Changes)); v.State != test.state || diff != "" {
			t.Errorf("%s: %s, want %s; changes (-want +got):\n%s", name, v.State, test.state, diff)
		}
	}
}
