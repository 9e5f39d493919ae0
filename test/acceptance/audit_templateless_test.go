package acceptance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// appendsOptions is an injector that adds to a variable of the app's, as Java agents'
// do, which changes it again each time that it is asked.
func appendsOptions(image string) injector.Answer {
	return func(r injector.Request) []injector.Operation {
		app := r.Pod.Spec.Containers[0]
		at := slices.IndexFunc(app.Env, func(v corev1.EnvVar) bool { return v.Name == "JAVA_TOOL_OPTIONS" })
		var operations []injector.Operation
		if at >= 0 {
			operations = append(operations, injector.Operation{
				Op: "replace", Path: fmt.Sprintf("/spec/containers/0/env/%d/value", at), Value: app.Env[at].Value + " -javaagent:/agent.jar",
			})
		}
		if !slices.ContainsFunc(r.Pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == "proxy" }) {
			operations = append(operations, injector.AddContainer(corev1.Container{Name: "proxy", Image: image}))
		}
		return operations
	}
}

// What admission adds to a Pod whose template is not known is added again when it is
// asked about: that is no difference, and said. Pods that a Deployment controls itself,
// as Flink's, are such Pods, and make nothing of the Deployment's approximate.
func TestAuditOfPodsWithoutATemplate(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, running := startOwnInjector(t, c, appendsOptions("proxy:1"))
	const spec = `{containers: [{name: app, image: "app:1", env: [{name: JAVA_TOOL_OPTIONS, value: -Xmx1g}]}]}`
	apply(t, c, namespace, `
apiVersion: v1
kind: Pod
metadata: {name: bare}
spec: `+spec+`
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: flink}
spec:
  selector: {matchLabels: {app: flink}}
  template: {metadata: {labels: {app: flink}}, spec: `+spec+`}
`)
	rolledOut(t, c, namespace, "deployment/flink")
	flink, err := c.Client().AppsV1().Deployments(namespace).Get(t.Context(), "flink", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, c, namespace, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: flink-taskmanager-1-1
  labels: {app: taskmanager}
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: flink, uid: %s, controller: true}]
spec: %s
`, flink.UID, spec))
	r := auditNamespace(t, c, namespace, "Deployment/flink InSync 1", "Pod/bare InSync 1", "Pod/flink-taskmanager-1-1 InSync 1")
	for name, want := range map[string]string{
		"bare":                  "not compared, as admission changes them again each time, and what they were before is not known: app/app:env[JAVA_TOOL_OPTIONS].value",
		"flink-taskmanager-1-1": "Deployment flink controls it, which has Pods of its own only through others",
	} {
		if reason := reasonOf(t, r, "Pod", name); !strings.Contains(reason, want) {
			t.Errorf("%s: reason %q, want %q", name, reason, want)
		}
	}
	running.Inject(appendsOptions("proxy:2"))
	r = auditNamespace(t, c, namespace, "Deployment/flink Drifted 1", "Pod/bare Drifted 1", "Pod/flink-taskmanager-1-1 Drifted 1")
	if item := itemOf(t, r, "Deployment", "flink"); item.State != verdict.Drifted || !item.Rollout.Eligible {
		t.Errorf("%+v, want it eligible", item)
	}
}
