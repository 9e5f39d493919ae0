package rollout

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A template that stays as it is rolls nothing out.
func TestEveryRestartChangesTheTemplate(t *testing.T) {
	const key = "sidecarRollout.rollout.timestamp"
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for present, want := range map[string]string{
		"":                     "2026-01-02T15:04:05Z",
		"2026-01-02T15:04:04Z": "2026-01-02T15:04:05Z",
		"2026-01-02T15:04:05Z": "2026-01-02T15:04:06Z",
		"2022-05-01 13:00:00":  "2026-01-02T15:04:05Z", // the original script's
	} {
		workload := &unstructured.Unstructured{Object: map[string]any{}}
		if present != "" {
			if err := unstructured.SetNestedField(workload.Object, present, "spec", "template", "metadata", "annotations", key); err != nil {
				t.Fatal(err)
			}
		}
		if got := newTimestamp(workload, now, "spec", "template", "metadata", "annotations", key); got != want {
			t.Errorf("with %q there: %s, want %s", present, got, want)
		}
	}
}
