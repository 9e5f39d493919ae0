package doctor

import (
	"context"
	"encoding/json"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiversion "k8s.io/apimachinery/pkg/util/version"

	"github.com/sidecar-drift/sidecar-drift/auditor/fence"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// aReplicaSet stands for the owners whose controllers create Pods.
var aReplicaSet = inventory.Owner{APIVersion: "apps/v1", Kind: kind.ReplicaSet}

// asThemselves says as whom dry runs are made of those who audit here, and returns
// the ones whose are not made as the Pods' controllers.
func (e *examiner) asThemselves(ctx context.Context) []string {
	own, err := injection.NewIdentities(e.objects.CoreV1().RESTClient(), e.config, injection.Auto, nil)
	if err != nil {
		e.add(topic{checkDryRunAs, "you"}.unread(err))
		return nil
	}
	user, err := own.For(ctx, aReplicaSet)
	if e.note(err) != nil {
		e.add(topic{checkDryRunAs, "you"}.unread(err))
		return nil
	}
	who := map[string]bool{"you": user != injection.Identity{}}
	names := []string{"you"}
	if e.installed.auditor.err == nil {
		as, err := e.accountAsks(ctx)
		if e.note(err) != nil {
			e.add(topic{checkDryRunAs, auditor}.unread(err))
		} else {
			names, who[auditor] = append(names, auditor), as
		}
		if as {
			e.add(e.controllerFence(ctx))
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
	e.newborns(ctx)
	return themselves
}

// newborns says what the auditor has learned from Pods that controllers created.
func (e *examiner) newborns(ctx context.Context) {
	if e.installed.auditor.err == nil {
		kept, err := e.objects.CoreV1().ConfigMaps(e.home()).Get(ctx, auditor, metav1.GetOptions{})
		e.add(judgeNewborns(as(e, kept, err))...)
	}
}

// judgeNewborns judges what the auditor keeps in its ConfigMap; there is none before it
// has audited.
func judgeNewborns(kept read[corev1.ConfigMap]) []Finding {
	t := topic{checkDryRunAs, auditor}
	switch {
	case kept.missing():
		return nil
	case kept.err != nil:
		return []Finding{t.unread(kept.err)}
	}
	var biased report.BiasedSummary
	if json.Unmarshal(kept.value.BinaryData["biased.json"], &biased) != nil || biased.Workloads == 0 {
		return nil
	}
	return []Finding{t.warning("docs/states.md#newborn-pods says what that means, docs/install.md#asking-as-the-controller how to ask as the controllers",
		"%d workloads are not judged, or not whole, as Pods that controllers created differ from dry runs that have not changed, in %s",
		biased.Workloads, strings.Join(biased.Namespaces, ", "))}
}

// controllerFence judges the policy that keeps who may be the controllers to dry runs.
func (e *examiner) controllerFence(ctx context.Context) Finding {
	t := topic{checkPolicy, fence.ControllerIdentity}
	const remedy = "apply manifests/components/controller-identity/policy.yaml; until then: kubectl delete clusterrolebinding sidecar-drift-controller-identity"
	_, err := e.objects.AdmissionregistrationV1().ValidatingAdmissionPolicies().Get(ctx, fence.ControllerIdentity, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return t.wrong(remedy, "does not exist: nothing keeps the auditor from creating Pods as the controllers that it may be")
	case e.note(err) != nil:
		return t.unread(err)
	}
	if e.installed.bindings.err != nil || e.installed.bindings.value == nil {
		return t.notChecked("", "its binding could not be read")
	}
	for _, b := range e.installed.bindings.value.Items {
		if denies(b, fence.ControllerIdentity) {
			return t.ok("is there, and bound with Deny; the auditor proves it before it asks as a controller")
		}
	}
	return t.wrong(remedy, "no binding makes it deny everywhere: nothing keeps the auditor from creating Pods as the controllers that it may be")
}

// narrowSince is the first release that knows the narrow rights to impersonate.
var narrowSince = apiversion.MajorMinor(1, 36)

// accountAsks reports whether the account that audits asks as the Pods' controllers, as
// auditor/injection decides it.
func (e *examiner) accountAsks(ctx context.Context) (bool, error) {
	account := auditor
	if d := e.installed.deployments[auditor]; d.value != nil && d.err == nil && d.value.Spec.Template.Spec.ServiceAccountName != "" {
		account = d.value.Spec.Template.Spec.ServiceAccountName
	}
	server, err := apiversion.ParseGeneric(strings.TrimSuffix(e.options.ServerVersion, "+"))
	older := err == nil && server.LessThan(narrowSince)
	may := func(right authorizationv1.ResourceAttributes) (bool, error) {
		if older && right.Verb != "impersonate" {
			return false, nil
		}
		return e.accountMay(ctx, account, right)
	}
	return injection.MayImpersonate("replicaset-controller", may)
}
