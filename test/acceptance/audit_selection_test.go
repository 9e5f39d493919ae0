package acceptance

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

func TestAuditOfASelection(t *testing.T) {
	c, injector := testCluster(t), testIstio(t)
	testProduct(t)
	namespace := namespaceWith(t, c, injected)
	deployWeb(t, c, namespace, 1, "web", "shop")
	bare := namespaceWith(t, c, nil)
	deployWeb(t, c, bare, 1, "web")
	both := []string{namespace, bare}
	for _, test := range []struct {
		name      string
		selection inventory.Selection
		want      []string
	}{
		{"namespaces", inventory.Selection{IncludeNamespaces: both, ExcludeNamespaces: []string{namespace}}, []string{"Deployment/web NotInjected 1"}},
		{"labels", inventory.Selection{IncludeNamespaces: both, LabelSelector: "app in (shop)"}, []string{"Deployment/shop InSync 1"}},
		{"sidecar", inventory.Selection{IncludeNamespaces: both, WithContainers: []string{"istio-proxy"}}, []string{"Deployment/shop InSync 1", "Deployment/web InSync 1"}},
		{"init container", inventory.Selection{IncludeNamespaces: both, WithContainers: []string{"istio-init"}}, []string{"Deployment/shop InSync 1", "Deployment/web InSync 1"}},
		{"no such sidecar", inventory.Selection{IncludeNamespaces: both, WithContainers: []string{"linkerd-proxy"}}, nil},
		{"started before it was made", inventory.Selection{IncludeNamespaces: both, StartedBefore: time.Now().Add(-time.Hour)}, nil},
		{"started before tomorrow", inventory.Selection{Namespace: bare, StartedBefore: time.Now().Add(24 * time.Hour)}, []string{"Deployment/web NotInjected 1"}},
		{"a namespace without Pods", inventory.Selection{Namespace: "kube-public"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			checkStates(t, auditOf(t, c, test.selection), append([]string{}, test.want...)...)
		})
	}
	t.Run("all but", func(t *testing.T) {
		r := auditOf(t, c, inventory.Selection{ExcludeNamespaces: []string{namespace}})
		for _, item := range r.Items {
			if item.Namespace == namespace {
				t.Errorf("%s/%s of the excluded namespace", item.Kind, item.Name)
			}
		}
		itemOf(t, r, "Deployment", "web")
	})
	// A Pod that misses the sidecar has it in the fresh injection.
	t.Run("sidecar that is missing", func(t *testing.T) {
		label(t, c, bare, `{"istio-injection":"enabled"}`, hasProxy)
		r := auditOf(t, c, inventory.Selection{Namespace: bare, WithContainers: []string{"istio-proxy"}})
		checkStates(t, r, "Deployment/web Missing 1")
	})
	// Naming a sidecar selects Pods; what else differs is still reported.
	t.Run("drift in another sidecar", func(t *testing.T) {
		if err := injector.Update(t.Context(), istio.Values("1.28.0", "100m")...); err != nil {
			t.Fatal(err)
		}
		r := auditOf(t, c, inventory.Selection{Namespace: namespace, LabelSelector: "app=web", WithContainers: []string{"istio-init"}})
		checkStates(t, r, "Deployment/web Drifted 1")
	})
}

// Workloads that are named are found without a look at others.
func TestAuditOfNamedWorkloads(t *testing.T) {
	c := testCluster(t)
	testIstio(t)
	testProduct(t)
	namespace := workloadsOfEveryKind(t, c, injected)
	// The same labels do not make it the Deployment's.
	apply(t, c, namespace, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"stray","labels":{"app":"web"}},
		"spec":{"containers":[{"name":"app","image":"app:1"}]}}`)
	pod := podsOf(t, c, namespace, "app=web,pod-template-hash")[0].Name
	for named, want := range map[string]string{
		"Deployment/web": "Deployment/web InSync 2", "StatefulSet/store": "StatefulSet/store InSync 2",
		"DaemonSet/agent": "DaemonSet/agent InSync 2", "ReplicaSet/lone": "ReplicaSet/lone InSync 1",
		"Pod/bare": "Pod/bare InSync 1", "Job/once": "Job/once InSync 2", "CronJob/nightly": "CronJob/nightly InSync 1",
		"Pod/" + pod: "Deployment/web InSync 1",
	} {
		kind, name, _ := strings.Cut(named, "/")
		selection := inventory.Selection{Namespace: namespace, Workloads: []inventory.WorkloadRef{{Kind: kind, Namespace: namespace, Name: name}}}
		config := auditorConfig(t, c)
		var requests atomic.Int32
		config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				requests.Add(1)
				return next.RoundTrip(r)
			})
		})
		r, err := audit.Run(t.Context(), config, audit.Options{Selection: selection, Log: logr.Discard()})
		if err != nil {
			t.Fatal(err)
		}
		checkStates(t, r, want)
		// Two of them ask whether the controller may be impersonated.
		if n := requests.Load(); n > 8 {
			t.Errorf("%s took %d requests, want at most 8", named, n)
		}
	}
	// One that is gone may be left out.
	ref := func(name string) inventory.WorkloadRef {
		return inventory.WorkloadRef{Kind: "Deployment", Namespace: namespace, Name: name}
	}
	r, err := audit.Run(t.Context(), auditorConfig(t, c), audit.Options{
		Selection: inventory.Selection{Workloads: []inventory.WorkloadRef{ref("none"), ref("web")}, SkipGone: true}, Log: logr.Discard(),
	})
	if err != nil || len(r.Items) != 1 || r.Items[0].Name != "web" {
		t.Errorf("one that is gone and one that is there: %+v (%v)", r, err)
	}
	for _, unknown := range []inventory.WorkloadRef{
		{Kind: "Deployment", Namespace: namespace, Name: "none"}, {Kind: "Pod", Namespace: namespace, Name: "none"},
		{Kind: "Rollout", Namespace: namespace, Name: "none"}, {Kind: "Service", Namespace: namespace, Name: "web"},
	} {
		_, err := audit.Run(t.Context(), auditorConfig(t, c), audit.Options{
			Selection: inventory.Selection{Workloads: []inventory.WorkloadRef{unknown}}, Log: logr.Discard(),
		})
		if err == nil || !strings.Contains(err.Error(), unknown.Name) {
			t.Errorf("%s: error %v", unknown, err)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A list of more Pods than a page holds is read to its end.
func TestAuditOfManyPods(t *testing.T) {
	c := testCluster(t)
	namespace := namespaceWith(t, c, nil)
	const replicas = 520
	// Nobody schedules them, which costs a cluster more than to create them.
	apply(t, c, namespace, fmt.Sprintf(`
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {schedulerName: none, containers: [{name: app, image: "app:1"}]}
`, replicas))
	podsExist(t, c, namespace, "app=web", replicas)
	auditNamespace(t, c, namespace, fmt.Sprintf("ReplicaSet/web NotInjected %d", replicas))
}

func TestAuditOfARolloutThatIsHalfDone(t *testing.T) {
	c := testCluster(t)
	namespace := namespaceWith(t, c, nil)
	deployWeb(t, c, namespace, 3, "web")
	if r := auditNamespace(t, c, namespace, "Deployment/web NotInjected 3"); len(r.Items[0].Revisions) != 1 {
		t.Errorf("%d revisions", len(r.Items[0].Revisions))
	}
	const nowhere = `{"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":0,"maxSurge":1}},
		"template":{"spec":{"nodeSelector":{"none":"has-it"}}}}}`
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "patch", "deployment", "web", "-p", nowhere); err != nil {
		t.Fatal(err)
	}
	podsExist(t, c, namespace, "app=web", 4)
	if r := auditNamespace(t, c, namespace, "Deployment/web NotInjected 4"); len(r.Items[0].Revisions) != 2 {
		t.Errorf("%d revisions in the middle of a rollout", len(r.Items[0].Revisions))
	}
}
