package cluster

import (
	"testing"
	"time"
)

// A port is given to one, for a while.
func TestClaim(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	now := time.Now()
	for i, want := range []bool{true, false} {
		if got, err := claim(12345, now); err != nil || got != want {
			t.Errorf("%d: %t, %v", i, got, err)
		}
	}
	if got, err := claim(12345, now.Add(2*claimFor)); err != nil || !got {
		t.Errorf("later: %t, %v", got, err)
	}
}
