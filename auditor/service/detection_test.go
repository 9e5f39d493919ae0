package service

import (
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/watch"
)

func TestDetectionOfARound(t *testing.T) {
	now := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	some := reportOf(workload("web", verdict.InSync))
	for name, test := range map[string]struct {
		round watch.Round
		want  *report.Detection
	}{
		"as it was kept in the round": {
			watch.Round{Report: some, Features: 7, Detection: 30*time.Second + time.Millisecond, OldestFeature: now.Add(-time.Second), OldestAnswer: now.Add(-time.Hour)},
			&report.Detection{Features: 7, SharedSeconds: 31, OldestAnswerSeconds: 3600},
		},
		"a feature has waited for longer since": {
			watch.Round{Report: some, Features: 7, Detection: 30 * time.Second, OldestFeature: now.Add(-5 * time.Minute), OldestAnswer: now.Add(-5 * time.Minute)},
			&report.Detection{Features: 7, SharedSeconds: 300, OldestAnswerSeconds: 300},
		},
		"all were asked just now": {
			watch.Round{Report: some, Features: 7, Detection: 2 * time.Second, OldestFeature: now, OldestAnswer: now.Add(-2 * time.Second)},
			&report.Detection{Features: 7, SharedSeconds: 30, OldestAnswerSeconds: 2},
		},
		"nobody is asked": {watch.Round{Report: reportOf(), OldestFeature: now, OldestAnswer: now}, nil},
	} {
		got := detectionOf(test.round, 30*time.Second, now)
		if (got == nil) != (test.want == nil) || got != nil && *got != *test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
