package chart

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/test/chaos/churn"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// atPort returns the chart in another directory, as another version, with the webhook
// at a port of loopback: nothing answers for a Service in this cluster.
func atPort(t *testing.T, port int, version string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "sidecar-drift")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(copied, "Chart.yaml"), "version: 0.1.0\n", "version: "+version+"\n")
	file := filepath.Join(copied, "templates", "base", "webhook-configuration.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	start, end := bytes.Index(text, []byte("      service:\n")), bytes.Index(text, []byte("        port: 443\n"))
	if start < 0 || end < start {
		t.Fatalf("%s has no Service", file)
	}
	text = slices.Concat(text[:start], fmt.Appendf(nil, "      url: https://127.0.0.1:%d/stamp\n", port), text[end+len("        port: 443\n"):])
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return copied
}

func replace(t *testing.T, file, before, after string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(text, []byte(before)) != 1 {
		t.Fatalf("%s does not hold %q once", file, before)
	}
	if err := os.WriteFile(file, bytes.Replace(text, []byte(before), []byte(after), 1), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A release is installed, tested, upgraded and rolled back while Pods are created, of
// which each gets its stamp; a second one is refused; it goes without a trace.
func TestRelease(t *testing.T) {
	for _, h := range helms(t) {
		t.Run(h.name, func(t *testing.T) { testRelease(t, h) })
	}
}

func testRelease(t *testing.T, h helm) {
	c := testCluster
	t.Cleanup(func() { // where the test ends before
		_, _ = h.run(context.Background(), "uninstall", release, "-n", namespace)
		_, _ = c.Kubectl(context.Background(), "", "delete", "namespace", namespace, churn.Namespace, "--ignore-not-found")
	})
	var upgraded string
	product, err := install.StartWith(t.Context(), c, install.Options{
		Replicas: 1,
		Manifests: func(ctx context.Context, port int) error {
			upgraded = atPort(t, port, "0.2.0")
			chart := atPort(t, port, "0.1.0")
			// As the chart's README has it: the policies first.
			policies, err := h.run(ctx, "template", release, chart, "-n", namespace, "-s", "templates/base/dry-run-only-policy.yaml", "-s", "templates/base/rollout-only-policy.yaml")
			if err != nil {
				return err
			}
			if _, err := c.Kubectl(ctx, policies, "apply", "--server-side", "--field-manager=helm", "-f", "-"); err != nil {
				return err
			}
			out, err := h.run(ctx, "install", release, chart, "-n", namespace, "--create-namespace", "--take-ownership", "--wait", "--timeout", "3m",
				"--set", "rollout.enabled=true", "--set", "namespace.create=false")
			if err == nil && !strings.Contains(out, "sidecar-drift audit") {
				t.Errorf("the notes do not say what comes next:\n%s", out)
			}
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = product.Stop() })

	t.Run("is well", func(t *testing.T) { testDoctor(t, h, product) })
	t.Run("a second one", func(t *testing.T) {
		_, err := h.run(t.Context(), "install", "another", dir, "-n", "default")
		if err == nil || !strings.Contains(err.Error(), "installed in this cluster already, by the release "+namespace+"/"+release) {
			t.Errorf("it is refused with %v", err)
		}
	})
	t.Run("upgrade and rollback", func(t *testing.T) { testUpgrade(t, h, upgraded) })

	if _, err := c.Kubectl(t.Context(), "", "create", "namespace", churn.Namespace); err != nil {
		t.Fatal(err)
	}
	total, err := churn.Light().During(t.Context(), c.Client(), func(ctx context.Context) error {
		_, err := h.run(ctx, "uninstall", release, "-n", namespace)
		return err
	}, churn.Bare)
	t.Log("uninstall:", total)
	if err != nil || total.Failed > 0 {
		t.Errorf("uninstall: %s (%v); the first that could not be created: %v", total, err, total.FirstFailure)
	}
	_ = product.Stop() // the certificate controller, whose identity is gone, cannot end well
	for _, args := range [][]string{
		{"delete", "namespace", churn.Namespace},
		{"delete", "namespace", namespace}, // as docs/install.md says, with what the programs keep there
	} {
		if _, err := c.Kubectl(t.Context(), "", args...); err != nil {
			t.Fatal(err)
		}
	}
	left, err := install.Left(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left:\n%s", strings.Join(left, "\n"))
	}
}

// testDoctor plays the Pod of helm test, as nothing runs in this cluster's Pods.
func testDoctor(t *testing.T, h helm, product *install.Product) {
	c := testCluster
	tested := make(chan error, 1)
	go func() {
		_, err := h.run(t.Context(), "test", release, "-n", namespace, "--timeout", "5m")
		tested <- err
	}()
	pods := c.Client().CoreV1().Pods(namespace)
	err := cluster.Poll(t.Context(), "the Pod of helm test", func(ctx context.Context) error {
		pod, err := pods.Get(ctx, "sidecar-drift-doctor", metav1.GetOptions{})
		if err == nil && pod.Status.Phase != "Running" {
			err = fmt.Errorf("it is %s", pod.Status.Phase)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pod, err := pods.Get(t.Context(), "sidecar-drift-doctor", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), namespace, pod.Spec.ServiceAccountName)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), product.CLI, append(pod.Spec.Containers[0].Args, "--kubeconfig", kubeconfig)...)
	out, err := command.CombinedOutput()
	t.Logf("%s %s says:\n%s", pod.Spec.Containers[0].Command, pod.Spec.Containers[0].Args, out)
	phase := "Succeeded"
	if err != nil {
		phase = "Failed"
	}
	if _, err := pods.Patch(t.Context(), pod.Name, types.MergePatchType, fmt.Appendf(nil, `{"status":{"phase":%q}}`, phase), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	if err := <-tested; err != nil {
		t.Error(err)
	}
}

// testUpgrade upgrades to another version with other values, and goes back.
func testUpgrade(t *testing.T, h helm, upgraded string) {
	c := testCluster
	if _, err := c.Kubectl(t.Context(), "", "create", "namespace", churn.Namespace); err != nil {
		t.Fatal(err)
	}
	values := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(values, []byte("stamper: {replicas: 3}\nconfiguration: {interval: 45s}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := certificates(t)
	total, err := churn.Light().During(t.Context(), c.Client(), func(ctx context.Context) error {
		if _, err := h.run(ctx, "upgrade", release, upgraded, "-n", namespace, "--wait", "--timeout", "3m", "-f", values, "--set", "rollout.enabled=true"); err != nil {
			return err
		}
		deployment, err := c.Client().AppsV1().Deployments(namespace).Get(ctx, "sidecar-drift-webhook", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if *deployment.Spec.Replicas != 3 {
			return fmt.Errorf("the stamper has %d replicas, want 3", *deployment.Spec.Replicas)
		}
		_, err = h.run(ctx, "rollback", release, "1", "-n", namespace, "--wait", "--timeout", "3m")
		return err
	}, churn.Stamped)
	t.Log("upgrade and rollback:", total)
	if err != nil || total.Failed > 0 || total.Unstamped > 0 {
		t.Errorf("%s (%v); the first that could not be created: %v", total, err, total.FirstFailure)
	}
	if diff := cmp.Diff(before, certificates(t)); diff != "" {
		t.Errorf("it has touched what the certificate controller keeps (-before +after):\n%s", diff)
	}
	deployment, err := c.Client().AppsV1().Deployments(namespace).Get(t.Context(), "sidecar-drift-webhook", metav1.GetOptions{})
	if err != nil || *deployment.Spec.Replicas != 2 {
		t.Errorf("after the rollback the stamper has not 2 replicas (%v)", err)
	}
	if _, err := c.Kubectl(t.Context(), "", "delete", "namespace", churn.Namespace); err != nil {
		t.Fatal(err)
	}
}

// certificates are what the certificate controller keeps: the versions of its Secrets,
// and the bundle.
func certificates(t *testing.T) map[string]string {
	t.Helper()
	kept := map[string]string{}
	for _, name := range []string{"sidecar-drift-ca", "sidecar-drift-webhook-tls"} {
		secret, err := testCluster.Client().CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		kept[name] = secret.ResourceVersion
	}
	configuration, err := testCluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), install.WebhookConfiguration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if kept["caBundle"] = string(configuration.Webhooks[0].ClientConfig.CABundle); kept["caBundle"] == "" {
		t.Error("there is no bundle")
	}
	return kept
}
