package acceptance

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

const statefulSets = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: llm}
spec:
  replicas: 3
  serviceName: llm
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: llm}}
  template: {metadata: {labels: {app: llm}}, spec: {containers: [{name: app, image: "app:1"}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: app, image: "app:1", volumeMounts: [{name: data, mountPath: /data}]}]}}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]
`

// What an injector derives from a Pod's ordinal (LeaderWorkerSet, TPU ids), or looks up
// by its claim (JuiceFS, gcsfuse), is no drift, and hides none; what it derives in a way
// that two answers do not tell is left out, and said.
func TestAuditOfOrdinalsAndClaims(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	proxy.Inject(func(r injector.Request) []injector.Operation {
		operations := proxy.patch(r)
		sidecar := operations[0].Value.(corev1.Container)
		_, index, _ := strings.Cut(r.Pod.Name, "llm-")
		for _, volume := range r.Pod.Spec.Volumes {
			if volume.PersistentVolumeClaim == nil {
				continue
			}
			claim := volume.PersistentVolumeClaim.ClaimName
			pvc, err := c.Client().CoreV1().PersistentVolumeClaims(namespace).Get(t.Context(), claim, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil // as gcsfuse does
			}
			sidecar.Args = append(sidecar.Args, "mount", claim)
			sidecar.Env = append(sidecar.Env, corev1.EnvVar{Name: "HANDLE", Value: string(pvc.UID)})
		}
		if index != "" {
			n, err := strconv.Atoi(index)
			if err != nil {
				t.Error(err)
			}
			sidecar.Env = []corev1.EnvVar{
				{Name: "LWS_WORKER_INDEX", Value: index}, {Name: "RANK_" + index, Value: "of " + r.Pod.Labels["apps.kubernetes.io/pod-index"]},
				{Name: "WORDS", Value: []string{"zero", "one", "two", "three", "four"}[n]},
			}
		}
		operations[0] = injector.AddContainer(sidecar)
		return operations
	})
	apply(t, c, namespace, statefulSets)
	rolledOut(t, c, namespace, "statefulset/llm", "statefulset/db")

	r := auditNamespace(t, c, namespace, "StatefulSet/db InSync 2", "StatefulSet/llm InSync 3")
	for name, place := range map[string]string{"llm": "WORDS", "db": "HANDLE"} {
		want := "they follow the Pod's ordinal, or its claims, in a way of their own: container/proxy:env[" + place + "].value"
		if reason := reasonOf(t, r, "StatefulSet", name); !strings.Contains(reason, want) {
			t.Errorf("%s: reason %q", name, reason)
		}
	}
	proxy.setImage("proxy:2")
	r = auditNamespace(t, c, namespace, "StatefulSet/db Drifted 2", "StatefulSet/llm Drifted 3")
	for _, name := range []string{"db", "llm"} {
		if diff := cmp.Diff([]string{`container/proxy image: "proxy:1" → "proxy:2"`}, changeLines(itemOf(t, r, "StatefulSet", name).Revisions[0].Changes)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "--include-statefulset"), map[string]report.Result{
		"StatefulSet/db": report.RolledOut, "StatefulSet/llm": report.RolledOut,
	})
	// A value that is random, and no ordinal's: that there is one now is a difference, what
	// it is is none.
	n := 0
	proxy.setMore(func() []injector.Operation {
		n++
		return []injector.Operation{{Op: "add", Path: "/spec/hostAliases", Value: []corev1.HostAlias{{IP: "10.0.0.1", Hostnames: []string{fmt.Sprintf("h%d", n)}}}}}
	})
	const aliases = "pod:hostAliases[10.0.0.1]"
	item := itemOf(t, auditOf(t, c, inventory.Selection{Namespace: namespace}), "StatefulSet", "llm")
	if changes := item.Revisions[0].Changes; item.State != verdict.Drifted || len(changes) != 1 || changes[0].Place() != aliases {
		t.Errorf("%s: %v, want it Drifted at %s", item.State, changeLines(changes), aliases)
	}
	checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "--include-statefulset", "sts/llm"),
		map[string]report.Result{"StatefulSet/llm": report.RolledOut})
	if item := itemOf(t, auditOf(t, c, inventory.Selection{Namespace: namespace}), "StatefulSet", "llm"); item.State != verdict.Unstable {
		t.Errorf("%+v, want it Unstable", item)
	}
}
