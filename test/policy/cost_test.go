package policy

import (
	"fmt"
	"strings"
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// largest is what an API server stores of one object, in bytes (etcd's limit for a
// request is 1.5 MiB).
const largest = 1_400_000

// annotations of n keys, and of some size together.
func annotations(n, size int) object {
	all := object{}
	value := strings.Repeat("v", size/n)
	for i := range n {
		all[fmt.Sprintf("%x", i)] = value
	}
	return all
}

// inSpec is a Deployment with something more in its template's spec.
func inSpec(key string, value any) object {
	d := deployment(object{})
	d["spec"].(object)["template"].(object)["spec"].(object)[key] = value
	return d
}

func list(n int, item func(int) any) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = item(i)
	}
	return all
}

// managed is a Deployment with these managedFields.
func managed(entries []any) object {
	d := deployment(object{})
	d["metadata"].(object)["managedFields"] = entries
	return d
}

// fieldsOf names n annotations of a template.
func fieldsOf(n int) object {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%x", i)
	}
	return inTemplate(keys...)
}

// Whatever an API server can store is judged within its limits for an expression and
// for a policy, and refused with a message where it is too large to be looked at.
func TestCostOfTheLargest(t *testing.T) {
	p := load(t, rolloutPolicy)
	const tooLarge = "too large to be checked"
	container := func(i int) any { return object{"name": fmt.Sprintf("V%d", i), "value": strings.Repeat("v", 100)} }
	restarted := func(d object) object {
		d = runtime.DeepCopyJSON(d)
		metadata := d["spec"].(object)["template"].(object)["metadata"].(object)
		metadata["annotations"] = with(metadata["annotations"].(object), object{"kubectl.kubernetes.io/restartedAt": "2026-01-02T15:04:05Z"})
		return d
	}
	noted := func(d object) object {
		d = runtime.DeepCopyJSON(d)
		metadata := d["metadata"].(object)
		metadata["annotations"] = with(metadata["annotations"].(object), object{"sidecar-drift.io/last-rollout": strings.Repeat("n", 4096)})
		return d
	}
	owned := func(n int) object {
		d := deployment(object{})
		d["metadata"].(object)["annotations"] = annotations(n, 200_000)
		return d
	}
	crowd := func(manager string) []any {
		return list(50, func(i int) any { return entry(fmt.Sprintf("%s%d", manager, i), "Apply", later, fieldsOf(500)) })
	}
	changed := func(n, fields int) (object, object) {
		return managed(list(n, func(i int) any {
				return entry(fmt.Sprintf("m%d", i), "Apply", "2026-01-01T00:00:00Z", fieldsOf(fields))
			})),
			managed(list(n, func(i int) any { return entry(fmt.Sprintf("m%d", i), "Apply", later, fieldsOf(fields-1)) }))
	}
	tenOf1000, tenOf1000Later := changed(10, 1000)
	fiftyOf500, fiftyOf500Later := changed(50, 500)
	oneHuge, oneHugeLater := changed(1, 80_000)
	for _, tt := range []struct {
		name     string
		old, now object
		why      string
	}{
		{"88,000 annotations in the template", deployment(annotations(88_000, 0)), restarted(deployment(annotations(88_000, 0))), tooLarge},
		{"1,000 annotations in the template", deployment(annotations(999, 250_000)), restarted(deployment(annotations(999, 250_000))), ""},
		{"a note beside 88,000 annotations in the template", deployment(annotations(88_000, 0)), noted(deployment(annotations(88_000, 0))), ""},
		{"88,000 annotations", owned(60_000), noted(owned(60_000)), tooLarge},
		{"1,000 annotations", owned(999), noted(owned(999)), ""},
		{"10,000 variables", inSpec("containers", []any{object{"name": "app", "env": list(10_000, container)}}),
			restarted(inSpec("containers", []any{object{"name": "app", "env": list(10_000, container)}})), ""},
		{"one long name", inSpec("schedulerName", strings.Repeat("n", largest)), restarted(inSpec("schedulerName", strings.Repeat("n", largest))), ""},
		{"another long name", inSpec("schedulerName", strings.Repeat("n", largest)), restarted(inSpec("schedulerName", strings.Repeat("n", largest-1)+"m")), "nothing of a Pod template"},
		{"50 managers of 500 fields", managed(crowd("a")), restarted(managed(crowd("a"))), ""},
		{"50 other managers", managed(crowd("a")), restarted(managed(crowd("b"))), "neither give nor take"},
		{"10 managers of 1,000 fields lose one each", tenOf1000, tenOf1000Later, "neither give nor take"},
		{"50 managers of 500 fields lose one each", fiftyOf500, fiftyOf500Later, "neither give nor take"},
		{"a manager of 80,000 fields loses one", oneHuge, oneHugeLater, "neither give nor take"},
		{"51 managers", managed(list(51, func(i int) any { return entry(fmt.Sprint(i), "Apply", later, object{}) })), managed(nil), tooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := p.judge(t, update(tt.old, tt.now))
			check(t, got, tt.why)
			t.Logf("cost %d of %d", got.cost, celconfig.RuntimeCELCostBudget)
			if got.cost > celconfig.RuntimeCELCostBudget/4 {
				t.Errorf("costs %d of %d, want at most a quarter", got.cost, celconfig.RuntimeCELCostBudget)
			}
		})
	}
}

// The fence is about our accounts in any namespace and one group, and nobody else.
func TestIdentities(t *testing.T) {
	for _, file := range []string{"dry-run-only-policy.yaml", rolloutPolicy} {
		p := load(t, file)
		for _, tt := range []struct {
			user   string
			groups []string
			want   bool
		}{
			{"system:serviceaccount:sidecar-drift:sidecar-drift-auditor", []string{"system:serviceaccounts"}, true},
			{"system:serviceaccount:platform-tools:sidecar-drift-auditor", nil, true},
			{"system:serviceaccount:platform-tools:sidecar-drift-rollout", nil, true},
			{"anna", []string{"system:authenticated", "sidecar-drift:auditors"}, true},
			{"anna", []string{"system:authenticated"}, false},
			{"anna", nil, false},
			{"sidecar-drift-auditor", nil, false},
			{"system:serviceaccount:sidecar-drift:sidecar-drift-certs", nil, false},
			{"system:serviceaccount:sidecar-drift-auditor:default", nil, false},
		} {
			asked := request{operation: admission.Create, object: object{}}
			asked.user.Name, asked.user.Groups = tt.user, tt.groups
			if got := p.matches(t, asked); got != tt.want {
				t.Errorf("%s: of %s in %v: %v, want %v", file, tt.user, tt.groups, got, tt.want)
			}
		}
	}
}

func TestEvictions(t *testing.T) {
	p := load(t, rolloutPolicy)
	for _, tt := range []struct {
		name    string
		options any
		why     string
	}{
		{"plain", nil, ""},
		{"of one Pod alone, in a dry run", object{"preconditions": object{"uid": "1"}, "dryRun": []any{"All"}, "propagationPolicy": "Background"}, ""},
		{"at once", object{"gracePeriodSeconds": int64(0)}, "its own grace period"},
		{"later", object{"gracePeriodSeconds": int64(86400), "preconditions": object{"uid": "1"}}, "its own grace period"},
		{"unread", object{"ignoreStoreReadErrorWithClusterBreakingPotential": true}, "its own grace period"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eviction := object{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": object{"name": "web-1", "namespace": "shop"}}
			if tt.options != nil {
				eviction["deleteOptions"] = tt.options
			}
			check(t, p.judge(t, request{
				resource: schema.GroupVersionResource{Version: "v1", Resource: "pods"}, subresource: "eviction",
				kind: policyv1.SchemeGroupVersion.WithKind("Eviction"), operation: admission.Create, object: eviction,
			}), tt.why)
		})
	}
}
