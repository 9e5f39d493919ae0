package verdict

import (
	"strings"
	"testing"
)

func TestPathPattern(t *testing.T) {
	change := func(part, path string) Change { return Change{Part: part, Path: path} }
	value := change("container/istio-proxy", "env[NONCE].value")
	for pattern, test := range map[string]struct {
		change Change
		want   bool
	}{
		"container/istio-proxy:env[NONCE].value": {value, true},
		"container/istio-proxy:env[NONCE]":       {value, true},
		"container/istio-proxy:env":              {value, true},
		"container/istio-proxy":                  {value, true},
		"*:env[NONCE]":                           {value, true},
		"container/istio-proxy:env[NON":          {value, false},
		"container/istio-proxy:env[NONCE].val":   {value, false},
		"container/other:env[NONCE]":             {value, false},
		"initContainer/istio-proxy:env":          {value, false},
		"volumes":                                {change("volumes", "[cert].secret.secretName"), true},
		"volumes:[cert]":                         {change("volumes", "[cert].secret.secretName"), true},
		"volumes:[certificates]":                 {change("volumes", "[cert].secret.secretName"), false},
		"app/web":                                {change("app/web", ""), true},
		"order":                                  {change("order", ""), true},
		"*:image":                                {change("container/istio-proxy", ""), false},
	} {
		p, err := ParsePathPattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if p.String() != pattern {
			t.Errorf("%s is written as %s", pattern, p)
		}
		if got := p.matches(test.change); got != test.want {
			t.Errorf("%s matches %s %s: %v", pattern, test.change.Part, test.change.Path, got)
		}
	}
	for _, bad := range []string{"", "*", "*:", "container", "container/", "env[NONCE]", "volumes/x:y", "sidecar/x:y"} {
		if p, err := ParsePathPattern(bad); err == nil {
			t.Errorf("%q is read as %v", bad, p)
		}
	}
}

// TestIgnore: what is left out is counted, and changes the state with it.
func TestIgnore(t *testing.T) {
	template := parse(t, []byte(`{"spec":{"containers":[{"name":"web"}]}}`))
	live := parse(t, []byte(`{"spec":{"containers":[{"name":"web"},{"name":"proxy","image":"a","env":[{"name":"NONCE","value":"1"}]}]}}`))
	fresh := parse(t, []byte(`{"spec":{"containers":[{"name":"web"},{"name":"proxy","image":"b","env":[{"name":"NONCE","value":"2"}]}]}}`))
	for _, test := range []struct {
		ignore           []PathPattern
		state            State
		changes, ignored int
	}{
		{nil, Drifted, 2, 0},
		{[]PathPattern{{"*", "env[NONCE]"}}, Drifted, 1, 1},
		{[]PathPattern{{"*", "env[NONCE]"}, {"container/proxy", "image"}}, InSync, 0, 2},
		{[]PathPattern{{"container/proxy", ""}}, InSync, 0, 2},
	} {
		v, err := Judge(Input{Live: live, Fresh: fresh, Template: template, Ignore: test.ignore})
		if err != nil {
			t.Fatal(err)
		}
		if v.State != test.state || len(v.Changes) != test.changes || v.Ignored != test.ignored {
			t.Errorf("%v: %+v", test.ignore, v)
		}
	}
}

// FuzzParsePathPattern: what is read is written as it was, and leaves out what it
// names itself.
func FuzzParsePathPattern(f *testing.F) {
	for _, seed := range []string{"container/istio-proxy:env[NONCE].value", "*:image", "volumes", "pod:", "app/:x", "::", "",
		"*", "order/x", "container/a/b:c:d", "pod:" + strings.Repeat("[x].", 500), "app/\xff:\x00", "app/é:a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePathPattern(text)
		if err != nil {
			return
		}
		again, err := ParsePathPattern(p.String())
		if err != nil || again != p {
			t.Errorf("%q is read as %+v, and that as %+v, %v", text, p, again, err)
		}
		part := p.Part
		if part == "*" {
			part = "pod"
		}
		for _, below := range []string{"", ".x", "[x]"} {
			if !p.matches(Change{Part: part, Path: p.Path + below}) {
				t.Errorf("%q does not match %q", text, p.Path+below)
			}
		}
		if p.Part != "*" && p.matches(Change{Part: part + "x", Path: p.Path}) || p.Path != "" && p.matches(Change{Part: part, Path: p.Path + "x"}) {
			t.Errorf("%q matches another part or path", text)
		}
	})
}
