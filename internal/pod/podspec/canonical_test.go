package podspec

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// leavesOf decodes a canonical form and returns the paths of its leaves, which
// also shows that the form is unambiguous.
func leavesOf(t *testing.T, form []byte, path string) []string {
	t.Helper()
	d := decoder{form: form}
	d.value(path)
	if len(d.form) > 0 {
		t.Fatalf("%s: %q follows the value", path, d.form)
	}
	return d.leaves
}

type decoder struct {
	form   []byte
	leaves []string
}

func (d *decoder) tag() byte { return d.form[0] }

func (d *decoder) text() string {
	n, size := binary.Uvarint(d.form[1:])
	start := 1 + size
	text := string(d.form[start : start+int(n)])
	d.form = d.form[start+int(n):]
	if len(d.form) > 0 && d.tag() == tagOwnName {
		d.form = d.form[1:]
		text += "{own name}" + d.text()
	}
	return text
}

// value reads a value; a leaf is named by the path to it.
func (d *decoder) value(path string) {
	switch d.tag() {
	case tagMap, tagKeyedList:
		d.members(path)
	case tagList:
		d.form = d.form[1:]
		inside := decoder{form: d.form}
		for inside.tag() != tagEnd {
			inside.value("")
		}
		d.form = inside.form[1:]
		d.leaves = append(d.leaves, path)
	default:
		d.text()
		d.leaves = append(d.leaves, path)
	}
}

func (d *decoder) members(path string) {
	list := d.tag() == tagKeyedList
	field := path[strings.LastIndexByte(path, '.')+1:]
	_, second := listKeys([]byte(field))
	before := len(d.leaves)
	d.form = d.form[1:]
	for d.tag() != tagEnd {
		if d.tag() == tagReference {
			d.text()
			d.text()
			_, size := binary.Uvarint(d.form)
			d.form = d.form[size:]
			continue
		}
		key := d.text()
		switch {
		case list && second != "":
			d.value(fmt.Sprintf("%s[%s,%s]", path, key, d.text()))
		case list:
			d.value(fmt.Sprintf("%s[%s]", path, key))
		default:
			d.value(strings.TrimPrefix(path+"."+key, "."))
		}
	}
	d.form = d.form[1:]
	if len(d.leaves) == before {
		d.leaves = append(d.leaves, path)
	}
}

// canonicalOf is the canonical form of a container.
func canonicalOf(t *testing.T, container string) string {
	t.Helper()
	v := viewOf(t, `{"spec":{"containers":[`+container+`]}}`)
	return string(v.AppendCanonical(nil, v.Containers()[0].Member))
}

func TestCanonicalFormIsEqual(t *testing.T) {
	for name, pair := range map[string][2]string{
		"key order":        {`{"name":"a","image":"i"}`, `{"image":"i","name":"a"}`},
		"whitespace":       {`{"name":"a","stdin":true}`, "{\n \"name\" : \"a\" ,\t\"stdin\": true}"},
		"escapes":          {`{"name":"a","image":"\u0069\/j"}`, `{"name":"\u0061","image":"i/j"}`},
		"keyed list":       {`{"name":"a","env":[{"name":"A"},{"name":"B"}]}`, `{"name":"a","env":[{"name":"B"},{"name":"A"}]}`},
		"port's protocol":  {`{"ports":[{"containerPort":1,"protocol":"TCP"}]}`, `{"ports":[{"containerPort":1}]}`},
		"quantity":         {`{"resources":{"limits":{"cpu":"0.1","memory":"1Gi"}}}`, `{"resources":{"limits":{"cpu":"100m","memory":"1024Mi"}}}`},
		"number quantity":  {`{"resources":{"limits":{"cpu":2}}}`, `{"resources":{"limits":{"cpu":"2"}}}`},
		"number":           {`{"x":100}`, `{"x":1e2}`},
		"float":            {`{"x":1.50}`, `{"x":1.5}`},
		"null":             {`{"name":"a","args":null}`, `{"name":"a"}`},
		"empty list":       {`{"name":"a","args":[]}`, `{"name":"a"}`},
		"empty map":        {`{"name":"a","securityContext":{},"resources":{"limits":{}}}`, `{"name":"a"}`},
		"default":          {`{"terminationMessagePolicy":"File"}`, `{}`},
		"pull policy":      {`{"image":"h:5000/i","imagePullPolicy":"Always"}`, `{"image":"h:5000/i"}`},
		"request as limit": {`{"resources":{"limits":{"cpu":"1"},"requests":{"cpu":"1"}}}`, `{"resources":{"limits":{"cpu":"1"}}}`},
		"env order without references": {
			`{"env":[{"name":"A","value":"$(X) $$(B)"},{"name":"B"}]}`, `{"env":[{"name":"B"},{"name":"A","value":"$(X) $$(B)"}]}`},
	} {
		if a, b := canonicalOf(t, pair[0]), canonicalOf(t, pair[1]); a != b {
			t.Errorf("%s: %q and %q differ", name, a, b)
		}
	}
}

func TestCanonicalFormDiffers(t *testing.T) {
	for name, pair := range map[string][2]string{
		"text and number":   {`{"x":"1"}`, `{"x":1}`},
		"text and boolean":  {`{"x":"true"}`, `{"x":true}`},
		"map and list":      {`{"env":{"A":{}}}`, `{"env":[]}`},
		"key and value":     {`{"ab":"c"}`, `{"a":"bc"}`},
		"atomic list":       {`{"args":["a","b"]}`, `{"args":["b","a"]}`},
		"unknown list":      {`{"new":[{"name":"a"},{"name":"b"}]}`, `{"new":[{"name":"b"},{"name":"a"}]}`},
		"duplicates":        {`{"env":[{"name":"A","value":"1"},{"name":"A","value":"2"}]}`, `{"env":[{"name":"A","value":"2"},{"name":"A","value":"1"}]}`},
		"item without key":  {`{"env":[{"value":"1"}]}`, `{"env":[{"value":"2"}]}`},
		"other empty map":   {`{"x":{}}`, `{}`},
		"pull policy":       {`{"image":"i","imagePullPolicy":"IfNotPresent"}`, `{"image":"i"}`},
		"other quantities":  {`{"resources":{"limits":{"cpu":"1"}}}`, `{"resources":{"limits":{"cpu":"1001m"}}}`},
		"text of an amount": {`{"image":"0.1"}`, `{"image":"100m"}`},
		"env order with references": {
			`{"env":[{"name":"A","value":"$(B)"},{"name":"B"}]}`, `{"env":[{"name":"B"},{"name":"A","value":"$(B)"}]}`},
	} {
		if a, b := canonicalOf(t, pair[0]), canonicalOf(t, pair[1]); a == b {
			t.Errorf("%s: both are %q", name, a)
		}
	}
}

func TestReferenced(t *testing.T) {
	for text, want := range map[string][]string{
		"":               nil,
		"$":              nil,
		"$(":             nil,
		"a$(A)b$(C.D)$":  {"A", "C.D"},
		"$$(A)":          nil,
		"$$$(A)":         {"A"},
		"$A$(B)$(C":      {"B"},
		"$()":            {""},
		"\\$(A) $( B ) ": {"A", " B "},
	} {
		var got []string
		for name := range referenced([]byte(text)) {
			got = append(got, string(name))
		}
		if !slices.Equal(got, want) {
			t.Errorf("referenced(%q) = %q, want %q", text, got, want)
		}
	}
}
