package acceptance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/kubelet"
)

// together notes which workloads were under way at the same time.
type together struct {
	mu     sync.Mutex
	active []string
	pairs  map[string]bool
}

func (u *together) note(e rollout.Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch e.Phase {
	case rollout.Started:
		for _, other := range u.active {
			pair := []string{other, e.Workload.Name}
			slices.Sort(pair)
			u.pairs[strings.Join(pair, "+")] = true
		}
		u.active = append(u.active, e.Workload.Name)
	case rollout.Finished:
		u.active = slices.DeleteFunc(u.active, func(name string) bool { return name == e.Workload.Name })
	}
}

// Two workloads with the same claim that one node alone can use are not under way together,
// however many may be; those that share one of many nodes are.
func TestRolloutsThatShareAClaim(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	var items []report.Item
	for claim, mode := range map[string]string{"once": "ReadWriteOnce", "many": "ReadWriteMany"} {
		apply(t, e.Cluster, e.namespace, fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: %[1]s-%[2]s}
spec: {accessModes: [%[3]s], capacity: {storage: 1Gi}, storageClassName: %[1]s, hostPath: {path: /tmp}, claimRef: {namespace: %[1]s, name: %[2]s}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %[2]s}
spec: {accessModes: [%[3]s], resources: {requests: {storage: 1Gi}}, storageClassName: %[1]s, volumeName: %[1]s-%[2]s}
`, e.namespace, claim, mode))
		t.Cleanup(func() {
			if err := e.Client().CoreV1().PersistentVolumes().Delete(context.Background(), e.namespace+"-"+claim, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		})
		for _, name := range []string{claim + "-a", claim + "-b"} {
			apply(t, e.Cluster, e.namespace, fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 2
  minReadySeconds: 3
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers: [{name: app, image: "app:1", volumeMounts: [{name: data, mountPath: /data}]}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: %[2]s}}]
`, name, claim))
		}
	}
	for _, name := range []string{"once-a", "once-b", "many-a", "many-b"} {
		rolledOut(t, e.Cluster, e.namespace, "deployment/"+name)
		items = append(items, e.item("Deployment", name, verdict.Drifted))
	}
	u := &together{pairs: map[string]bool{}}
	e.opts.Pace.Parallel, e.opts.Progress = 4, u.note
	plan := e.plan(t, items...)
	for _, s := range plan.Steps {
		want := strings.HasPrefix(s.Item.Name, "once")
		if got := slices.Contains(s.Claims, "once"); got != want || len(s.Claims) > 1 {
			t.Errorf("%s shares the claims %v", s.Item.Name, s.Claims)
		}
	}
	checkResults(t, e.run(t.Context(), t, plan), map[string]report.Result{
		"Deployment/once-a": report.RolledOut, "Deployment/once-b": report.RolledOut, "Deployment/many-a": report.RolledOut, "Deployment/many-b": report.RolledOut,
	})
	if u.pairs["once-a+once-b"] || !u.pairs["many-a+many-b"] {
		t.Errorf("under way together: %v", u.pairs)
	}
}

// limited has the engine act as an account that may read, patch workloads of these kinds, and do
// no more than these rights say.
func (e *engine) limited(t *testing.T, patches []string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: e.namespace, Name: "limited"}
	if _, err := e.Client().CoreV1().ServiceAccounts(e.namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	read := []string{"get", "list", "watch"}
	rules = append(rules,
		rbacv1.PolicyRule{APIGroups: []string{"", "apps", "policy"}, Resources: []string{"pods", "deployments", "daemonsets", "replicasets", "poddisruptionbudgets"}, Verbs: read},
	)
	if len(patches) > 0 {
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: patches, Verbs: []string{"patch"}})
	}
	if _, err := e.Client().RbacV1().Roles(e.namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	subject := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: e.namespace, Name: "limited"}}
	binding := &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subject, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "limited"}}
	if _, err := e.Client().RbacV1().RoleBindings(e.namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	audit := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "limited-" + e.namespace}, Subjects: subject,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "sidecar-drift-audit"}}
	if _, err := e.Client().RbacV1().ClusterRoleBindings().Create(t.Context(), audit, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Client().RbacV1().ClusterRoleBindings().Delete(context.Background(), audit.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	config, err := e.ServiceAccountConfig(t.Context(), e.namespace, "limited")
	if err != nil {
		t.Fatal(err)
	}
	e.config = config
}

// What has to go by another strategy than the plan's, when its turn comes, does so only where
// this identity may: else it is left alone, untouched, and the reason says what it may not.
func TestAutoSwitchesOnlyToWhatItMay(t *testing.T) {
	for _, may := range []bool{false, true} {
		t.Run(fmt.Sprintf("may evict: %t", may), func(t *testing.T) {
			t.Parallel()
			e := newEngine(t)
			deployWeb(t, e.Cluster, e.namespace, 4, "web", "other")
			var rules []rbacv1.PolicyRule
			if may {
				rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods/eviction"}, Verbs: []string{"create"}})
			}
			e.limited(t, []string{"deployments"}, rules...)
			e.opts.Strategy, e.opts.Pace.MaxFailures = rollout.Auto, 1
			plan := e.plan(t, e.drifted("Deployment", "web", podsOf(t, e.Cluster, e.namespace, "app=web")...),
				e.drifted("Deployment", "other", podsOf(t, e.Cluster, e.namespace, "app=other")...))
			for _, s := range plan.Steps {
				if s.Strategy != rollout.Restart || s.Result != report.Planned {
					t.Fatalf("%s is %s by %s: %s", s.Item.Name, s.Result, s.Strategy, s.Reason)
				}
			}
			if _, err := e.Kubectl(t.Context(), "", "-n", e.namespace, "patch", "deployment", "web", "--type", "merge", "-p",
				`{"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":2,"maxSurge":0}}}}`); err != nil {
				t.Fatal(err)
			}
			rolledOut(t, e.Cluster, e.namespace, "deployment/web")
			e.budget(t, "web", "minAvailable: 3", "app: web")
			before := uids(t, e.Cluster, e.namespace, "app=web")
			done := e.run(t.Context(), t, plan)
			results := map[string]report.Result{"Deployment/web": report.Skipped, "Deployment/other": report.RolledOut}
			if may {
				results["Deployment/web"] = report.RolledOut
			}
			checkResults(t, done, results)
			if may {
				return
			}
			want := "was planned by restart, and takes evict by now: you may not create pods/eviction in namespace " + e.namespace
			if reason := itemOf(t, done, "Deployment", "web").Rollout.Reason; !strings.Contains(reason, want) {
				t.Errorf("%q, want %q", reason, want)
			}
			after := uids(t, e.Cluster, e.namespace, "app=web")
			if len(after) != len(before) {
				t.Errorf("there are %d Pods, and were %d", len(after), len(before))
			}
			for uid := range before {
				if !after[uid] {
					t.Errorf("Pod %s was replaced", uid)
				}
			}
		})
	}
}

// What its nodes could not resize, and this identity may not re-create, is left as it was: that
// is no failure of the workload.
func TestAutoMayResizeAndNothingElse(t *testing.T) {
	e := newEngine(t)
	proxy := startInjector(t, e.Cluster, "proxy", "proxy:1")
	namespace := injectedNamespace(t, e.Cluster, 1)
	e.namespace = namespace
	proxy.Inject(proxyWith(sized("100m", "128Mi"), sized("50m", "128Mi")))
	kubelets := resizesPods(t, e.Cluster, namespace)
	kubelets.Answer(func(pod *corev1.Pod) kubelet.Answer {
		if pod.Spec.Containers[1].Resources.Requests.Cpu().String() == "200m" {
			return kubelet.Refuses
		}
		return kubelet.Acknowledges
	})
	deployWeb(t, e.Cluster, namespace, 2, "web")
	awaitReported(t, e.Cluster, namespace)
	before := podUIDs(t, e.Cluster, namespace, "app=web")
	proxy.Inject(proxyWith(sized("200m", "128Mi"), sized("50m", "128Mi")))
	e.limited(t, nil, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods/resize"}, Verbs: []string{"patch"}})
	found, err := audit.Run(t.Context(), e.RESTConfig(), audit.Options{Selection: inventory.Selection{IncludeNamespaces: []string{namespace}}})
	if err != nil {
		t.Fatal(err)
	}
	e.opts.Strategy = rollout.Auto
	plan := e.plan(t, found.Items...)
	if s := plan.Steps[0]; s.Strategy != rollout.Resize || s.Result != report.Planned {
		t.Fatalf("%s is %s by %s: %s", s.Item.Name, s.Result, s.Strategy, s.Reason)
	}
	done := e.run(t.Context(), t, plan)
	checkReasons(t, "not allowed", done, map[string]string{"Deployment/web": "and has again what it had; its Pods were not re-created: deployments.apps \"web\" is forbidden"})
	if diff := cmp.Diff(before, podUIDs(t, e.Cluster, namespace, "app=web")); diff != "" {
		t.Errorf("Pods were replaced (-before +after):\n%s", diff)
	}
	for _, pod := range podsOf(t, e.Cluster, namespace, "app=web") {
		if got := pod.Spec.Containers[1].Resources.Requests.Cpu().String(); got != "100m" {
			t.Errorf("Pod %s is to have %s", pod.Name, got)
		}
	}
}
