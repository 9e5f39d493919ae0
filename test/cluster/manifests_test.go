package cluster_test

import (
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

const kustomization = `
resources: [webhook.yaml]
`

// The first webhook refers to a Service, the second has a URL already.
const webhook = `
apiVersion: v1
kind: Namespace
metadata: {name: stamps}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: zz-test}
webhooks:
- name: service.example.com
  clientConfig: {service: {namespace: stamps, name: webhook, path: /stamp}}
  failurePolicy: Ignore
  sideEffects: None
  admissionReviewVersions: [v1]
- name: url.example.com
  clientConfig: {url: "https://example.com/stamp"}
  failurePolicy: Ignore
  sideEffects: None
  admissionReviewVersions: [v1]
`

func TestInstallManifestsReplacesServices(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"kustomization.yaml": kustomization, "webhook.yaml": webhook} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := shared.InstallManifests(t.Context(), dir, 9443); err != nil {
		t.Fatal(err)
	}
	if _, err := shared.Client().CoreV1().Namespaces().Get(t.Context(), "stamps", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	want := []admissionregistrationv1.WebhookClientConfig{
		{URL: new("https://127.0.0.1:9443/stamp")},
		{URL: new("https://example.com/stamp")},
	}
	if diff := cmp.Diff(want, clientConfigs(t, "zz-test")); diff != "" {
		t.Errorf("clientConfig (-want +got):\n%s", diff)
	}
}

func TestRegisterWebhookCreatesAndReplaces(t *testing.T) {
	cert, err := cluster.NewServingCert(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sideEffects := admissionregistrationv1.SideEffectClassNone
	config := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "registered"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "service.example.com",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				Service: &admissionregistrationv1.ServiceReference{Namespace: "stamps", Name: "webhook", Path: new("/inject")},
			},
			SideEffects:             &sideEffects,
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
	for _, port := range []int{9443, 9444} {
		if err := shared.RegisterWebhook(t.Context(), config, port, cert.CA); err != nil {
			t.Fatal(err)
		}
	}
	want := []admissionregistrationv1.WebhookClientConfig{{URL: new("https://127.0.0.1:9444/inject"), CABundle: cert.CA}}
	if diff := cmp.Diff(want, clientConfigs(t, "registered")); diff != "" {
		t.Errorf("clientConfig (-want +got):\n%s", diff)
	}
	if config.Webhooks[0].ClientConfig.Service == nil {
		t.Error("RegisterWebhook changed its argument")
	}
}

func clientConfigs(t *testing.T, name string) []admissionregistrationv1.WebhookClientConfig {
	t.Helper()
	config, err := shared.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().
		Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var clients []admissionregistrationv1.WebhookClientConfig
	for _, webhook := range config.Webhooks {
		clients = append(clients, webhook.ClientConfig)
	}
	return clients
}

func TestWriteSecretFilesFollowsTheSecret(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "tls", Namespace: "default"}}
	secrets := shared.Client().CoreV1().Secrets("default")
	secret, err := secrets.Create(t.Context(), secret, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []map[string][]byte{
		{"tls.crt": []byte("one"), "old": []byte("gone later")},
		{"tls.crt": []byte("two"), "tls.key": []byte("new")},
	} {
		secret.Data = data
		if secret, err = secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := shared.WriteSecretFiles(t.Context(), "default", "tls", dir); err != nil {
			t.Fatal(err)
		}
		got := map[string][]byte{}
		files, err := filepath.Glob(filepath.Join(dir, "[^.]*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if got[filepath.Base(file)], err = os.ReadFile(file); err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff(data, got); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	}
	if versions, _ := filepath.Glob(filepath.Join(dir, "..version-*")); len(versions) != 1 {
		t.Errorf("%d versions are kept, want the current one", len(versions))
	}
}

func TestServingCertIsTrustedThroughItsCA(t *testing.T) {
	cert, err := cluster.NewServingCert(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert.CertFile, cert.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		if err := pair.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if block, _ := pem.Decode(cert.CA); block == nil || block.Type != "CERTIFICATE" {
		t.Errorf("CA is not a PEM certificate: %q", cert.CA)
	}
}
