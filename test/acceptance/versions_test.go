package acceptance

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// versionsOf runs the command as somebody, and returns what it says.
func versionsOf(t *testing.T, kubeconfig, namespace string, flags ...string) report.Versions {
	t.Helper()
	args := append([]string{"versions", "--kubeconfig", kubeconfig, "-n", namespace, "-o", "json"}, flags...)
	cmd := exec.CommandContext(t.Context(), testProduct(t).CLI, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, &errOut)
	}
	var found report.Versions
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// podReader is somebody who may read the Pods of a namespace, and nothing else.
func podReader(t *testing.T, c *cluster.Cluster, namespace string) (kubeconfig string) {
	t.Helper()
	apply(t, c, namespace, `
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader}]
`)
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), namespace, "reader")
	if err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

// Workloads of all kinds have one version of the real sidecar, however much of themselves is
// written into it; after a change of the template there are two, as long as both run.
func TestVersions(t *testing.T) {
	c, injector := testCluster(t), testIstio(t)
	namespace := namespaceWith(t, c, injected)
	apply(t, c, namespace, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  replicas: 2
  template:
    metadata: {labels: {app: web, version: v1}, annotations: {prometheus.io/scrape: "true", prometheus.io/port: "9090"}}
    spec:
      containers:
      - {name: server, image: "app:1", ports: [{containerPort: 8080, name: http}, {containerPort: 9090}], readinessProbe: {httpGet: {path: /ready, port: 8080}}}
      - {name: helper, image: "app:1"}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  selector: {matchLabels: {app: db}}
  serviceName: db
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: app, image: "app:1", ports: [{containerPort: 5432}]}]}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template: {metadata: {labels: {app: agent}}, spec: {serviceAccountName: default, containers: [{name: app, image: "app:1"}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, labels: {app: bare}}
spec: {containers: [{name: app, image: "app:1"}]}
`)
	rolledOut(t, c, namespace, "deployment/web", "statefulset/db", "daemonset/agent")
	found := versionsOf(t, c.Kubeconfig(), namespace)
	if len(found.Versions) != 1 {
		t.Fatalf("%d versions of one template: %+v", len(found.Versions), found.Versions)
	}
	before := found.Versions[0]
	if before.Injector != "istio" || before.Revision != "default" || before.Workloads != 4 || before.Namespaces != 1 || before.Current == nil || !*before.Current {
		t.Errorf("the one version: %+v", before)
	}

	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	// Pods know when they were created to the second: the newer ones must be of another.
	time.Sleep(time.Until(before.YoungestPod.Add(time.Second)))
	rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "deploy/web")
	found = versionsOf(t, c.Kubeconfig(), namespace)
	if len(found.Versions) != 2 {
		t.Fatalf("versions after one of four was re-created: %+v", found.Versions)
	}
	fresh, old := found.Versions[0], found.Versions[1]
	if old.ID != before.ID || fresh.Workloads != 1 || old.Workloads != 3 || !*fresh.Current || *old.Current || len(old.Becomes) != 1 || old.Becomes[0].ID != fresh.ID {
		t.Errorf("after the change: %+v", found.Versions)
	}
	var places []string
	for _, c := range old.Becomes[0].Changes {
		places = append(places, c.Place())
	}
	if !slices.Contains(places, "container/istio-proxy:image") || !slices.Contains(places, "container/istio-proxy:resources.requests.cpu") {
		t.Errorf("what becomes of the old one: %v", places)
	}

	// Who may read Pods and nothing else is told the same IDs, and what is not known.
	reader := podReader(t, c, namespace)
	told := versionsOf(t, reader, namespace)
	if len(told.Versions) != 2 || told.Versions[0].ID != fresh.ID || told.Versions[1].ID != old.ID || told.Versions[1].Current != nil ||
		told.Versions[1].Newer == nil || told.Versions[1].Newer.ID != fresh.ID || told.Versions[1].Workloads != 3 {
		t.Errorf("from Pods alone: %+v", told.Versions)
	}
	if told.Asked || len(told.Notes) != 1 || !strings.Contains(told.Notes[0], "is not known: ") {
		t.Errorf("asked %t, notes %q", told.Asked, told.Notes)
	}
	if silent := versionsOf(t, reader, namespace, "--pods-only"); len(silent.Versions) != 2 || len(silent.Notes) != 0 {
		t.Errorf("--pods-only: %+v", silent)
	}
}
