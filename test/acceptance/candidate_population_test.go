package acceptance

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// shapes are fields of Pods that injectors go by, in YAML's flow style: annotations, the app's
// container, other containers, the Pod's spec.
var shapes = []struct{ annotations, app, containers, pod string }{
	{},
	{app: `ports: [{containerPort: 8080}, {containerPort: 53, protocol: UDP}], readinessProbe: {httpGet: {path: /ready, port: 8080}}, livenessProbe: {tcpSocket: {port: 8080}}`},
	{app: `resources: {limits: {cpu: "0.5", memory: 1Gi}}`, pod: `terminationGracePeriodSeconds: 5, securityContext: {runAsUser: 1000, fsGroup: 1000}`},
	{annotations: `sidecar.istio.io/proxyCPU: 250m, traffic.sidecar.istio.io/excludeInboundPorts: "8081"`},
	{annotations: `sidecar.istio.io/nativeSidecar: "true"`, pod: `initContainers: [{name: first, image: "first:1"}]`},
	{annotations: `proxy.istio.io/config: '{"holdApplicationUntilProxyStarts": true}'`, app: `lifecycle: {preStop: {sleep: {seconds: 1}}}`},
	{containers: `, {name: istio-proxy, image: auto, resources: {requests: {cpu: 300m}}}`},
	{containers: `, {name: helper, image: helper, env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: TWICE, value: "$(NODE)"}]}`},
	{pod: `automountServiceAccountToken: false, dnsPolicy: None, dnsConfig: {nameservers: [10.0.0.10]}, hostAliases: [{ip: 10.1.1.1, hostnames: [a]}]`},
	{app: `volumeMounts: [{name: config, mountPath: /config}, {name: scratch, mountPath: /tmp}]`, pod: `volumes: [{name: config, configMap: {name: kube-root-ca.crt}}, {name: scratch, emptyDir: {sizeLimit: 0.5Gi}}]`},
	{pod: `tolerations: [{key: dedicated, operator: Exists}], priorityClassName: system-cluster-critical, imagePullSecrets: [{name: own}]`},
	{pod: `topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: NAME}}}], enableServiceLinks: false`},
}

// populate makes so many workloads: every kind of owner with every shape, in turns, and waits
// for a Pod of each.
func populate(t *testing.T, c *cluster.Cluster, namespace string, workloads int) {
	t.Helper()
	kinds := []string{"Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet", "Pod", "Deployment"}
	var all strings.Builder
	for i := range workloads {
		shape, kind, name := shapes[i%len(shapes)], kinds[i%len(kinds)], fmt.Sprintf("w-%d", i)
		if kind == "Job" {
			// kwok ends others at once.
			shape.pod = strings.Trim(shape.pod+", restartPolicy: Never, nodeSelector: {none: has-it}", ", ")
		}
		template := fmt.Sprintf(`metadata: {labels: {app: %s}, annotations: {%s}}, spec: {containers: [{name: app, image: "app:1", %s}%s], %s}`,
			name, shape.annotations, shape.app, shape.containers, strings.ReplaceAll(shape.pod, "NAME", name))
		selector := fmt.Sprintf("selector: {matchLabels: {app: %s}}, ", name)
		switch kind {
		case "Pod":
			template = strings.Replace(template, "metadata: {", "metadata: {name: "+name+", ", 1)
			fmt.Fprintf(&all, "---\n{apiVersion: v1, kind: Pod, %s}\n", template)
		case "Job":
			fmt.Fprintf(&all, "---\n{apiVersion: batch/v1, kind: Job, metadata: {name: %s}, spec: {template: {%s}}}\n", name, template)
		case "StatefulSet":
			fmt.Fprintf(&all, "---\n{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: %s}, spec: {%sserviceName: %s, template: {%s}}}\n", name, selector, name, template)
		default:
			fmt.Fprintf(&all, "---\n{apiVersion: apps/v1, kind: %s, metadata: {name: %s}, spec: {%stemplate: {%s}}}\n", kind, name, selector, template)
		}
	}
	apply(t, c, namespace, all.String())
	err := cluster.Poll(t.Context(), "a Pod of each workload", func(ctx context.Context) error {
		pods, err := c.Client().CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, pod := range pods.Items {
			seen[pod.Labels["app"]] = true
		}
		for i := range workloads {
			if name := fmt.Sprintf("w-%d", i); !seen[name] {
				return fmt.Errorf("none of %s yet", name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// population is how many workloads a preview is proven with.
func population(short, long int) int {
	if *full {
		return long
	}
	return short
}
