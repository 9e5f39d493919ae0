//go:build monitoring

package monitoring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// shared is what all tests look at: what happened before they began.
var shared scenario

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard()) // or controller-runtime complains, with a stack
	if err := errors.Join(
		missing("prometheus", prometheusPackage), missing("promtool", prometheusPackage), missing("npm", nodePackage), missing("node", nodePackage),
	); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(clustertest.Main(m, cluster.Options{}, shared.play))
}

func missing(name, from string) error {
	_, err := program(name, from)
	return err
}

// scenario is a cluster in which everything that the dashboard shows has happened.
type scenario struct {
	cluster    *cluster.Cluster
	product    *install.Product
	prometheus *prometheus
	labelled   *prometheus // whose scrapes name the cluster
	auditors   []string    // addresses
}

// Namespaces of workloads: those of shop are only audited, and those of night are
// rolled out by the service.
const (
	shop  = "shop"
	night = "night"
)

// east is what a Prometheus calls the cluster.
const east = "east"

// Admission refuses bomb once its ServiceAccount is gone, and no node takes stuck
// once none has the label.
const workloads = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: night, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: bomb, namespace: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: "app:1"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: bomb, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: bomb}}
  template:
    metadata: {labels: {app: bomb}}
    spec: {serviceAccountName: bomb, containers: [{name: app, image: "app:1"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: fine, namespace: night}
spec:
  replicas: 2
  selector: {matchLabels: {app: fine}}
  template:
    metadata: {labels: {app: fine}}
    spec: {containers: [{name: app, image: "app:1"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: stuck, namespace: night}
spec:
  replicas: 1
  selector: {matchLabels: {app: stuck}}
  template:
    metadata: {labels: {app: stuck}}
    spec: {nodeSelector: {pool: night}, containers: [{name: app, image: "app:1"}]}
`

// configuration lets the service roll out at once, and at any time.
const configuration = `
apiVersion: sidecar-drift.io/v1alpha1
kind: Configuration
interval: 1h
workloadMetrics: true
notify: [{name: nobody, kind: webhook, url: "http://127.0.0.1:1/"}]
autoRollout:
  enabled: true
  includeNamespaces: [night]
  windows: [{start: "00:00", end: "24:00"}]
  minimumAge: 0s
  parallelRollouts: 2
  timeout: 10s
  waves: [{name: all}]
`

func (s *scenario) play(ctx context.Context, c *cluster.Cluster) error {
	s.cluster = c
	injector, err := istio.Start(ctx, c, istio.Options{Set: istio.Values("1.27.0", "100m")})
	if err != nil {
		return err
	}
	if s.product, err = install.Start(ctx, c); err != nil {
		return err
	}
	if err := s.watch(ctx); err != nil {
		return err
	}
	if err := s.failOpen(ctx); err != nil {
		return err
	}
	nodes, err := c.Client().CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	node := nodes.Items[0].Name
	if _, err := c.Kubectl(ctx, "", "label", "node", node, "pool="+night); err != nil {
		return err
	}
	if err := c.Apply(ctx, workloads); err != nil {
		return err
	}
	for _, deployment := range []string{shop + "/web", shop + "/bomb", night + "/fine", night + "/stuck"} {
		namespace, name, _ := strings.Cut(deployment, "/")
		if _, err := c.Kubectl(ctx, "", "-n", namespace, "rollout", "status", "deployment/"+name, "--timeout=2m"); err != nil {
			return err
		}
	}
	if err := errors.Join(
		s.prometheus.until(ctx, `sidecar_drift_pods{namespace="shop", state="InSync"} == 4`),
		s.prometheus.until(ctx, `sidecar_drift_pods{namespace="night", state="InSync"} == 3`),
	); err != nil {
		return err
	}
	return s.drift(ctx, node, injector)
}

// drift changes the template; a ServiceAccount and a node's label go. A label of a
// namespace has everything audited again.
func (s *scenario) drift(ctx context.Context, node string, injector *istio.Injector) error {
	if err := injector.Update(ctx, istio.Values("1.28.0", "150m")...); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"-n", shop, "delete", "serviceaccount", "bomb"}, {"label", "node", node, "pool-"}, {"label", "namespace", shop, "changed=yes"},
	} {
		if _, err := s.cluster.Kubectl(ctx, "", args...); err != nil {
			return err
		}
	}
	return errors.Join(
		s.prometheus.until(ctx, `sidecar_drift_pods{namespace="shop", state="Drifted"} == 3`),
		s.prometheus.until(ctx, `sidecar_drift_pods{namespace="shop", state="Blocked"} == 1`),
		s.prometheus.until(ctx, `sidecar_drift_rollouts_total{result="RolledOut"} == 1`),
		s.prometheus.until(ctx, `sidecar_drift_rollouts_total{result="Failed"} == 1`),
		s.labelled.until(ctx, `sidecar_drift_rollouts_total{result="Failed"} == 1`),
	)
}

// watch starts Prometheus, and then two auditors, of which one audits and rolls out.
func (s *scenario) watch(ctx context.Context) error {
	api, err := apiServer(s.cluster)
	if err != nil {
		return err
	}
	honor, err := honorsLabels(ctx, s.cluster)
	if err != nil {
		return err
	}
	targets := []target{api, ours("sidecar-drift/sidecar-drift-webhook", "sidecar-drift-webhook-1", s.product.Replicas[0].Metrics(), false)}
	for i := range 2 {
		port, err := cluster.FreePort()
		if err != nil {
			return err
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		s.auditors = append(s.auditors, address)
		targets = append(targets, ours("sidecar-drift-auditor", fmt.Sprintf("sidecar-drift-auditor-%d", i+1), address, honor))
	}
	if s.prometheus, err = startPrometheus(ctx, s.cluster, "", targets...); err != nil {
		return err
	}
	if s.labelled, err = startPrometheus(ctx, s.cluster, east, targets...); err != nil {
		return err
	}
	file := filepath.Join(s.cluster.Dir(), "configuration.yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		return err
	}
	rights, err := os.ReadFile(filepath.Join(manifests, "components", "auto-rollout", "rbac.yaml"))
	if err != nil {
		return err
	}
	if err := s.cluster.Apply(ctx, string(rights)); err != nil {
		return err
	}
	kubeconfig, err := s.cluster.ServiceAccountKubeconfig(ctx, install.Namespace, install.RolloutAccount)
	if err != nil {
		return err
	}
	for i, address := range s.auditors {
		_, err := s.cluster.Run(fmt.Sprintf("sidecar-drift-serve-%d", i+1), s.product.CLI, []string{
			"serve", "--kubeconfig", kubeconfig, "--config", file, "--metrics-bind-address", address,
			"--health-probe-bind-address", "0", "--page-bind-address", "0",
		}, nil)
		if err != nil {
			return err
		}
	}
	return errors.Join(
		s.prometheus.until(ctx, `sum(up{job="sidecar-drift-auditor"}) == 2`),
		s.prometheus.until(ctx, "sidecar_drift_audit_last_success_timestamp_seconds"),
	)
}

// failOpen has a Pod created while there is no stamper.
func (s *scenario) failOpen(ctx context.Context) error {
	if err := s.product.StopStamper(); err != nil {
		return err
	}
	if _, err := s.cluster.Kubectl(ctx, "", "run", "unstamped", "--image=app:1", "--restart=Never"); err != nil {
		return err
	}
	if err := s.prometheus.until(ctx, `apiserver_admission_webhook_fail_open_count{name="stamp.sidecar-drift.io"} > 0`); err != nil {
		return err
	}
	return s.product.StartStamper(ctx)
}
