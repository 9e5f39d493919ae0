package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// running is a rollout command that has been started.
type running struct {
	*exec.Cmd
	out, errOut bytes.Buffer
}

func startRollout(t *testing.T, c *cluster.Cluster, args ...string) *running {
	t.Helper()
	product := testProduct(t)
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), install.Namespace, install.RolloutAccount)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{}
	r.Cmd = exec.CommandContext(t.Context(), product.CLI, append([]string{"rollout", "--kubeconfig", kubeconfig}, args...)...)
	r.Stdout, r.Stderr = &r.out, &r.errOut
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// end waits for the command and checks its exit code.
func (r *running) end(t *testing.T, exitCode int) {
	t.Helper()
	_ = r.Wait()
	if got := r.ProcessState.ExitCode(); got != exitCode {
		t.Fatalf("exit code %d, want %d\n%s\n%s", got, exitCode, &r.out, &r.errOut)
	}
}

// restartTimes are when the restarted Deployments of a namespace were.
func restartTimes(t *testing.T, c *cluster.Cluster, namespace string) map[string]string {
	t.Helper()
	deployments, err := c.Client().AppsV1().Deployments(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]string{}
	for _, d := range deployments.Items {
		if at := d.Spec.Template.Annotations["sidecarRollout.rollout.timestamp"]; at != "" {
			times[d.Name] = at
		}
	}
	return times
}

// awaitRestarted waits until so many workloads have been restarted.
func awaitRestarted(t *testing.T, c *cluster.Cluster, namespace string, n int) {
	t.Helper()
	err := cluster.Poll(t.Context(), fmt.Sprintf("%d restarts", n), func(context.Context) error {
		if times := restartTimes(t, c, namespace); len(times) < n {
			return fmt.Errorf("restarted: %v", times)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// awaitHolder waits until the rollout's Lease has a holder that is called so.
func awaitHolder(t *testing.T, c *cluster.Cluster, part string) *coordinationv1.Lease {
	t.Helper()
	var lease *coordinationv1.Lease
	err := cluster.Poll(t.Context(), "the Lease's holder "+part, func(ctx context.Context) (err error) {
		lease, err = c.Client().CoordinationV1().Leases(install.Namespace).Get(ctx, rollout.LeaseName, metav1.GetOptions{})
		if err == nil && (lease.Spec.HolderIdentity == nil || !strings.Contains(*lease.Spec.HolderIdentity, part)) {
			err = errors.New("held by another one")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

// driftedDeployments are n Deployments d-00, d-01, … that drifted.
func driftedDeployments(t *testing.T, c *cluster.Cluster, injector *istio.Injector, n int) (namespace string) {
	t.Helper()
	namespace = namespaceWith(t, c, injected)
	var manifests strings.Builder
	for i := range n {
		fmt.Fprintf(&manifests, `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d-%02[1]d}
spec:
  minReadySeconds: 1
  selector: {matchLabels: {app: d-%02[1]d}}
  template: {metadata: {labels: {app: d-%02[1]d}}, spec: {containers: [{name: app, image: "app:1"}]}}
`, i)
	}
	apply(t, c, namespace, manifests.String())
	for i := range n {
		rolledOut(t, c, namespace, fmt.Sprintf("deployment/d-%02d", i))
	}
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	return namespace
}

// One run at a time rolls out: a second one says who does, and changes nothing.
// A run that is killed leaves a Lease that ends; the next one goes on with what
// is left and restarts nothing twice.
func TestRolloutIsKilledAndRunAgain(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	const workloads = 8
	namespace := driftedDeployments(t, c, injector, workloads)
	first := startRollout(t, c, "-n", namespace, "--confirm")
	lease := awaitHolder(t, c, fmt.Sprintf("process %d,", first.Process.Pid))
	second := startRollout(t, c, "-n", namespace, "--confirm")
	if second.end(t, 1); second.out.Len() > 0 {
		t.Errorf("stdout %q", &second.out)
	}
	for _, want := range []string{*lease.Spec.HolderIdentity, lease.Spec.AcquireTime.UTC().Format(time.RFC3339), "watching for at most"} {
		if !strings.Contains(second.errOut.String(), want) {
			t.Errorf("stderr %q, want %q in it", &second.errOut, want)
		}
	}
	awaitRestarted(t, c, namespace, 2)
	if err := first.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	before := restartTimes(t, c, namespace)
	if len(before) == workloads {
		t.Fatal("all were restarted before the run was killed")
	}
	plan := startRollout(t, c, "-n", namespace)
	plan.end(t, 0) // a plan needs no Lease
	err := cluster.Poll(t.Context(), "the Lease's end", func(context.Context) error {
		again := startRollout(t, c, "-n", namespace, "--confirm", "--parallel-rollouts", "8", "-o", "json")
		if _ = again.Wait(); again.ProcessState.ExitCode() != 0 {
			time.Sleep(time.Second) // each is a whole run
			return fmt.Errorf("exit code %d: %s", again.ProcessState.ExitCode(), &again.errOut)
		}
		var r report.Report
		if err := json.Unmarshal(again.out.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		for _, item := range r.Items {
			if item.Rollout.Result != report.RolledOut {
				t.Errorf("%s is %s: %s", item.Name, item.Rollout.Result, item.Rollout.Reason)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	after := restartTimes(t, c, namespace)
	for name, at := range before {
		if after[name] != at {
			t.Errorf("%s was restarted twice: %s and %s", name, at, after[name])
		}
	}
	if len(after) != workloads {
		t.Errorf("restarted: %v, want all of them", after)
	}
	var inSync []string
	for i := range workloads {
		inSync = append(inSync, fmt.Sprintf("Deployment/d-%02d InSync 1", i))
	}
	auditNamespace(t, c, namespace, inSync...)
	if free := startRollout(t, c, "-n", namespace, "--confirm"); true {
		free.end(t, 0) // at once: the last run gave the Lease back
	}
}

// The first interrupt waits for what is under way and says how to go on, the
// second leaves at once.
func TestRolloutCommandIsInterrupted(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	namespace := driftedDeployments(t, c, injector, 3)
	r := startRollout(t, c, "-n", namespace, "--confirm")
	awaitRestarted(t, c, namespace, 1)
	if err := r.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	r.end(t, 1)
	times := restartTimes(t, c, namespace)
	if len(times) == 3 {
		t.Fatal("all were restarted before the run was interrupted")
	}
	for _, want := range []string{
		"Interrupted: nothing new starts; waiting for Deployment " + namespace + "/d-0",
		"Interrupt again to leave at once.",
		fmt.Sprintf("Deployment %s/d-00: RolledOut after ", namespace),
		"To go on with what still drifts:\n  sidecar-drift rollout --kubeconfig ",
		"--namespace " + namespace + " --confirm",
	} {
		if !strings.Contains(r.errOut.String(), want) {
			t.Errorf("stderr lacks %q:\n%s", want, &r.errOut)
		}
	}
	if !strings.Contains(r.out.String(), "Interrupted") || strings.Contains(r.out.String(), "d-00       Deployment  d-00   Drifted  1     Interrupted") {
		t.Errorf("report:\n%s", &r.out)
	}

	for n := range 3 { // or one is over before the second signal
		name := fmt.Sprintf("d-%02d", n)
		if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "patch", "deployment", name, "-p", `{"spec":{"minReadySeconds":5}}`); err != nil {
			t.Fatal(err)
		}
		rolledOut(t, c, namespace, "deployment/"+name)
	}
	again := startRollout(t, c, "-n", namespace, "--confirm")
	awaitRestarted(t, c, namespace, len(times)+1)
	for range 2 {
		if err := again.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // two signals at once may be taken for one
	}
	again.end(t, 1)
	if !strings.Contains(again.out.String(), "left while its Pods were being replaced") {
		t.Errorf("report:\n%s\n%s", &again.out, &again.errOut)
	}
}
