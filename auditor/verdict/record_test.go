package verdict

import (
	"fmt"
	"testing"
)

// TestOneShot: an init container has run to its end unless it is a sidecar in either Pod.
func TestOneShot(t *testing.T) {
	const always = `,"restartPolicy":"Always"`
	pod := func(image, of string) []byte {
		return fmt.Appendf(nil, `{"spec":{"containers":[{"name":"app"},{"name":"proxy","image":%[1]q}],"initContainers":[{"name":"init","image":%[1]q%[2]s}]}}`, image, of)
	}
	none := []byte(`{"spec":{"containers":[{"name":"app"},{"name":"proxy","image":"a"}]}}`)
	for name, test := range map[string]struct {
		live, fresh []byte
		want        bool
	}{
		"runs to its end":     {pod("a", ""), pod("b", ""), true},
		"goes":                {pod("a", ""), none, true},
		"comes":               {none, pod("a", ""), true},
		"a native sidecar":    {pod("a", always), pod("b", always), false},
		"becomes one":         {pod("a", ""), pod("b", always), false},
		"was one":             {pod("a", always), pod("b", ""), false},
		"a native one goes":   {pod("a", always), none, false},
		"a native one begins": {none, pod("a", always), false},
	} {
		v, err := Judge(Input{Live: parse(t, test.live), Fresh: parse(t, test.fresh), Template: parse(t, []byte(`{"spec":{"containers":[{"name":"app"}]}}`))})
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Changes) == 0 {
			t.Errorf("%s: nothing differs", name)
		}
		for _, c := range v.Changes {
			if want := test.want && c.Part == "initContainer/init"; c.OneShot != want {
				t.Errorf("%s: %s has run to its end: %t", name, c.Place(), c.OneShot)
			}
		}
	}
}
