package cli

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func TestParseTime(t *testing.T) {
	utc := func(day, hour, minute, second int) time.Time {
		return time.Date(2022, 5, day, hour, minute, second, 0, time.UTC)
	}
	for text, want := range map[string]time.Time{
		"2022-05-01":                utc(1, 0, 0, 0),
		"2022-05-01 13:00":          utc(1, 13, 0, 0),
		"2022-05-01 13:00:07":       utc(1, 13, 0, 7),
		"2022-05-01T13:00:07Z":      utc(1, 13, 0, 7),
		"2022-05-01T13:00:07+02:00": utc(1, 11, 0, 7),
	} {
		if got, err := parseTime(text); err != nil || !got.Equal(want) {
			t.Errorf("parseTime(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "2022-13-01", "2022-05-01 25:00", "01.05.2022", "2022-05-01T13:00", "1651410000"} {
		if got, err := parseTime(text); err == nil {
			t.Errorf("parseTime(%q) = %v, want an error", text, got)
		}
	}
}

func TestParseWorkload(t *testing.T) {
	for argument, kind := range map[string]string{
		"deploy/web":              "Deployment",
		"Deployment/web":          "Deployment",
		"deployments/web":         "Deployment",
		"deployments.apps/web":    "Deployment",
		"deployment.v1.apps/web":  "Deployment",
		"sts/web":                 "StatefulSet",
		"statefulset.apps/web":    "StatefulSet",
		"ds/web":                  "DaemonSet",
		"DaemonSet.apps/web":      "DaemonSet",
		"rs/web":                  "ReplicaSet",
		"po/web":                  "Pod",
		"pods.v1/web":             "Pod",
		"job.batch/web":           "Job",
		"cj/web":                  "CronJob",
		"cronjobs.v1.batch/web":   "CronJob",
		"replicasets.v1.apps/web": "ReplicaSet",
	} {
		want := inventory.WorkloadRef{Kind: kind, Name: "web"}
		if got, err := parseWorkload(argument); err != nil || got != want {
			t.Errorf("parseWorkload(%q) = %v, %v, want %v", argument, got, err, want)
		}
	}
	for _, argument := range []string{"", "web", "/", "deploy/", "/web", "deploy/Web", "deploy/a/b", "svc/web", "deployments.batch/web", "deployments./web/x", "pods.v2/web", "deploy/-web"} {
		if got, err := parseWorkload(argument); err == nil {
			t.Errorf("parseWorkload(%q) = %v, want an error", argument, got)
		}
	}
}

func TestSwitchTakesTheScriptsForms(t *testing.T) {
	for text, want := range map[string]bool{"true": true, "True": true, "TRUE": true, "1": true, "false": false, "False": false, "0": false} {
		got := switchValue(!want)
		if err := got.Set(text); err != nil || bool(got) != want {
			t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		}
	}
	var v switchValue
	if err := v.Set("yes"); err == nil {
		t.Error("yes is no form that the script documents, and must be an error")
	}
}

func TestStatesValue(t *testing.T) {
	var got []verdict.State
	value := &statesValue{value: &got}
	for _, text := range []string{"drifted,InSync", "BLOCKED, drifted"} {
		if err := value.Set(text); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]verdict.State{verdict.Drifted, verdict.InSync, verdict.Blocked}, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	for _, text := range []string{"", "Fine", "Drifted,"} {
		if err := value.Set(text); err == nil {
			t.Errorf("%q is no list of states, and must be an error", text)
		}
	}
}
