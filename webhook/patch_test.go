package webhook

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
)

// TestAnnotationsLeaveNoRoom: a stamp is never what a Pod is refused for. Ours
// that the Pod brings along do not count, as they are replaced.
func TestAnnotationsLeaveNoRoom(t *testing.T) {
	ours := len(fingerprint.StampAnnotation) + len(fingerprint.None) + len(fingerprint.PartsAnnotation) + len("{}")
	for name, test := range map[string]struct {
		own, others int
		stamped     bool
	}{
		"just room":         {others: maxAnnotations - ours, stamped: true},
		"a byte too few":    {others: maxAnnotations - ours + 1},
		"far too many":      {others: 2 * maxAnnotations},
		"replaced by fewer": {own: maxAnnotations, others: maxAnnotations - ours, stamped: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness()
			metadata := fmt.Sprintf(`{"annotations":{"a":"%s","sidecar-drift.io/parts":"%s"}}`,
				strings.Repeat("x", test.others-1), strings.Repeat("x", test.own))
			response := h.review(t, podReview(metadata))
			if got := response.Patch != nil; got != test.stamped {
				t.Errorf("stamped: %v", got)
			}
			if test.stamped {
				h.wantCounted(t, none)
				return
			}
			h.wantCounted(t, failed)
			if !strings.Contains(h.log.String(), "262144 bytes") {
				t.Errorf("log: %s", h.log.String())
			}
		})
	}
}

// TestPartsLeaveNoRoom: the fingerprint of very many containers is too large.
func TestPartsLeaveNoRoom(t *testing.T) {
	h := newHarness()
	if response := h.review(t, forgedPods["containers"].review()); response.Patch != nil {
		t.Errorf("patched with %d bytes", len(response.Patch))
	}
	h.wantCounted(t, failed)
}
