package podspec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// TestLookup: an index finds what looking through the fields finds.
func TestLookup(t *testing.T) {
	for field, formats := range map[string][2]string{
		"securityContext": {`"f:x%d":{}`, ``},
		"env":             {`"k:{\"name\":\"A\\\"%d\"}":{".":{}}`, `A"%d`},
		"ports":           {`"k:{\"containerPort\":%d,\"protocol\":\"TCP\"}":{}`, `%d`},
		"finalizers":      {`"v:\"a%d\"":{}`, `a%d`},
	} {
		var elements []string
		for i := range 2 * fewFields {
			elements = append(elements, fmt.Sprintf(formats[0], i))
		}
		elements = append(elements, `".":{}`, `"i:1":{}`, `"k:{":{}`, `"x":{}`)
		root, err := jsontree.Parse([]byte("{" + strings.Join(elements, ",") + "}"))
		if err != nil {
			t.Fatal(err)
		}
		fields := Union([]Manager{{Fields: root}, {Fields: root}})
		lookup := new(View).Lookup(fields, []byte(field))
		if !lookup.many {
			t.Fatalf("%s: no index", field)
		}
		found := 0
		for i := range 3 * fewFields {
			m := Member{Key: fmt.Appendf(nil, "x%d", i)}
			if formats[1] != "" {
				m = Member{Key: fmt.Appendf(nil, formats[1], i), Field: []byte(field), Item: true}
			}
			if field == "ports" {
				m.Second = []byte("TCP")
			}
			slow, fast := fields.Member(m), lookup.Member(m)
			if slow.Empty() != fast.Empty() || slow.Has() != fast.Has() || len(slow.rest) != len(fast.rest) {
				t.Errorf("%s: %s is found %v by looking, %v by the index", field, m.Key, !slow.Empty(), !fast.Empty())
			}
			if !fast.Empty() {
				found++
			}
		}
		if found != 2*fewFields {
			t.Errorf("%s: found %d", field, found)
		}
	}
}

// TestLookupOfNothing: many fields of which none can be indexed are not looked
// through for each member.
func TestLookupOfNothing(t *testing.T) {
	root, err := jsontree.Parse([]byte(`{"x":{},"i:` + strings.Repeat("1", fewFields*fewFields) + `":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	lookup := new(View).Lookup(Union([]Manager{{Fields: root}}), []byte("env"))
	if !lookup.many || len(lookup.index) > 0 {
		t.Errorf("many: %v, %d indexed", lookup.many, len(lookup.index))
	}
	if found := lookup.Member(Member{Key: []byte("x"), Field: []byte("env"), Item: true}); !found.Empty() {
		t.Error("found a member")
	}
}
