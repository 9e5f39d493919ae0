package acceptance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// everyKind has a workload of every kind, each with live Pods: those of Jobs wait
// for a node that does not come, since others end at once.
const everyKind = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: app
        image: app:1
        ports: [{containerPort: 8080}]
        livenessProbe: {httpGet: {path: /healthz, port: 8080}}
        resources: {requests: {cpu: 0.1}}
      volumes: [{name: cache, emptyDir: {}}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  replicas: 2
  serviceName: store
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec:
      containers:
      - name: app
        image: app:1
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: app, image: "app:1"}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: lone}
spec:
  replicas: 1
  selector: {matchLabels: {app: lone}}
  template:
    metadata: {labels: {app: lone}}
    spec: {containers: [{name: app, image: "app:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, labels: {app: bare}}
spec: {containers: [{name: app, image: "app:1", command: [run], args: [--fast]}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  completions: 2
  parallelism: 2
  completionMode: Indexed
  template:
    metadata: {labels: {app: once}}
    spec: {restartPolicy: Never, nodeSelector: {none: has-it}, containers: [{name: app, image: "app:1"}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 0 1 1 *"
  jobTemplate:
    spec:
      template:
        metadata: {labels: {app: nightly}}
        spec: {restartPolicy: Never, nodeSelector: {none: has-it}, containers: [{name: app, image: "app:1"}]}
`

// inEveryState returns the lines of auditNamespace for everyKind.
func inEveryState(state string) []string {
	lines := []string{}
	for workload, pods := range map[string]int{
		"Deployment/web": 2, "StatefulSet/store": 2, "DaemonSet/agent": 2, "ReplicaSet/lone": 1,
		"Pod/bare": 1, "Job/once": 2, "CronJob/nightly": 1,
	} {
		lines = append(lines, fmt.Sprintf("%s %s %d", workload, state, pods))
	}
	return lines
}

// workloadsOfEveryKind makes a namespace with a workload of every kind.
func workloadsOfEveryKind(t *testing.T, c *cluster.Cluster, labels map[string]string) string {
	t.Helper()
	namespace := namespaceWith(t, c, labels)
	apply(t, c, namespace, everyKind)
	rolledOut(t, c, namespace, "deployment/web", "statefulset/store", "daemonset/agent")
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "create", "job", "nightly-1", "--from=cronjob/nightly"); err != nil {
		t.Fatal(err)
	}
	for label, n := range map[string]int{"app=lone": 1, "app=bare": 1, "app=once": 2, "app=nightly": 1} {
		podsExist(t, c, namespace, label, n)
	}
	return namespace
}

// podsExist waits for n Pods with the label.
func podsExist(t *testing.T, c *cluster.Cluster, namespace, label string, n int) {
	t.Helper()
	err := cluster.Poll(t.Context(), fmt.Sprintf("%d Pods with %s", n, label), func(ctx context.Context) error {
		list, err := c.Client().CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: label})
		if err == nil && len(list.Items) != n {
			err = fmt.Errorf("there are %d", len(list.Items))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// label changes a namespace's labels with a merge patch, and waits until
// admission, which learns of it through an informer, satisfies settled.
func label(t *testing.T, c *cluster.Cluster, namespace, labels string, settled func(*corev1.Pod) bool) {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":%s}}`, labels)
	if _, err := c.Client().CoreV1().Namespaces().Patch(t.Context(), namespace, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	admits(t, c, namespace, settled)
}

// admits waits until a dry-run Pod of the namespace satisfies settled.
func admits(t *testing.T, c *cluster.Cluster, namespace string, settled func(*corev1.Pod) bool) {
	t.Helper()
	err := cluster.Poll(t.Context(), "admission in "+namespace+" to settle", func(ctx context.Context) error {
		pod, err := dryRunPod(ctx, c, namespace)
		if err == nil && !settled(pod) {
			err = fmt.Errorf("a Pod comes back with %s, annotations %v", containerNames(*pod), pod.Annotations)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// refuses waits until a dry-run Pod of the namespace is refused with a message
// that contains the text.
func refuses(t *testing.T, c *cluster.Cluster, namespace, text string) {
	t.Helper()
	err := cluster.Poll(t.Context(), "admission in "+namespace+" to refuse", func(ctx context.Context) error {
		_, err := dryRunPod(ctx, c, namespace)
		if err == nil {
			return errors.New("the Pod was admitted")
		}
		if !strings.Contains(err.Error(), text) {
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// dryRunPod returns what admission makes of a Pod of one container app.
func dryRunPod(ctx context.Context, c *cluster.Cluster, namespace string) (*corev1.Pod, error) {
	return c.Client().CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:1"}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

func hasProxy(pod *corev1.Pod) bool {
	return strings.Contains(containerNames(*pod), istio.ProxyContainer)
}

func hasNoProxy(pod *corev1.Pod) bool { return !hasProxy(pod) }

func hasStamp(pod *corev1.Pod) bool { return pod.Annotations[fingerprint.StampAnnotation] != "" }

// requests returns a condition on the CPU that admission gives a container app.
func requests(cpu string) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool {
		for _, container := range pod.Spec.Containers {
			if container.Name == "app" {
				return container.Resources.Requests.Cpu().String() == cpu
			}
		}
		return false
	}
}
