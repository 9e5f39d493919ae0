package report

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWriteProgress(t *testing.T) {
	since := time.Date(2026, 1, 13, 12, 0, 0, 0, time.UTC)
	until := since.Add(26 * time.Hour)
	changes := []Progress{
		{Places: []string{"container/istio-proxy:image", "container/istio-proxy:resources.requests.cpu"}, Since: since, Waves: []WaveProgress{
			{Name: "dev", Workloads: 3, Phase: WaveOver}, {Name: "staging", Workloads: 40, Phase: WaveSoaking, Until: &until}, {Name: "production", Workloads: 56, Drifted: 56, Phase: WaveWaiting},
		}},
		{Places: []string{"a", "b", "c", "d", "e\x1b[2J", "f"}, Since: since.Add(time.Hour), Waves: []WaveProgress{
			{Name: "dev", Phase: WaveOver}, {Name: "staging", Workloads: 40, Drifted: 28, Phase: WaveRollingOut},
		}},
	}
	var b strings.Builder
	if err := WriteProgress(&b, changes, since.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	want := `container/istio-proxy:image, container/istio-proxy:resources.requests.cpu (since 2026-01-13 12:00 UTC, for 120m)
  dev         over         3 of 3
  staging     soaking      40 of 40, until 2026-01-14 14:00 UTC (in 24h)
  production  waiting      0 of 56

a, b, c, d and 2 more (since 2026-01-13 13:00 UTC, for 60m)
  dev      over         no workload differs so
  staging  rolling out  12 of 40
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
