package doctor

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// aReplicaSet stands for the owners whose controllers create Pods.
var aReplicaSet = inventory.Owner{APIVersion: "apps/v1", Kind: "ReplicaSet"}

// asThemselves says as whom dry runs are made of those who audit here, and returns
// the ones whose are not made as the Pods' controllers.
func (e *examiner) asThemselves(ctx context.Context) []string {
	own, err := injection.NewIdentities(e.objects.CoreV1().RESTClient(), e.config, injection.Auto)
	if err != nil {
		e.add(topic{checkDryRunAs, "you"}.unread(err))
		return nil
	}
	who := map[string]bool{"you": own.For(ctx, aReplicaSet) != ""}
	names := []string{"you"}
	if e.installed.auditor.err == nil {
		as, err := e.accountAsks(ctx)
		if e.note(err) != nil {
			e.add(topic{checkDryRunAs, auditor}.unread(err))
		} else {
			names, who[auditor] = append(names, auditor), as
		}
	}
	var themselves []string
	for _, name := range names {
		t := topic{checkDryRunAs, name}
		if who[name] {
			e.add(t.ok("dry runs are made as the controllers that would create the Pods"))
			continue
		}
		themselves = append(themselves, name)
		e.add(t.ok("dry runs are made as the identity itself, which may not impersonate the Pods' controllers"))
	}
	return themselves
}

// accountAsks reports whether the auditor's account asks as the Pods' controllers, as
// auditor/injection decides it.
func (e *examiner) accountAsks(ctx context.Context) (bool, error) {
	may := func(right authorizationv1.ResourceAttributes) (bool, error) {
		review, err := e.objects.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User: userOf(e.home(), auditor), ResourceAttributes: &right,
				Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + e.home(), "system:authenticated"},
			},
		}, metav1.CreateOptions{})
		return err == nil && review.Status.Allowed, err
	}
	return injection.MayImpersonate("replicaset-controller", may)
}
