package acceptance

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// editorOf returns a namespace, and the kubeconfig file of who may edit in it and
// nowhere else.
func editorOf(t *testing.T, c *cluster.Cluster) (namespace, kubeconfig string) {
	t.Helper()
	namespace = namespaceWith(t, c, nil)
	editor(t, c, namespace)
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), namespace, "tenant")
	if err != nil {
		t.Fatal(err)
	}
	err = cluster.Poll(t.Context(), "what the editor of "+namespace+" may do", func(ctx context.Context) error {
		_, err := c.Kubectl(ctx, "", "--kubeconfig", kubeconfig, "-n", namespace, "get", "pods")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return namespace, kubeconfig
}

// hostileDeployment is one of a single Pod, with more of a spec and of a template's
// metadata.
func hostileDeployment(name, spec, annotations, args string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, labels: {app: %[1]s}}
spec:
  replicas: 1
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  %[2]s
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}, annotations: {%[3]s}}
    spec: {containers: [{name: app, image: "app:1", args: [%[4]q]}]}
---
`, name, spec, annotations, args)
}

// manyAnnotations are so many: a Pod template has room for 87,000, which keep an API
// server busy, and a thousand are more than the policy looks at.
func manyAnnotations(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"%c%c%c": "", `, letters[i%62], letters[i/62%62], letters[i/62/62%62])
	}
	return b.String()
}

// refusesPatches is a policy of somebody's, for Deployments that carry a label.
const refusesPatches = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: refuses-patches-in-%[1]s}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [apps], apiVersions: ["*"], resources: [deployments], operations: [UPDATE]}]
  validations: [{expression: "false", message: "nobody changes this"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: refuses-patches-in-%[1]s}
spec:
  policyName: refuses-patches-in-%[1]s
  validationActions: [Deny]
  matchResources:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
    objectSelector: {matchLabels: {app: refused}}
`

// Who may edit in one namespace can make what cannot be rolled out in any number
// of ways. Each is that workload's own result; a drifted workload of another
// namespace is rolled out beside it, though one failure would halt the run.
func TestATenantStopsNoRollout(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	tenant, kubeconfig := editorOf(t, e.Cluster)
	asTenant := func(yaml string) {
		t.Helper()
		if _, err := e.Kubectl(t.Context(), yaml, "--kubeconfig", kubeconfig, "-n", tenant, "create", "-f", "-"); err != nil {
			t.Fatal(err)
		}
	}
	deployWeb(t, e.Cluster, e.namespace, 2, "healthy")
	clusterWide(t, e.Cluster, fmt.Sprintf(refusesPatches, tenant))
	asTenant(hostileDeployment("many", "", manyAnnotations(5_000), "") +
		hostileDeployment("full", "", fmt.Sprintf(`note: %q`, strings.Repeat("x", 262_100)), "") +
		hostileDeployment("large", "", "", strings.Repeat("x", 1_000_000)) +
		hostileDeployment("slow", "minReadySeconds: 32\n  progressDeadlineSeconds: 1200", "", "") +
		hostileDeployment("refused", "", "", "") +
		hostileDeployment("behind-two", "", "", "") +
		hostileDeployment("behind-none", "", "", "") + `
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: one, annotations: {note: "` + strings.Repeat("x", 200_000) + `"}}
spec: {maxUnavailable: 0, selector: {matchLabels: {app: behind-two}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: ` + strings.Repeat("b", 253) + `}
spec: {minAvailable: 100%, selector: {matchLabels: {app: behind-two}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: for-nothing}
spec: {selector: {matchExpressions: [{key: app, operator: In, values: [nothing]}]}}
---
apiVersion: v1
kind: Pod
metadata:
  name: evildeploy
  ownerReferences: [{apiVersion: evil.io/v1, kind: Deployment, name: "a/b", uid: "22222222-2222-2222-2222-222222222222", controller: true}]
spec: {containers: [{name: app, image: "app:1"}]}
`)
	for _, name := range []string{"many", "full", "large", "slow", "refused", "behind-two", "behind-none"} {
		rolledOut(t, e.Cluster, tenant, "deployment/"+name)
	}
	asTenant(hostileDeployment("slower", "minReadySeconds: 2147483646\n  progressDeadlineSeconds: 2147483647", "", ""))
	err := cluster.Poll(t.Context(), "the policy that refuses patches", func(ctx context.Context) error {
		_, err := e.Client().AppsV1().Deployments(tenant).Patch(ctx, "refused", types.MergePatchType,
			[]byte(`{"metadata":{"labels":{"note":"1"}}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return errors.New("it refuses nothing yet")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	of := func(namespace, kind, name string) report.Item {
		item := e.item(kind, name, verdict.Drifted)
		item.Namespace = namespace
		return item
	}
	items := []report.Item{of(e.namespace, "Deployment", "healthy")}
	want := map[string]report.Result{"Deployment/healthy": report.RolledOut}
	expect := func(result report.Result, kind string, names ...string) {
		for _, name := range names {
			items = append(items, of(tenant, kind, name))
			want[kind+"/"+name] = result
		}
	}
	// Its one Pod is replaced by surge, which takes none away from any budget.
	expect(report.RolledOut, "Deployment", "behind-two")
	expect(report.RolledOut, "Deployment", "slow", "behind-none")
	expect(report.Skipped, "Deployment", "full", "refused", "slower", "gone",
		"a/b", "..", ".", "a%2fb", "../../../api/v1/namespaces", strings.Repeat("a", 253))
	expect(report.Skipped, "ReplicaSet", "evilrs/..", "none")
	expect(report.Skipped, "Foo payments/x", "x")
	items = append(items, of("no/where", "Deployment", "elsewhere"), of("no-such-namespace", "Deployment", "nowhere"))
	want["Deployment/elsewhere"], want["Deployment/nowhere"] = report.Skipped, report.Skipped
	// A report cuts these names, so that they are told by how they begin.
	endless := []report.Item{
		of(tenant, "Deployment", strings.Repeat("endless", 37)), of(tenant, "Deployment", strings.Repeat("endless", 100_000)),
		of(tenant, strings.Repeat("Endless", 40_000), "endless"),
	}

	e.opts.Pace.Parallel, e.opts.Pace.MaxFailures, e.opts.Pace.Timeout = 16, 1, 30*time.Second // less than slow's minReadySeconds
	done := e.run(t.Context(), t, e.plan(t, slices.Concat(items, endless)...))
	done.Items = slices.DeleteFunc(done.Items, func(item report.Item) bool {
		return strings.HasPrefix(item.Name, "endless") && item.Rollout.Result == report.Skipped
	})
	checkResults(t, done, want)
	for _, item := range done.Items {
		if n := len([]rune(item.Rollout.Reason)); n > 1024 {
			t.Errorf("%.30s: a reason of %d characters", item.Name, n)
		}
		if item.Rollout.Result == report.Skipped && (item.Rollout.Reason == "" || item.Rollout.StartedAt != nil) {
			t.Errorf("%.30s: skipped, %+v", item.Name, item.Rollout)
		}
	}
	// Whether these are refused depends on how much the policies may compute.
	e.opts.Pace.Timeout = time.Minute
	e.opts.Pace.MaxFailures = 2
	for _, item := range e.run(t.Context(), t, e.plan(t, of(tenant, "Deployment", "large"), of(tenant, "Deployment", "many"))).Items {
		if r := item.Rollout; r.Result != report.RolledOut && r.Result != report.Skipped {
			t.Errorf("%s is %s: %s", item.Name, r.Result, r.Reason)
		}
	}
	for name, reason := range map[string]string{"refused": "nobody changes this", "full": "262144"} {
		for _, item := range done.Items {
			if item.Name == name && !strings.Contains(item.Rollout.Reason, reason) {
				t.Errorf("%s: reason %q, want %q in it", name, item.Rollout.Reason, reason)
			}
		}
	}
}

// A namespace whose quota has no room is its own failure, with the quota named.
func TestATenantsQuotaIsItsOwnFailure(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	tenant, kubeconfig := editorOf(t, e.Cluster)
	deployWeb(t, e.Cluster, e.namespace, 2, "healthy")
	if _, err := e.Kubectl(t.Context(), hostileDeployment("cramped", "", "", ""), "--kubeconfig", kubeconfig, "-n", tenant, "create", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	rolledOut(t, e.Cluster, tenant, "deployment/cramped")
	apply(t, e.Cluster, tenant, `{apiVersion: v1, kind: ResourceQuota, metadata: {name: none}, spec: {hard: {pods: "0"}}}`)
	err := cluster.Poll(t.Context(), "the quota", func(ctx context.Context) error {
		quota, err := e.Client().CoreV1().ResourceQuotas(tenant).Get(ctx, "none", metav1.GetOptions{})
		if err == nil && len(quota.Status.Hard) == 0 {
			err = errors.New("not looked at yet")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cramped := e.item("Deployment", "cramped", verdict.Drifted)
	cramped.Namespace = tenant
	e.opts.Pace.Parallel, e.opts.Pace.Timeout = 2, 30*time.Second
	done := e.run(t.Context(), t, e.plan(t, e.item("Deployment", "healthy", verdict.Drifted), cramped))
	checkResults(t, done, map[string]report.Result{"Deployment/healthy": report.RolledOut, "Deployment/cramped": report.Failed})
	for _, item := range done.Items {
		if item.Name == "cramped" && !strings.Contains(item.Rollout.Reason, "quota") {
			t.Errorf("reason %q", item.Rollout.Reason)
		}
	}
}

// A Lease of the rollout is believed nothing: who renews it is respected, and what
// nobody renews is taken, whatever stands in it.
func TestRolloutLeaseOfSomebodysMaking(t *testing.T) {
	c := testCluster(t)
	watched := func(t *testing.T, told *int) func(*rollout.HeldError) {
		return func(held *rollout.HeldError) {
			*told++
			t.Log("watching: ", held.Holder)
		}
	}
	for name, seconds := range map[string]int32{"renewed in 2099": 15, "for 68 years": math.MaxInt32} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace, holder := namespaceWith(t, c, nil), "somebody"
			at := metav1.NewMicroTime(time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC))
			_, err := c.Client().CoordinationV1().Leases(namespace).Create(t.Context(), &coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Name: rollout.LeaseName},
				Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, AcquireTime: &at, RenewTime: &at, LeaseDurationSeconds: &seconds},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			told := 0
			lock, err := rollout.Acquire(t.Context(), c.RESTConfig(), rollout.Claim{Namespace: namespace, Watching: watched(t, &told)})
			if err != nil || told != 1 {
				t.Fatalf("not taken over: %v, told %d times who is watched", err, told)
			}
			if err := lock.Release(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("renewed", func(t *testing.T) {
		t.Parallel()
		namespace, told := namespaceWith(t, c, nil), 0
		first, err := rollout.Acquire(t.Context(), c.RESTConfig(), rollout.Claim{Namespace: namespace, Watching: watched(t, &told)})
		if err != nil || told != 0 {
			t.Fatalf("%v, told %d times who is watched", err, told)
		}
		_, err = rollout.Acquire(t.Context(), c.RESTConfig(), rollout.Claim{Namespace: namespace, Watching: watched(t, &told)})
		held, ok := errors.AsType[*rollout.HeldError](err)
		if !ok || told != 1 || !strings.Contains(held.Holder, "process") || held.Since.IsZero() {
			t.Fatalf("%v, told %d times who is watched", err, told)
		}
		// The API server's answers, not its clock, say that another one has it.
		lease, err := c.Client().CoordinationV1().Leases(namespace).Get(t.Context(), rollout.LeaseName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		taken(t, c.Client(), lease)
		<-first.Lost()
		if err := first.Release(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// taken writes another holder into a Lease.
func taken(t *testing.T, client kubernetes.Interface, lease *coordinationv1.Lease) {
	t.Helper()
	_, err := client.CoordinationV1().Leases(lease.Namespace).Patch(t.Context(), lease.Name, types.MergePatchType,
		[]byte(`{"spec":{"holderIdentity":"another"}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}
