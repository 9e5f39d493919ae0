package podspec

import (
	"bytes"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec/podtest"
)

// TestViewIsUsedAgain: a view of one Pod after another is each one's view, and
// one that has forgotten its Pod refers to nothing of it.
func TestViewIsUsedAgain(t *testing.T) {
	form := func(v *View) (form []byte) {
		for _, c := range v.Containers() {
			form = v.AppendCanonical(append(form, c.Part()...), c.Member)
		}
		return v.AppendCanonical(form, v.Volumes())
	}
	again := new(View)
	for range 2 {
		for name, src := range map[string][]byte{"live": podtest.Live, "fresh": podtest.Fresh, "empty": []byte(`{}`)} {
			pod, err := jsontree.Parse(src)
			if err != nil {
				t.Fatal(err)
			}
			again.Reset(pod)
			if want, got := form(NewView(pod)), form(again); !bytes.Equal(want, got) {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
			again.Forget()
			for _, m := range again.stack[:cap(again.stack)] {
				if m.Node.Exists() || m.Key != nil {
					t.Fatalf("%s: %q is not forgotten", name, m.Key)
				}
			}
		}
	}
}
