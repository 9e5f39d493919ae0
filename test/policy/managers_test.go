package policy

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const later = "2026-01-02T15:04:06Z"

// entry of managedFields.
func entry(manager, operation, time string, fields object) any {
	return object{
		"manager": manager, "operation": operation, "apiVersion": "apps/v1", "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields,
	}
}

// inTemplate are the fields of annotations in a template, and of their map.
func inTemplate(keys ...string) object {
	annotations := object{}
	for _, k := range keys {
		annotations["f:"+k] = object{}
		annotations["."] = object{}
	}
	return object{"f:spec": object{"f:template": object{"f:metadata": object{"f:annotations": annotations}}}}
}

// everything that a creator of a Deployment manages.
func everything(annotations ...string) object {
	fields := inTemplate(annotations...)
	fields["f:metadata"] = object{"f:annotations": object{".": object{}, "f:note": object{}}, "f:labels": object{"f:team": object{}}}
	fields["f:spec"].(object)["f:replicas"] = object{}
	return fields
}

func TestManagers(t *testing.T) {
	p := load(t, rolloutPolicy)
	const (
		at    = "2026-01-01T00:00:00Z"
		stamp = "sidecarRollout.rollout.timestamp"
		again = "kubectl.kubernetes.io/restartedAt"
	)
	creator := entry("kubectl", "Update", at, everything(again))
	applier := entry("argocd", "Apply", at, everything(again))
	status := object{
		"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "apiVersion": "apps/v1", "time": at,
		"fieldsType": "FieldsV1", "fieldsV1": object{"f:status": object{"f:replicas": object{}}},
	}
	ours := entry("sidecar-drift", "Update", at, inTemplate(stamp))
	const gives, own = "neither give nor take", "by updates in its own name"
	for _, tt := range []struct {
		name     string
		old, now []any
		why      string
	}{
		{"the first restart", []any{creator, status}, []any{creator, status, entry("sidecar-drift", "Update", later, inTemplate(stamp))}, ""},
		{"a later restart", []any{creator, ours}, []any{creator, entry("sidecar-drift", "Update", later, inTemplate(stamp))}, ""},
		{"a note after it", []any{ours}, []any{entry("sidecar-drift", "Update", at, object{
			"f:spec": inTemplate(stamp)["f:spec"], "f:metadata": object{"f:annotations": object{".": object{}, "f:sidecar-drift.io/last-rollout": object{}}},
		})}, ""},
		{"what others have written alike is taken over", []any{creator, applier}, []any{
			entry("kubectl", "Update", at, everything()), entry("argocd", "Apply", at, everything()), entry("sidecar-drift", "Update", later, inTemplate(stamp, again)),
		}, ""},
		{"who had nothing else is gone", []any{entry("kubectl-rollout", "Update", at, inTemplate(again))}, []any{entry("sidecar-drift", "Update", later, inTemplate(again))}, ""},
		{"cleared", []any{creator, applier, status}, nil, gives},
		{"one is removed", []any{creator, applier}, []any{creator}, gives},
		{"one loses another's annotation", []any{creator}, []any{entry("kubectl", "Update", at, object{"f:metadata": everything()["f:metadata"]})}, gives},
		{"one loses a field", []any{creator}, []any{entry("kubectl", "Update", at, object{"f:spec": everything(again)["f:spec"]})}, gives},
		{"one gains a field", []any{ours}, []any{entry("sidecar-drift", "Update", later, everything(stamp))}, gives},
		{"a new one of everything", []any{creator}, []any{creator, entry("sidecar-drift", "Update", later, everything())}, gives},
		{"a new one by apply", []any{creator}, []any{creator, entry("sidecar-drift", "Apply", later, inTemplate(stamp))}, own},
		{"a new one by apply, of an equal value", []any{creator}, []any{creator, entry("sidecar-drift", "Apply", later, object{"f:spec": object{"f:replicas": object{}}})}, gives},
		{"another's entry by apply gains our annotation", []any{applier}, []any{entry("argocd", "Apply", at, everything(again, stamp))}, own},
		{"another's entry gains our annotation", []any{creator}, []any{entry("kubectl", "Update", at, everything(again, stamp))}, own},
		{"another's time", []any{creator}, []any{entry("kubectl", "Update", later, everything(again))}, own},
		{"another's operation", []any{applier}, []any{entry("argocd", "Update", at, everything(again))}, gives},
		{"a manager of the status", []any{creator}, []any{creator, object{
			"manager": "sidecar-drift", "operation": "Update", "subresource": "status", "apiVersion": "apps/v1", "time": later, "fieldsType": "FieldsV1", "fieldsV1": inTemplate(stamp),
		}}, own},
		{"two gain", []any{creator}, []any{creator, entry("sidecar-drift", "Update", later, inTemplate(stamp)), entry("second", "Update", later, inTemplate(stamp))}, own},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old, now := deployment(object{}), deployment(object{stamp: "2026-01-02T15:04:05Z"})
			old["metadata"].(object)["managedFields"], now["metadata"].(object)["managedFields"] = tt.old, tt.now
			if tt.now == nil {
				delete(now["metadata"].(object), "managedFields")
			}
			check(t, p.judge(t, update(old, now)), tt.why)
		})
	}
	t.Run("in nobody's name", func(t *testing.T) {
		old, now := deployment(object{}), deployment(object{})
		old["metadata"].(object)["managedFields"] = []any{creator}
		now["metadata"].(object)["managedFields"] = []any{entry("kubectl", "Update", later, everything(again, stamp))}
		asked := update(old, now)
		asked.options = &metav1.UpdateOptions{} // the API server takes the user agent's
		check(t, p.judge(t, asked), "")
	})
}
