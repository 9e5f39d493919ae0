package chart

import (
	"context"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// What was applied becomes a release, if one says so: nothing is deleted or created anew,
// and the release goes without a trace as any other.
func TestAdoption(t *testing.T) {
	for _, h := range helms(t) {
		t.Run(h.name, func(t *testing.T) { testAdoption(t, h) })
	}
}

func testAdoption(t *testing.T, h helm) {
	c := testCluster
	t.Cleanup(func() { // where the test ends before
		_, _ = h.run(context.Background(), "uninstall", release, "-n", namespace)
		_, _ = c.Kubectl(context.Background(), "", "delete", "--ignore-not-found", "-k", manifests)
	})
	for range 2 { // bindings may come before what they bind
		if _, err := c.Kubectl(t.Context(), "", "apply", "--server-side", "-k", manifests); err != nil {
			t.Fatal(err)
		}
	}
	before := identities(t)

	take := []string{"install", release, dir, "-n", namespace, "--take-ownership"}
	if _, err := h.run(t.Context(), take...); err == nil || !strings.Contains(err.Error(), "--set adopt=true") {
		t.Errorf("without a word about adoption: %v", err)
	}
	var force []string
	if h.name == "Helm 4" { // which applies on the server's side
		force = []string{"--force-conflicts"}
	}
	h.must(t, slices.Concat(take, []string{"--set", "adopt=true"}, force)...)
	for name, uid := range identities(t) {
		if before[name] != uid {
			t.Errorf("%s is not the object that it was", name)
		}
	}
	h.must(t, append([]string{"upgrade", release, dir, "-n", namespace, "--set", "stamper.replicas=3"}, force...)...)
	deployment, err := c.Client().AppsV1().Deployments(namespace).Get(t.Context(), "sidecar-drift-webhook", metav1.GetOptions{})
	if err != nil || *deployment.Spec.Replicas != 3 || deployment.Labels["app.kubernetes.io/managed-by"] != "Helm" {
		t.Errorf("an upgrade afterwards: %v, %v", deployment, err)
	}
	h.must(t, "uninstall", release, "-n", namespace)
	if _, err := c.Kubectl(t.Context(), "", "delete", "namespace", namespace); err != nil {
		t.Fatal(err)
	}
	if left, err := install.Left(t.Context(), c); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// identities are the UIDs of what an upgrade must not replace.
func identities(t *testing.T) map[string]string {
	t.Helper()
	out, err := testCluster.Kubectl(t.Context(), "", "get", "-A", "-l", "app.kubernetes.io/part-of=sidecar-drift", "--no-headers",
		"-o", "custom-columns=KIND:.kind,NAME:.metadata.name,UID:.metadata.uid",
		"deployments,services,serviceaccounts,clusterroles,mutatingwebhookconfigurations,validatingadmissionpolicies")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) == 3 {
			found[fields[0]+"/"+fields[1]] = fields[2]
		}
	}
	if len(found) < 8 {
		t.Fatalf("too little is installed:\n%s", out)
	}
	return found
}
