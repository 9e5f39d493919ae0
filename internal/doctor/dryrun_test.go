package doctor

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sidecar-drift/sidecar-drift/auditor/fence"
)

// answered is an error as the API server answers it.
func answered(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Code: code, Reason: reason, Message: message}}
}

func TestDryRun(t *testing.T) {
	judge := func(err error) Finding { return judgeDryRun("shop", err, 14*time.Millisecond) }
	check(t, []Finding{
		judge(nil),
		judge(answered(http.StatusInternalServerError, metav1.StatusReasonInternalError, `Internal error occurred: failed calling webhook "inject.example.com": connection refused`)),
		judge(answered(http.StatusBadRequest, metav1.StatusReasonBadRequest, `admission webhook "old.example.com" does not support dry run`)),
		judge(answered(http.StatusForbidden, metav1.StatusReasonForbidden, `pods is forbidden: User "anna" cannot create resource "pods" in API group "" in the namespace "shop"`)),
		judge(answered(http.StatusForbidden, metav1.StatusReasonForbidden, `admission webhook "opa.example.com" denied the request: no`)),
		judge(apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "shop")),
	},
		expected{OK, "shop", "after 14 ms", ""},
		expected{Wrong, "shop", "inject.example.com", "troubleshooting"},
		expected{Wrong, "shop", "old.example.com", "troubleshooting"},
		expected{NotChecked, "shop", "you may not ask", "sidecar-drift-audit"},
		expected{NotChecked, "shop", "denied the request", "--namespace"},
		expected{NotChecked, "shop", `namespaces "shop" not found`, "--namespace"},
	)
}

func TestStamp(t *testing.T) {
	judge := func(change func(*stamping)) Finding {
		s := stamping{namespace: "shop", webhook: true, selected: true, timeout: 2 * time.Second, took: 14 * time.Millisecond}
		change(&s)
		return judgeStamp(s)
	}
	check(t, []Finding{
		judge(func(s *stamping) { s.stamp = "v1:none" }),
		judge(func(*stamping) {}),
		judge(func(s *stamping) { s.took = 2013 * time.Millisecond }),
		judge(func(s *stamping) { s.selected = false }),
		judge(func(s *stamping) { s.webhook = false }),
		judge(func(s *stamping) { s.refused = true }),
	},
		expected{OK, "shop", "(v1:none), all of admission took 14 ms", ""},
		expected{Wrong, "shop", "without a stamp after 14 ms: the stamper could not be called", "pods-are-not-stamped"},
		expected{Wrong, "shop", "did not answer within 2s", "pods-are-not-stamped"},
		expected{NotChecked, "shop", "not asked about Pods in this namespace", "--namespace"},
		expected{NotChecked, "shop", "not registered", ""},
		expected{NotChecked, "shop", "no Pod", ""},
	)
}

func TestProof(t *testing.T) {
	topic := topic{checkPolicyProof, dryRunPolicy}
	judge := func(message string) Finding {
		return judgeProof(topic, fmt.Errorf("not known: %w", answered(http.StatusForbidden, metav1.StatusReasonForbidden, message)))
	}
	check(t, []Finding{
		judgeProof(topic, nil),
		judgeProof(topic, &fence.OpenError{Policy: dryRunPolicy}),
		judge(`serviceaccounts "sidecar-drift-auditor" is forbidden: User "anna" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "sidecar-drift"`),
		judge(`pods "x" is forbidden: ValidatingAdmissionPolicy 'other' with binding 'other' denied request: no`),
		judgeProof(topic, errors.New("a failure")),
	},
		expected{state: OK, message: "was refused"},
		expected{state: Wrong, message: "was allowed", remedy: "kubectl delete clusterrolebinding"},
		expected{state: NotChecked, message: "you may not act as that identity"},
		expected{state: NotChecked, message: "not by the policy"},
		expected{state: NotChecked, message: "not by the policy: a failure"},
	)
}
