package cli

import (
	"slices"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

func TestCompleteInList(t *testing.T) {
	states := fixed([]string{"Drifted", "Missing", "Modified"})
	for beginning, want := range map[string][]string{
		"":                   {"Drifted", "Missing", "Modified"},
		"M":                  {"Missing", "Modified"},
		"mo":                 {"Modified"},
		"Drifted,":           {"Drifted,Missing", "Drifted,Modified"},
		"Drifted,Missing,mo": {"Drifted,Missing,Modified"},
		"Drifted,Dr":         nil,
		"x":                  nil,
	} {
		if got := states.inList()(beginning); !slices.Equal(got, want) {
			t.Errorf("%q is completed to %q, want %q", beginning, got, want)
		}
	}
}

func TestKindsBeginningWith(t *testing.T) {
	if got, want := kindsBeginningWith("d", anyKind), []string{"deployment/", "daemonset/"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := kindsBeginningWith("", canBeRolledOut); slices.Contains(got, "job/") || slices.Contains(got, "pod/") || len(got) == 0 {
		t.Errorf("of what may be rolled out: %q", got)
	}
	if got := kindsBeginningWith("", anyKind); len(got) != len(kind.All()) {
		t.Errorf("of what may be audited: %q", got)
	}
}
