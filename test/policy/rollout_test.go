package policy

import (
	"maps"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
)

type object = map[string]any

const rolloutPolicy = "rollout-only-policy.yaml"

// update is an update of a Deployment.
func update(old, now object) request {
	return request{
		resource:  schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"},
		kind:      schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"},
		operation: admission.Update,
		options:   &metav1.UpdateOptions{FieldManager: "sidecar-drift"},
		object:    now, old: old,
	}
}

// deployment has the given annotations in its template.
func deployment(annotations object) object {
	return object{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": object{"name": "web", "namespace": "shop", "annotations": object{"note": "mine"}},
		"spec": object{
			"replicas": int64(1),
			"template": object{"metadata": object{"labels": object{"app": "web"}, "annotations": annotations}, "spec": object{"containers": []any{object{"name": "app"}}}},
		},
	}
}

func with(annotations object, more object) object {
	annotations = maps.Clone(annotations)
	maps.Copy(annotations, more)
	return annotations
}

func TestRestart(t *testing.T) {
	p := load(t, rolloutPolicy)
	for _, tt := range []struct {
		name       string
		old, added object
		why        string
	}{
		{"nothing", nil, nil, ""},
		{"a restart", nil, object{"sidecarRollout.rollout.timestamp": "2026-01-02T15:04:05Z", "sidecarRollout.rollout.reason": "Update sidecars istio-proxy"}, ""},
		{"as kubectl", nil, object{"kubectl.kubernetes.io/restartedAt": "2026-01-02T15:04:05+01:00"}, ""},
		{"fractions", nil, object{"kubectl.kubernetes.io/restartedAt": "2026-01-02T15:04:05.123456789Z"}, ""},
		{"a reason in any script", nil, object{"sidecarRollout.rollout.reason": strings.Repeat("é", 1022) + "日本"}, ""},
		{"an invalid value that was there", object{"sidecarRollout.rollout.timestamp": "before"}, object{"sidecarRollout.rollout.reason": "r"}, ""},
		{"another prefix", nil, object{"other.rollout.timestamp": "2026-01-02T15:04:05Z"}, "no annotation of a Pod template but"},
		{"a suffix of another's key", nil, object{"vault.hashicorp.com/agent-inject-command-x.rollout.reason": "id"}, "no annotation of a Pod template but"},
		{"our prefix after a slash", nil, object{"a/sidecarRollout.rollout.reason": "id"}, "no annotation of a Pod template but"},
		{"no time", nil, object{"sidecarRollout.rollout.timestamp": "now"}, "a time only"},
		{"a time without a zone", nil, object{"sidecarRollout.rollout.timestamp": "2026-01-02T15:04:05"}, "a time only"},
		{"a month too many", nil, object{"kubectl.kubernetes.io/restartedAt": "2026-13-02T15:04:05Z"}, "a time only"},
		{"a time and more", nil, object{"kubectl.kubernetes.io/restartedAt": "2026-01-02T15:04:05Z\n"}, "a time only"},
		{"an empty time", nil, object{"kubectl.kubernetes.io/restartedAt": ""}, "a time only"},
		{"a long reason", nil, object{"sidecarRollout.rollout.reason": strings.Repeat("r", 1025)}, "1,024 printable"},
		{"a reason of two lines", nil, object{"sidecarRollout.rollout.reason": "a\nb"}, "1,024 printable"},
		{"a reason that steers", nil, object{"sidecarRollout.rollout.reason": "a\u202eb"}, "1,024 printable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old := with(object{"note": "mine"}, tt.old)
			got := p.judge(t, update(deployment(old), deployment(with(old, tt.added))))
			check(t, got, tt.why)
		})
	}
}

func check(t *testing.T, got verdict, why string) {
	t.Helper()
	switch {
	case got.broken != nil:
		t.Errorf("cannot be evaluated: %v", got.broken)
	case why == "" && got.message != "":
		t.Errorf("refused: %s", got.message)
	case why != "" && !strings.Contains(got.message, why):
		t.Errorf("message %q, want %q in it", got.message, why)
	}
}
