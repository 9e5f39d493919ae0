package service

import (
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
)

// detectionOf is what a round tells of the time to detection, in whole seconds, rounded up
// and no shorter than the interval to the next round: a promise is not made better than it
// is. It is nil where there is nobody to ask about.
func detectionOf(round watch.Round, interval time.Duration, now time.Time) *report.Detection {
	if len(round.Report.Items) == 0 {
		return nil
	}
	seconds := func(d time.Duration) int { return int((max(d, 0) + time.Second - 1) / time.Second) }
	return &report.Detection{
		Features:            round.Features,
		SharedSeconds:       seconds(max(round.Detection, now.Sub(round.OldestFeature), interval)),
		OldestAnswerSeconds: seconds(now.Sub(round.OldestAnswer)),
	}
}
