package ui

import (
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// The page says how soon a change is seen: as was measured, rounded up; and where no audit has
// ended for long since, that it takes longer by now.
func TestTimeToDetection(t *testing.T) {
	for name, test := range map[string]struct {
		detection *report.Detection
		age       time.Duration
		want      string
	}{
		"seconds":       {&report.Detection{Features: 37, SharedSeconds: 33, OldestAnswerSeconds: 3301}, 0, "A change that several workloads share is seen within 33 s (37 features); every workload was asked about within 56 min."},
		"long":          {&report.Detection{Features: 1, SharedSeconds: 299, OldestAnswerSeconds: 86390}, 0, "A change that several workloads share is seen within 5 min (1 feature); every workload was asked about within 24 h."},
		"no audit ends": {&report.Detection{Features: 1180, SharedSeconds: 33, OldestAnswerSeconds: 86400}, 71*time.Hour + 30*time.Minute, "A change that several workloads share is seen within 3 days (1,180 features); every workload was asked about within 4 days."},
		"none shared":   {&report.Detection{OldestAnswerSeconds: 7150}, 0, "Every workload was asked about within 120 min."},
		"one audit":     {nil, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := typical()
			r.GeneratedAt, r.Detection = time.Now().Add(-test.age), test.detection
			b := open(t, file(t, report.Page{Report: r.Masked(mask.Off()), Title: "production", History: history(80, 9)}), screen{width: 1280})
			if got := eval[string](b, `document.getElementById('detection').innerText`); got != test.want {
				t.Errorf("it says %q, want %q", got, test.want)
			}
			for _, on := range []screen{{width: 1280}, {width: 1280, dark: true}, {width: 390}, {width: 390, dark: true}} {
				b.show(on)
				b.shoot("detection-" + name + map[bool]string{false: "-light", true: "-dark"}[on.dark] + map[int64]string{1280: "", 390: "-390"}[on.width])
				if wide := eval[int](b, `document.documentElement.scrollWidth`); int64(wide) > on.width {
					t.Errorf("the page is %d px wide and scrolls sideways", wide)
				}
			}
		})
	}
}
