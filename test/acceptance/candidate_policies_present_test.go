package acceptance

import (
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/candidate/policies"
)

// Of a policy that is in the cluster already, dry runs have the answer of what is there: another
// version is never taken for what changes nothing, or refuses what it would let pass.
func TestPreviewOfPoliciesThatAreThere(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	image := func(to string) candidatePolicy {
		return mutation(patching(`[JSONPatch{op: "replace", path: "/spec/containers/0/image", value: "` + to + `"}]`))
	}
	adds := mutation(patching(`[JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{name: "helper-" + string(object.spec.containers.size()), image: "helper:1"}}]`))
	for name, test := range map[string]struct {
		now, then candidatePolicy
		state     string // of the workload; empty: it cannot be previewed
		says      string
	}{
		"another mutation":              {image("app:2"), image("app:3"), "", "MutatingAdmissionPolicy/NAME already"},
		"another binding of a mutation": {image("app:2"), image("app:2").boundBy(`matchResources: {objectSelector: {matchLabels: {app: other}}}`), "", "MutatingAdmissionPolicyBinding/NAME-0 already"},
		"the same mutation":             {adds, adds, "Missing", `helper-1`},
		"one that lets more pass":       {validation(`false`), validation(`true`), "Unknown", "as the present version of the policy NAME refuses it today"},
		"one that lets less pass":       {validation(`true`), validation(`false`).blocks("Deployment/web"), "Blocked", "'NAME'"},
		"the same that refuses":         {validation(`false`), validation(`false`), "Blocked", "'NAME'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := namespaceWith(t, c, nil)
			apply(t, c, namespace, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: "app:1"}]}}}
`)
			rolledOut(t, c, namespace, "deployment/web")
			clusterWide(t, c, test.now.documents(namespace, namespace))
			policiesInForce(t, c, namespace, test.now.mutating)
			says, yamls := strings.ReplaceAll(test.says, "NAME", namespace), test.then.documents(namespace, namespace)
			if test.state == "" {
				if _, err := policies.Connect(t.Context(), c.RESTConfig(), policiesOf(t, yamls)); err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("%v, want %q", err, says)
				}
				return
			}
			found := foreseePolicies(t, c.RESTConfig(), namespace, yamls)
			if len(found.Items) != 1 || string(found.Items[0].State) != test.state || !strings.Contains(details(found), says) || strings.Contains(details(found), "helper-2") {
				t.Errorf("want %s, %q: %s", test.state, says, details(found))
			}
		})
	}
}
