package acceptance

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// clusterWide applies objects that belong to no namespace, and deletes them when
// the test has ended.
func clusterWide(t *testing.T, c *cluster.Cluster, yaml string) {
	t.Helper()
	t.Cleanup(func() {
		// The test's own context is done by now.
		if err := c.Delete(context.Background(), yaml); err != nil {
			t.Error(err)
		}
	})
	if err := c.Apply(t.Context(), yaml); err != nil {
		t.Fatal(err)
	}
}

// denyPolicy denies operations on resources in one namespace.
func denyPolicy(namespace, operation, group, resources, message string) string {
	return fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: deny-%[2]s-%[1]s}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
    resourceRules: [{apiGroups: [%[3]s], apiVersions: ["*"], resources: [%[4]s], operations: [%[5]s]}]
  validations: [{expression: "false", message: %[6]q}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: deny-%[2]s-%[1]s}
spec: {policyName: deny-%[2]s-%[1]s, validationActions: [Deny]}
`, namespace, strings.ToLower(operation), group, resources, operation, message)
}

// refusal is something that makes the API server refuse a Pod like one that
// runs already.
type refusal struct {
	name string
	// template is the Deployment's Pod spec beyond its containers.
	template string
	before   func(t *testing.T, c *cluster.Cluster, namespace string)
	after    func(t *testing.T, c *cluster.Cluster, namespace string)
	state    string
	reason   string // a part of it
}

// remove deletes an object.
func remove(arguments ...string) func(*testing.T, *cluster.Cluster, string) {
	return func(t *testing.T, c *cluster.Cluster, namespace string) {
		t.Helper()
		if _, err := c.Kubectl(t.Context(), "", append([]string{"-n", namespace, "delete"}, arguments...)...); err != nil {
			t.Fatal(err)
		}
	}
}

// add applies objects to the namespace and waits until a Pod is refused.
func add(yaml, message string) func(*testing.T, *cluster.Cluster, string) {
	return func(t *testing.T, c *cluster.Cluster, namespace string) {
		t.Helper()
		apply(t, c, namespace, yaml)
		refuses(t, c, namespace, message)
	}
}

var refusals = []refusal{
	{
		name: "policy",
		after: func(t *testing.T, c *cluster.Cluster, namespace string) {
			clusterWide(t, c, denyPolicy(namespace, "CREATE", `""`, "pods", "images must come from our registry"))
			refuses(t, c, namespace, "images must come")
		},
		state: "Blocked", reason: "denied request: images must come from our registry",
	}, {
		name: "PodSecurity",
		after: func(t *testing.T, c *cluster.Cluster, namespace string) {
			if _, err := c.Kubectl(t.Context(), "", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted"); err != nil {
				t.Fatal(err)
			}
			refuses(t, c, namespace, "PodSecurity")
		},
		state: "Blocked", reason: `violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false`,
	}, {
		name: "LimitRange",
		after: add(`{"apiVersion":"v1","kind":"LimitRange","metadata":{"name":"small"},"spec":{"limits":[
			{"type":"Container","max":{"cpu":"10m"}}]}}`, "is forbidden"),
		state: "Blocked", reason: "maximum cpu usage per Container is 10m, but",
	}, {
		name:     "ServiceAccount",
		template: "serviceAccountName: web",
		before: func(t *testing.T, c *cluster.Cluster, namespace string) {
			apply(t, c, namespace, `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"web"}}`)
		},
		after: remove("serviceaccount", "web"),
		state: "Blocked", reason: `serviceaccount "web" not found`,
	}, {
		name:     "PriorityClass",
		template: "priorityClassName: test-urgent",
		before: func(t *testing.T, c *cluster.Cluster, _ string) {
			clusterWide(t, c, `{"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"test-urgent"},"value":10}`)
		},
		after: remove("priorityclass", "test-urgent"),
		state: "Blocked", reason: "no PriorityClass with name test-urgent was found",
	}, {
		name:     "RuntimeClass",
		template: "runtimeClassName: test-sandboxed",
		before: func(t *testing.T, c *cluster.Cluster, _ string) {
			clusterWide(t, c, `{"apiVersion":"node.k8s.io/v1","kind":"RuntimeClass","metadata":{"name":"test-sandboxed"},"handler":"sandbox"}`)
		},
		after: remove("runtimeclass", "test-sandboxed"),
		state: "Blocked", reason: `pod rejected: RuntimeClass "test-sandboxed" not found`,
	}, {
		name: "quota of what is not set",
		after: add(`{"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"memory"},"spec":{"hard":{
			"limits.memory":"10Gi"}}}`, "must specify"),
		state: "Blocked", reason: "failed quota: memory: must specify limits.memory for: app",
	}, {
		name: "full quota",
		after: add(`{"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"full"},"spec":{"hard":{"pods":"1"}}}`,
			"exceeded quota"),
		state: "Unknown", reason: "exceeded quota: full, requested: pods=1, used: pods=1, limited: pods=1",
	}, {
		name: "terminating namespace",
		after: func(t *testing.T, c *cluster.Cluster, namespace string) {
			// What is in the namespace stays for as long as the policy does.
			clusterWide(t, c, denyPolicy(namespace, "DELETE", `"", apps`, "pods, deployments, replicasets", "not yet"))
			err := cluster.Poll(t.Context(), "the policy against deletion", func(ctx context.Context) error {
				_, err := c.Kubectl(ctx, "", "-n", namespace, "delete", "deployment/web", "--dry-run=server")
				if err == nil {
					return fmt.Errorf("a deletion is allowed")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			remove("namespace", namespace, "--wait=false")(t, c, namespace)
			refuses(t, c, namespace, "is being terminated")
		},
		state: "Unknown", reason: "because it is being terminated",
	},
}

func TestAuditOfRefusedPods(t *testing.T) {
	c := testCluster(t)
	testIstio(t)
	testProduct(t)
	for _, refusal := range refusals {
		t.Run(refusal.name, func(t *testing.T) {
			namespace := namespaceWith(t, c, injected)
			if refusal.before != nil {
				refusal.before(t, c, namespace)
			}
			apply(t, c, namespace, fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: app, image: "app:1"}]
      %s
`, refusal.template))
			rolledOut(t, c, namespace, "deployment/web")
			refusal.after(t, c, namespace)
			r := auditNamespace(t, c, namespace, fmt.Sprintf("Deployment/web %s 1", refusal.state))
			if reason := reasonOf(t, r, "Deployment", "web"); !strings.Contains(reason, refusal.reason) {
				t.Errorf("reason %q, want one with %q", reason, refusal.reason)
			}
			if item := itemOf(t, r, "Deployment", "web"); item.Rollout.Eligible {
				t.Errorf("rollout of a %s workload: %+v", item.State, item.Rollout)
			}
		})
	}
}

// An injector that is down is named, and not waited for again and again.
func TestAuditWhileTheInjectorIsDown(t *testing.T) {
	c, injector := testCluster(t), testIstio(t)
	testProduct(t)
	namespace, aside := namespaceWith(t, c, injected), namespaceWith(t, c, nil)
	var want []string
	// Six may be asked about: the two failures before the one that tells, and
	// what the auditor's four workers are at by then.
	for i := range 8 {
		name := fmt.Sprintf("web-%d", i)
		deployWeb(t, c, namespace, 1, name)
		want = append(want, "Deployment/"+name+" Unknown 1")
	}
	deployWeb(t, c, aside, 1, "aside")
	if err := injector.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := injector.Restart(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r := auditOf(t, c, inventory.Selection{IncludeNamespaces: []string{namespace, aside}})
	checkStates(t, r, append(want, "Deployment/aside NotInjected 1")...)
	notAsked := 0
	for _, item := range r.Items {
		reason := item.Revisions[0].Reason
		if item.Name != "aside" && !strings.Contains(reason, `webhook "`+webhookOfIstio+`"`) {
			t.Errorf("%s: the reason does not name the webhook: %s", item.Name, reason)
		}
		if strings.HasPrefix(reason, "not asked") {
			notAsked++
		}
	}
	if notAsked == 0 {
		t.Error("every workload was asked about, though the webhook failed each time")
	}
}

// webhookOfIstio is called in namespaces with the label istio-injection.
const webhookOfIstio = "namespace.sidecar-injector.istio.io"
