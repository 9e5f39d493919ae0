package main

import (
	"testing"
	"time"
)

// TestDetection is the benchmark on small clusters and with few upgrades: what it is
// for, so that no change of the ledger loses it.
func TestDetection(t *testing.T) {
	for _, test := range []struct {
		of    *simulated
		share float64
	}{
		{variedPopulation(169), 0.25},
		{datadogPopulation(300), 0.25},
		{commitPopulation(300), 0.25},
		{uniformPopulation(2_000, 40), 0.06},
	} {
		t.Run(test.of.name, func(t *testing.T) {
			m, err := test.of.measure(t.Context(), newCovering(), 50, 6)
			if err != nil {
				t.Fatal(err)
			}
			if m.rest > test.share {
				t.Errorf("a round asks about %.1f %%", 100*m.rest)
			}
			if seen := worst(m.first); seen == never || seen > 66*time.Second { // two intervals, each a tenth longer at most
				t.Errorf("a change is seen after %s", seen)
			}
			for what, of := range map[string][]time.Duration{"a change": m.last, "one to a single workload": m.lone, "an upgrade": m.upgraded} {
				if known := worst(of); known == never || known > simulatedSweep+simulatedInterval {
					t.Errorf("%s is known after %s", what, known)
				}
			}
			if float64(m.afterwards) > 1.1*float64(m.size) {
				t.Errorf("%d features became %d by upgrades", m.size, m.afterwards)
			}
		})
	}
}
