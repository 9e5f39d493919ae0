package auditor

import "testing"

// However many workloads of one namespace were probed, they stand for no other.
func TestConfirmedByNamespace(t *testing.T) {
	var s stability
	places := placesKey{1}
	for range 10 * enoughConfirmed {
		s.confirm(places, "tenant")
	}
	if !s.known(places, "tenant") || s.known(places, "shop") || s.known(placesKey{2}, "tenant") {
		t.Error("not known where it is, or known where it is not")
	}
	s.confirm(places, "shop")
	s.confirm(places, "payments")
	if !s.known(places, "elsewhere") {
		t.Error("three namespaces stand for none")
	}
}
