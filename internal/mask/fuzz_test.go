package mask

import (
	"encoding/json"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/mask/masktest"
)

// FuzzMask checks that what is masked once stays as it is, that JSON stays JSON, and
// that two values look alike exactly if they are.
func FuzzMask(f *testing.F) {
	var before string
	for _, c := range append(masktest.Secrets(7), masktest.Harmless()...) {
		var text string
		if json.Unmarshal(c.Value, &text) != nil {
			text = string(c.Value)
		}
		f.Add(lastName(c.Path), text, before)
		before = text
	}
	f.Fuzz(func(t *testing.T, name, a, b string) {
		m := New([]byte("salt"))
		if m.hasMask(a) || m.hasMask(b) {
			return // nobody can make one without the key
		}
		shownA, shownB := m.Value(name, a), m.Value(name, b)
		if (a == b) != (shownA == shownB) {
			t.Errorf("%q and %q are shown as %q and %q", a, b, shownA, shownB)
		}
		if again := m.Value(name, shownA); again != shownA {
			t.Errorf("%q=%q is shown as %q, and that as %q", name, a, shownA, again)
		}
		if json.Valid([]byte(a)) && !json.Valid([]byte(shownA)) && a[0] != '"' {
			t.Errorf("%q is JSON, and %q is not", a, shownA)
		}
		prose := m.Prose(a)
		if again := m.Prose(prose); again != prose {
			t.Errorf("%q reads %q, and that %q", a, prose, again)
		}
		if !json.Valid([]byte(a)) {
			return
		}
		at := m.At("env["+name+"].value", json.RawMessage(a))
		if !json.Valid(at) {
			t.Errorf("%q is JSON, and %q is not", a, at)
		}
		if again := m.At("env["+name+"].value", at); string(again) != string(at) {
			t.Errorf("%q is shown as %q, and that as %q", a, at, again)
		}
	})
}
