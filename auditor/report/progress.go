package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// namedPlaces is how many places of a change are named.
const namedPlaces = 4

// WriteProgress writes for people how far changes are in their waves.
func WriteProgress(w io.Writer, changes []Progress, now time.Time) error {
	var b strings.Builder
	for i, p := range changes {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s (since %s, for %s)\n", Printable(placesOf(p)), p.Since.UTC().Format("2006-01-02 15:04 UTC"), duration.HumanDuration(now.Sub(p.Since)))
		longest := 0
		for _, each := range p.Waves {
			longest = max(longest, len(each.Name))
		}
		for _, each := range p.Waves {
			fmt.Fprintf(&b, "  %-*s  %s\n", longest, Printable(each.Name), each.text(now))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func placesOf(p Progress) string {
	if n := len(p.Places) + p.MorePlaces - namedPlaces; n > 0 && len(p.Places) >= namedPlaces {
		return fmt.Sprintf("%s and %d more", strings.Join(p.Places[:namedPlaces], ", "), n)
	}
	return strings.Join(p.Places, ", ")
}

// text says how far the wave is: rolling out, 12 of 40 workloads.
func (p WaveProgress) text(now time.Time) string {
	of := fmt.Sprintf("%d of %d", p.Workloads-p.Drifted, p.Workloads)
	if p.Workloads == 0 {
		of = "no workload differs so"
	}
	switch p.Phase {
	case WaveWaiting:
		return fmt.Sprintf("waiting      %s", of)
	case WaveRollingOut:
		if p.Unjudged > 0 {
			of += fmt.Sprintf(", %d not judged", p.Unjudged)
		}
		if len(p.Namespaces) > 0 {
			of += ", left in " + Printable(strings.Join(p.Namespaces, ", "))
		}
		return fmt.Sprintf("rolling out  %s", of)
	case WaveSoaking:
		return fmt.Sprintf("soaking      %s, until %s (in %s)", of, p.Until.UTC().Format("2006-01-02 15:04 UTC"), duration.HumanDuration(p.Until.Sub(now)))
	}
	return fmt.Sprintf("over         %s", of)
}
