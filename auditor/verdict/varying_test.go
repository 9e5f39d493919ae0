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
		"a name that is made up, and a variable goes": {
			agentWith("agent:1", "TLS_REQUIRED", "1"), []string{agentWith("agent:1", "TMP_1", "1"), agentWith("agent:1", "TMP_2", "1")},
			Drifted, []string{"container/agent:env[TLS_REQUIRED]", "~container/agent:env[TMP_1]"}},
		"a variable twice, one of which varies": {
			agentWith("agent:1", "A", "x", "A", "old"), []string{agentWith("agent:1", "A", "y", "A", "new"), agentWith("agent:1", "A", "z", "A", "new")},
			Unstable, []string{"~container/agent:env[A].value"}},
		"a name that is made up, and another volume goes": {
			named("v-1"), []string{agentWith("agent:1") + `|{"name":"v-2","emptyDir":{}}`, agentWith("agent:1") + `|{"name":"v-3","emptyDir":{}}`},
			Drifted, []string{"volumes:[data]", "~volumes:[v-1]", "~volumes:[v-2]"}},
	} {
		v := judgedBy(t, test.live, test.fresh...)
		if diff := cmp.Diff(test.changes, said(v.Changes)); v.State != test.state || diff != "" {
			t.Errorf("%s: %s, want %s; changes (-want +got):\n%s", name, v.State, test.state, diff)
		}
	}
}

// Of what varies in a workload, others know the orders within texts, and where to ask.
func TestWhatVariesElsewhere(t *testing.T) {
	template := parse(t, []byte(`{"spec":{"containers":[{"name":"app"}]}}`))
	var own Varying
	pod := func(nonce, order, args string, more ...string) []byte {
		env := append([]string{"NONCE", nonce, "ORDER", order}, more...)
		return agentPod(strings.Replace(agentWith("agent:1", env...), `"env"`, `"args":`+args+`,"env"`, 1), "")
	}
	const xy, yx = `["x","y"]`, `["y","x"]`
	for _, other := range [][]byte{pod("b", yx, yx, "TMP_1", "1"), pod("c", xy, xy, "TMP_2", "1")} {
		if _, err := own.Learn(Input{Live: parse(t, pod("a", xy, xy)), Fresh: parse(t, other), Template: template}); err != nil {
			t.Fatal(err)
		}
	}
	elsewhere := (*Varying)(nil).With(own.Elsewhere())
	for name, test := range map[string]struct {
		live []byte
		want []string
	}{
		"an order in a text": {pod("a", yx, xy), []string{}},
		"arguments":          {pod("a", xy, yx), []string{"container/agent:args"}},
		"a value":            {pod("b", xy, xy), []string{"container/agent:env[NONCE].value"}},
		"an item that goes":  {pod("a", xy, xy, "TMP_1", "1"), []string{"container/agent:env[TMP_1]"}},
	} {
		v, err := Judge(Input{Live: parse(t, test.live), Fresh: parse(t, pod("a", xy, xy)), Template: template, Varying: elsewhere})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, said(v.Changes)); diff != "" {
			t.Errorf("%s: changes (-want +got):\n%s", name, diff)
		}
	}
	for path, want := range map[string]bool{
		"env[NONCE].value": true, "env[ORDER].value": true, "args": true, "image": false, "env[ORDER].value → [0]": false, "env[TMP_1]": false,
	} {
		if got := elsewhere.Has(Change{Part: "container/agent", Path: path}); got != want {
			t.Errorf("%s: known to vary: %t", path, got)
		}
	}
}

// What many workloads show together is no reason to believe nothing of any.
func TestMuchVariesElsewhere(t *testing.T) {
	template := parse(t, []byte(`{"spec":{"containers":[{"name":"app"}]}}`))
	var known *Varying
	for i := range 2 * maxVarying {
		var own Varying
		pod := func(value string) []byte { return agentPod(agentWith("agent:1", fmt.Sprint("R", i), value), "") }
		if _, err := own.Learn(Input{Live: parse(t, pod("a")), Fresh: parse(t, pod("b")), Template: template}); err != nil {
			t.Fatal(err)
		}
		known = known.With(own.Elsewhere())
	}
	v, err := Judge(Input{
		Live: parse(t, agentPod(agentWith("agent:1"), "")), Fresh: parse(t, agentPod(agentWith("agent:2"), "")), Template: template, Varying: known,
	})
	if err != nil || v.State != Drifted {
		t.Errorf("%s, %v", v.State, err)
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
