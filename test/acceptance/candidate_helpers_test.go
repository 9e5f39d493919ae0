package acceptance

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/candidate"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// serving is an injector that answers without the API server's knowing it.
type serving interface {
	URL() string
	CAFile() string
}

// instead has a candidate answer for a webhook.
func instead(t *testing.T, webhook string, of serving) candidate.Options {
	t.Helper()
	at, err := url.Parse(of.URL())
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(of.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	return candidate.Options{Candidates: []candidate.Place{{Webhook: webhook, Where: candidate.Where{URL: at}}}, CA: ca, Concurrency: 4}
}

// both has the candidates of two answer.
func both(a, b candidate.Options) candidate.Options {
	a.Candidates = slices.Concat(a.Candidates, b.Candidates)
	a.CA = slices.Concat(a.CA, b.CA)
	return a
}

// foresee previews a namespace, as an identity.
func foresee(t *testing.T, config *rest.Config, namespace string, opts candidate.Options) *report.Report {
	t.Helper()
	candidates, err := candidate.Connect(t.Context(), config, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer candidates.Close()
	r, err := audit.Run(t.Context(), config, audit.Options{
		Selection: inventory.Selection{Namespace: namespace}, Concurrency: 4, Candidate: candidates, Log: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// invented is what an API server makes up anew for each Pod.
var invented = regexp.MustCompile(`kube-api-access-[a-z0-9]{5}`)

// futureOf is what a report says of each workload that a change of injection may change: its
// state and its revisions' changes, place by place.
func futureOf(r *report.Report) []string {
	var lines []string
	for _, item := range r.Items {
		name := fmt.Sprintf("%s %s/%s", item.Namespace, item.Kind, item.Name)
		lines = append(lines, fmt.Sprintf("%s %s", name, item.State))
		for _, revision := range item.Revisions {
			for _, line := range changeLines(revision.Changes) {
				lines = append(lines, name+" "+invented.ReplaceAllString(line, "kube-api-access-…"))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// sameFuture holds what an audit finds after the change to the preview before it.
func sameFuture(t *testing.T, preview, after *report.Report) {
	t.Helper()
	if diff := cmp.Diff(futureOf(preview), futureOf(after)); diff != "" {
		t.Errorf("what was previewed is not what came (-previewed +came):\n%s", diff)
	}
}

// ofAllOwners are workloads of each kind, in a namespace of their own, which run.
func ofAllOwners(t *testing.T, c *cluster.Cluster, namespace string) {
	t.Helper()
	apply(t, c, namespace, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {dapr.io/enabled: "true", dapr.io/app-id: web}}
    spec:
      terminationGracePeriodSeconds: 5
      initContainers: [{name: first, image: "first:1"}]
      containers:
      - {name: app, image: "app:1", ports: [{containerPort: 8080}, {containerPort: 53, protocol: UDP}], readinessProbe: {httpGet: {path: /ready, port: 8080}}}
      - {name: helper, image: "helper", resources: {limits: {cpu: "0.5"}}, env: [{name: A, value: a}, {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]}
      volumes: [{name: config, configMap: {name: kube-root-ca.crt}}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      securityContext: {runAsUser: 1000, fsGroup: 1000}
      containers: [{name: app, image: "db:1", command: [sh, -c, "exec db"], volumeMounts: [{name: scratch, mountPath: /tmp}]}]
      volumes: [{name: scratch, emptyDir: {}}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: app, image: "agent:1"}], tolerations: [{operator: Exists}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  template:
    metadata: {labels: {app: once}}
    spec: {restartPolicy: Never, nodeSelector: {none: has-it}, containers: [{name: app, image: "job:1"}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: alone}
spec:
  selector: {matchLabels: {app: alone}}
  template:
    metadata: {labels: {app: alone}}
    spec: {automountServiceAccountToken: false, containers: [{name: app, image: "app:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, labels: {app: bare}}
spec: {containers: [{name: app, image: "app:1"}]}
`)
	err := cluster.Poll(t.Context(), "Pods of all owners", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "", "-n", namespace, "get", "pods", "-o", "jsonpath={range .items[*]}{.metadata.labels.app}{\"\\n\"}{end}")
		if err != nil {
			return err
		}
		names := strings.Fields(out)
		for _, app := range []string{"web", "db", "agent", "once", "alone", "bare"} {
			if !slices.Contains(names, app) {
				return errors.New("there is none yet of " + app)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
