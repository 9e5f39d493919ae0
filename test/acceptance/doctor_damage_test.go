package acceptance

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// kubectl runs it as the administrator.
func (p patient) kubectl(t *testing.T, args ...string) {
	t.Helper()
	if _, err := p.Kubectl(t.Context(), "", args...); err != nil {
		t.Fatal(err)
	}
}

// damage is done all at once: each examination costs.
func (p patient) damage(t *testing.T) {
	p.kubectl(t, "create", "clusterrolebinding", "too-much", "--clusterrole=cluster-admin", "--serviceaccount=sidecar-drift:sidecar-drift-auditor")
	p.kubectl(t, "create", "clusterrolebinding", "of-the-stamper", "--clusterrole=view", "--serviceaccount=sidecar-drift:sidecar-drift-webhook")
	p.kubectl(t, "delete", "clusterrolebinding", "sidecar-drift-rollout")
	p.kubectl(t, "patch", "validatingadmissionpolicybinding", "sidecar-drift-dry-run-only", "--type=merge", "-p", `{"spec":{"validationActions":["Audit"]}}`)
	// API servers check expressions against kinds that a rule names in full.
	p.kubectl(t, "patch", "validatingadmissionpolicy", "sidecar-drift-rollout-only", "--type=json", "-p", `[
		{"op":"add","path":"/spec/matchConstraints/resourceRules/-","value":{"apiGroups":["apps"],"apiVersions":["v1"],"resources":["deployments"],"operations":["UPDATE"]}},
		{"op":"add","path":"/spec/validations/-","value":{"expression":"object.spec.unheardOf == 1"}}]`)
	p.kubectl(t, "patch", "mutatingwebhookconfiguration", "zz-sidecar-drift", "--type=json", "-p", `[
		{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Fail"},
		{"op":"replace","path":"/webhooks/0/timeoutSeconds","value":9}]`)
	p.kubectl(t, "label", "namespace", "sidecar-drift", "pod-security.kubernetes.io/enforce=baseline", "--overwrite")
	p.kubectl(t, "-n", "sidecar-drift", "patch", "deployment", "sidecar-drift-auditor", "--type=merge", "-p", `{"spec":{"template":{"spec":{"hostNetwork":true}}}}`)
	p.kubectl(t, "-n", "sidecar-drift", "scale", "deployment", "sidecar-drift-webhook", "--replicas=1")
	p.kubectl(t, "-n", "sidecar-drift", "scale", "deployment", "sidecar-drift-certs", "--replicas=0")
	p.kubectl(t, "-n", "sidecar-drift", "delete", "poddisruptionbudget", "sidecar-drift-auditor")
	p.kubectl(t, "-n", "sidecar-drift", "create", "poddisruptionbudget", "second", "--max-unavailable=1", "--selector=app.kubernetes.io/component=webhook")
	if err := p.Apply(t.Context(), laterWebhooks); err != nil {
		t.Fatal(err)
	}
}

// laterWebhooks sort after ours; nothing listens there.
const laterWebhooks = `
apiVersion: v1
kind: Namespace
metadata: {name: closed}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: zzz-later}
webhooks:
- name: asker.example.com
  admissionReviewVersions: [v1]
  clientConfig: {url: "https://127.0.0.1:1/"}
  sideEffects: None
  failurePolicy: Ignore
  reinvocationPolicy: IfNeeded
  rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
  matchConditions: [{name: people, expression: "!request.userInfo.username.startsWith('system:')"}]
- name: closed.example.com
  admissionReviewVersions: [v1]
  clientConfig: {url: "https://127.0.0.1:1/"}
  sideEffects: None
  failurePolicy: Fail
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: closed}}
  rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
`

func (p patient) isDamaged(t *testing.T) {
	p.damage(t)
	p.eventually(t, []string{"--probe-policy"},
		[]string{"injectors OK", "zzz-later (2 webhooks)"},
		[]string{"answers Wrong zzz-later/asker.example.com", "nobody listens at 127.0.0.1:1", "fails open"},
		[]string{"answers Wrong zzz-later/closed.example.com", "no Pod that it is asked about can be created"},
		// With too much, the auditor may be the controllers, too.
		[]string{"user-info OK", "audits ask as the Pods' controllers"},
		[]string{"order Warning zzz-later/asker.example.com", "second round"},
		[]string{"webhook Wrong", "fails closed"},
		[]string{"webhook Warning", "for 9 s"},
		[]string{"policy Wrong sidecar-drift-dry-run-only", "no binding makes it deny"},
		[]string{"policy Wrong sidecar-drift-rollout-only", "do not type-check", "unheardOf"},
		[]string{"policy-proof Wrong sidecar-drift-dry-run-only, as sidecar-drift-auditor", "allowed"},
		[]string{"policy-proof NotChecked sidecar-drift-rollout-only, as sidecar-drift-rollout", "not by the policy"},
		[]string{"access Wrong sidecar-drift-auditor", "more than it should", "get secrets"},
		[]string{"access Wrong sidecar-drift-webhook", "list pods"},
		[]string{"access Wrong sidecar-drift-rollout", "may not do what it must", "patch deployments.apps"},
		[]string{"pod-security Warning namespace sidecar-drift", "enforces baseline"},
		[]string{"pod-security Wrong Deployment sidecar-drift-auditor", "violates PodSecurity"},
		[]string{"replicas Warning Deployment sidecar-drift-webhook", "one Pod only"},
		[]string{"replicas Wrong Deployment sidecar-drift-certs", "no Pod is available"},
		[]string{"spread NotChecked Deployment sidecar-drift-webhook"},
		[]string{"disruption Wrong Deployment sidecar-drift-webhook", "more than one PodDisruptionBudget", "second"},
		[]string{"disruption Warning Deployment sidecar-drift-auditor", "no PodDisruptionBudget"},
	)
	// What came to be in proof is gone.
	var pods corev1.PodList
	if err := asAdmin(t, p.Cluster).List(t.Context(), &pods, client.InNamespace("default"), client.MatchingLabels{"app.kubernetes.io/name": "sidecar-drift-doctor"}); err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		t.Errorf("Pod %s is left", pod.Name)
	}
	p.eventually(t, []string{"-n", "closed"}, []string{"dry-run Wrong namespace closed", `failed calling webhook "closed.example.com"`})
}

// isMoved: where a kustomization has moved the installation, it is examined there,
// and its accounts are fenced.
func (p patient) isMoved(t *testing.T) {
	p.kubectl(t, "delete", "mutatingwebhookconfiguration", "zz-sidecar-drift") // whose clientConfig others have written
	if err := p.InstallManifests(t.Context(), moved, 1); err != nil {
		t.Fatal(err)
	}
	p.eventually(t, []string{"--probe-policy"},
		[]string{"installation OK platform-tools"},
		[]string{"policy OK sidecar-drift-dry-run-only"},
		[]string{"policy OK sidecar-drift-rollout-only"},
		[]string{"policy-proof OK sidecar-drift-dry-run-only, as sidecar-drift-auditor"},
		[]string{"policy-proof OK sidecar-drift-dry-run-only, as sidecar-drift-rollout"},
		[]string{"policy-proof OK sidecar-drift-rollout-only, as sidecar-drift-rollout"},
		[]string{"pod-security OK namespace platform-tools"},
	)
	config, err := p.ServiceAccountConfig(t.Context(), "platform-tools", "sidecar-drift-auditor")
	if err != nil {
		t.Fatal(err)
	}
	evil := newPod("kube-system")
	evil.Spec.HostNetwork = true
	checkRefused(t, newClient(t, config).Create(t.Context(), evil), dryRunPolicy, "dry run only")

	p.kubectl(t, "create", "clusterrolebinding", "to-anna", "--clusterrole=sidecar-drift-audit", "--user=anna")
	p.eventually(t, nil, []string{"access Warning others", `User "anna" may really create Pods`})
}
