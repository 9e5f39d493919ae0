package chart

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/certmanager"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// trust is what vouches for the stamper: the certificates' Secrets and the caBundle.
func trust(ctx context.Context, c *cluster.Cluster) (map[string]string, error) {
	found := map[string]string{}
	configuration, err := c.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, "zz-sidecar-drift", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	found["caBundle"] = string(configuration.Webhooks[0].ClientConfig.CABundle)
	for _, name := range []string{"sidecar-drift-ca", "sidecar-drift-webhook-tls"} {
		secret, err := c.Client().CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		found[name] = string(secret.Data["tls.crt"])
		if secret.Annotations["cert-manager.io/certificate-name"] == "" {
			return nil, fmt.Errorf("the Secret %s is not cert-manager's", name)
		}
	}
	for what, text := range found {
		if text == "" {
			return nil, errors.New(what + " is empty")
		}
	}
	return found, nil
}

// A release has its certificates of the real cert-manager. An upgrade and a rollback leave them, and
// the caBundle that cert-manager injects, as they are; the release goes with its Certificates.
func TestReleaseWithCertManager(t *testing.T) {
	c := clustertest.New(t, cluster.Options{})
	if _, err := certmanager.Start(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	h := helms(t)[0]
	must := func(args ...string) {
		t.Helper()
		if out, err := h.run(t.Context(), append(args, "-n", namespace, "--kubeconfig", c.Kubeconfig())...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	must("install", release, dir, "--create-namespace", "--set", "certificates.mode=certManager", "--set", "namespace.create=false")
	var issued map[string]string
	err := cluster.Poll(t.Context(), "certificates of cert-manager's", func(ctx context.Context) (err error) {
		issued, err = trust(ctx, c)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range [][]string{
		{"upgrade", release, dir, "--reuse-values", "--set", "stamper.replicas=3"},
		{"rollback", release, "1"},
	} {
		must(step...)
		now, err := trust(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(issued, now); diff != "" {
			t.Errorf("%s changes what vouches for the stamper (-before +after):\n%s", step[0], diff)
		}
	}
	must("uninstall", release, "--wait")
	if out, err := c.Kubectl(t.Context(), "", "get", "certificates,issuers", "-A", "-o", "name"); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("left of cert-manager's kinds: %s %v", out, err)
	}
	if _, err := c.Kubectl(t.Context(), "", "delete", "namespace", namespace); err != nil {
		t.Fatal(err)
	}
	if left, err := install.Left(t.Context(), c); err != nil || len(left) > 0 {
		t.Errorf("left:\n%s\n%v", strings.Join(left, "\n"), err)
	}
}
