package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
)

// The demo on somebody's cluster shows drift and its cure, refuses to run over what is
// there, and leaves nothing.
func TestBorrowedCluster(t *testing.T) {
	theirs := clustertest.New(t, cluster.Options{})
	t.Setenv("PATH", filepath.Dir(theirs.KubectlPath())+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv(cluster.ExternalKubeconfigVariable, "")
	var out bytes.Buffer
	s := stage{out: &out}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.borrow(t.Context(), theirs.Kubeconfig()); err != nil {
		t.Fatal(err)
	}
	if err := s.playBorrowed(t.Context()); err != nil {
		t.Fatalf("%v after\n%s", err, &out)
	}
	for _, shown := range []string{"proxy image 1.36 → 1.37", "cpu 5m → 10m", "3 workloads: 3 RolledOut", "7 InSync; drift 0.0 %"} {
		if !strings.Contains(out.String(), shown) {
			t.Errorf("it does not show %q:\n%s", shown, &out)
		}
	}
	if err := s.playBorrowed(t.Context()); err == nil || !strings.Contains(err.Error(), "make demo-down DEMO_KUBECONFIG") {
		t.Errorf("over what is there: %v", err)
	}
	if err := s.giveBack(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := theirs.Client()
	if _, err := client.CoreV1().Namespaces().Get(t.Context(), borrowedName, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace is left: %v", err)
	}
	leases, err := client.CoordinationV1().Leases("").List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=sidecar-drift-rollout"})
	if err != nil || len(leases.Items) > 0 {
		t.Errorf("a Lease is left: %v, %v", leases, err)
	}
	policies, err := client.AdmissionregistrationV1().MutatingAdmissionPolicies().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(policies.Items) > 0 {
		t.Errorf("policies are left: %v, %v", policies, err)
	}
}
