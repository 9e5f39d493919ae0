package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// rolloutCommand runs the built "sidecar-drift rollout" under the installed
// rollout identity and returns its report. The exit code is checked.
func rolloutCommand(t *testing.T, c *cluster.Cluster, exitCode int, args ...string) *report.Report {
	t.Helper()
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), install.Namespace, install.RolloutAccount)
	if err != nil {
		t.Fatal(err)
	}
	return rolloutCommandAs(t, kubeconfig, exitCode, args...)
}

// rolloutCommandAs runs it as whom the kubeconfig says.
func rolloutCommandAs(t *testing.T, kubeconfig string, exitCode int, args ...string) *report.Report {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testProduct(t).CLI, append([]string{"rollout", "--kubeconfig", kubeconfig, "-o", "json"}, args...)...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != exitCode {
		t.Fatalf("rollout %s: exit code %d, want %d\n%s\n%s", strings.Join(args, " "), got, exitCode, &out, &errOut)
	}
	var r report.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("rollout %s: %v\n%s\n%s", strings.Join(args, " "), err, &out, &errOut)
	}
	if r.Kind != report.RolloutReport {
		t.Errorf("kind %s, want %s", r.Kind, report.RolloutReport)
	}
	return &r
}

// versionsIn are the resource versions of all that a rollout could change.
func versionsIn(t *testing.T, c *cluster.Cluster, namespace string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), "", "-n", namespace, "get", "pods,deployments,replicasets,statefulsets,daemonsets,controllerrevisions,jobs,cronjobs",
		"-o", `jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func podUIDs(t *testing.T, c *cluster.Cluster, namespace string, labels ...string) map[string]map[types.UID]bool {
	t.Helper()
	all := map[string]map[types.UID]bool{}
	for _, label := range labels {
		all[label] = uids(t, c, namespace, label)
	}
	return all
}

// The main job: what drifted is rolled out, kind by kind as it is asked for,
// and nothing else is touched.
func TestRolloutOfWhatDrifted(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	namespace, plain := workloadsOfEveryKind(t, c, injected), namespaceWith(t, c, nil)
	deployWeb(t, c, plain, 1, "plain")
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	deployWeb(t, c, namespace, 1, "fresh")
	kept := []string{"app=fresh", "app=lone", "app=bare", "app=once", "app=nightly"}
	renewed := []string{"app=web", "app=store", "app=agent"}
	keptBefore, renewedBefore := podUIDs(t, c, namespace, kept...), podUIDs(t, c, namespace, renewed...)
	plainBefore := versionsIn(t, c, plain)
	everywhere := []string{"--include-namespace", namespace, "--include-namespace", plain}
	with := func(args ...string) []string { return append(args, everywhere...) }

	before := versionsIn(t, c, namespace)
	for _, unconfirmed := range [][]string{with(), with("--confirm=false"), with("--confirm=False", "--all")} {
		r := rolloutCommand(t, c, 0, unconfirmed...)
		if item := itemOf(t, r, "Deployment", "web"); item.Rollout.Result != report.Planned || !item.Rollout.Eligible {
			t.Errorf("%v: web is %+v, want it Planned", unconfirmed, item.Rollout)
		}
		if diff := cmp.Diff(before, versionsIn(t, c, namespace)); diff != "" {
			t.Fatalf("%v has changed something (-before +after):\n%s", unconfirmed, diff)
		}
	}

	left := map[string]report.Result{
		"ReplicaSet/lone": report.Skipped, "Pod/bare": report.Skipped, "Job/once": report.Skipped, "CronJob/nightly": report.Skipped,
	}
	plus := func(more map[string]report.Result) map[string]report.Result {
		for name, result := range left {
			more[name] = result
		}
		return more
	}
	first := rolloutCommand(t, c, 0, with("--confirm")...)
	checkResults(t, first, plus(map[string]report.Result{
		"Deployment/web": report.RolledOut, "StatefulSet/store": report.Skipped, "DaemonSet/agent": report.Skipped,
	}))
	for name, flag := range map[string]string{"StatefulSet/store": "--include-statefulset", "DaemonSet/agent": "--include-daemonset"} {
		kind, name, _ := strings.Cut(name, "/")
		if reason := itemOf(t, first, kind, name).Rollout.Reason; !strings.Contains(reason, flag) {
			t.Errorf("%s/%s: reason %q, want %s in it", kind, name, reason, flag)
		}
	}
	checkResults(t, rolloutCommand(t, c, 0, with("--confirm", "--include-daemonset", "--include-statefulset", "--parallel-rollouts", "2")...),
		plus(map[string]report.Result{"StatefulSet/store": report.RolledOut, "DaemonSet/agent": report.RolledOut}))

	for label, old := range renewedBefore {
		for _, pod := range podsOf(t, c, namespace, label) {
			if old[pod.UID] {
				t.Errorf("Pod %s was not replaced", pod.Name)
			}
			if got := pod.Annotations["sidecarRollout.rollout.reason"]; got != "Update sidecars istio-init, istio-proxy" {
				t.Errorf("Pod %s: reason %q", pod.Name, got)
			}
			if _, err := time.Parse(time.RFC3339, pod.Annotations["sidecarRollout.rollout.timestamp"]); err != nil {
				t.Errorf("Pod %s: %v", pod.Name, err)
			}
		}
	}
	if diff := cmp.Diff(keptBefore, podUIDs(t, c, namespace, kept...)); diff != "" {
		t.Errorf("Pods of workloads that are not rolled out (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(plainBefore, versionsIn(t, c, plain)); diff != "" {
		t.Errorf("workloads without injection (-before +after):\n%s", diff)
	}
	auditNamespace(t, c, namespace, "Deployment/web InSync 2", "StatefulSet/store InSync 2", "DaemonSet/agent InSync 2",
		"Deployment/fresh InSync 1", "ReplicaSet/lone Drifted 1", "Pod/bare Drifted 1", "Job/once Drifted 2", "CronJob/nightly Drifted 1")
	checkResults(t, rolloutCommand(t, c, 1, with("--confirm", "--strict")...), left)
}

// The command line of the original script's documentation runs as it stands
// (contract.md). Its time is long past, so Pods are made to have started then.
func TestRolloutByTheOriginalScriptsCommandLine(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	namespace := namespaceWith(t, c, injected)
	apply(t, c, namespace, workloads)
	rolledOut(t, c, namespace, "deployment/web", "statefulset/db", "daemonset/agent")
	deployWeb(t, c, namespace, 1, "young")
	for label, started := range map[string]string{
		"app=web": "2022-05-01T12:59:59Z", "app=db": "2022-05-01T12:59:59Z", "app=agent": "2022-04-30T23:00:00Z",
		"app=young": "2022-05-01T13:00:00Z",
	} {
		startedAt(t, c, namespace, label, started)
	}
	if err := injector.Update(t.Context(), istio.Values("1.28.0", "150m")...); err != nil {
		t.Fatal(err)
	}
	youngBefore := podUIDs(t, c, namespace, "app=young", "app=db")

	// As a person: the installed identity may write under the prefixes of its policy.
	r := rolloutCommandAs(t, c.Kubeconfig(), 0, "--sidecar-container-name=istio-proxy", "--include-daemonset=true", "--annotation-prefix=myCompany",
		"--parallel-rollouts", "10", "--only-started-before=2022-05-01 13:00", "--exclude-namespace=kube-system", "--confirm=true")
	checkResults(t, r, map[string]report.Result{
		"Deployment/web": report.RolledOut, "DaemonSet/agent": report.RolledOut, "StatefulSet/db": report.Skipped,
	})
	for _, label := range []string{"app=web", "app=agent"} {
		for _, pod := range podsOf(t, c, namespace, label) {
			if _, err := time.Parse(time.RFC3339, pod.Annotations["myCompany.rollout.timestamp"]); err != nil {
				t.Errorf("Pod %s: %v", pod.Name, err)
			}
			if got := pod.Annotations["myCompany.rollout.reason"]; got != "Update sidecars istio-proxy" {
				t.Errorf("Pod %s: reason %q", pod.Name, got)
			}
		}
	}
	if diff := cmp.Diff(youngBefore, podUIDs(t, c, namespace, "app=young", "app=db")); diff != "" {
		t.Errorf("Pods that are not meant (-before +after):\n%s", diff)
	}
}

// startedAt makes Pods have started at a time.
func startedAt(t *testing.T, c *cluster.Cluster, namespace, label, at string) {
	t.Helper()
	for _, pod := range podsOf(t, c, namespace, label) {
		if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "patch", "pod", pod.Name, "--subresource=status", "--type=merge",
			"-p", fmt.Sprintf(`{"status":{"startTime":%q}}`, at)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRolloutWhileTheInjectorIsDown(t *testing.T) {
	c, injector := fenced(t), testIstio(t)
	namespace := namespaceWith(t, c, injected)
	deployWeb(t, c, namespace, 2, "web")
	if err := injector.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := injector.Restart(context.Background()); err != nil {
			t.Error(err)
		}
	})
	before := versionsIn(t, c, namespace)
	for _, all := range []string{"--all=false", "--all"} {
		r := rolloutCommand(t, c, 0, "-n", namespace, "--confirm", all)
		checkResults(t, r, map[string]report.Result{"Deployment/web": report.Skipped})
		if reason := itemOf(t, r, "Deployment", "web").Rollout.Reason; !strings.Contains(reason, "Unknown") || !strings.Contains(reason, "namespace.sidecar-injector.istio.io") {
			t.Errorf("reason %q, want it Unknown and the webhook's name", reason)
		}
	}
	if diff := cmp.Diff(before, versionsIn(t, c, namespace)); diff != "" {
		t.Errorf("something has changed (-before +after):\n%s", diff)
	}
}

// Injection comes to a namespace and goes again: the one is rolled out, the
// other only when a person says that the sidecar is meant to go.
func TestRolloutOfMissingAndOrphanedSidecars(t *testing.T) {
	c := fenced(t)
	testIstio(t)
	namespace := namespaceWith(t, c, nil)
	deployWeb(t, c, namespace, 2, "web")
	label := func(label string) {
		t.Helper()
		if _, err := c.Kubectl(t.Context(), "", "label", "namespace", namespace, label); err != nil {
			t.Fatal(err)
		}
	}
	checkContainers := func(want string) {
		t.Helper()
		for _, pod := range podsOf(t, c, namespace, "app=web") {
			if containerNames(pod) != want {
				t.Errorf("Pod %s has containers %s, want %s", pod.Name, containerNames(pod), want)
			}
		}
	}
	label("istio-injection=enabled")
	awaitState(t, c, namespace, "Missing")
	checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--confirm"), map[string]report.Result{"Deployment/web": report.RolledOut})
	checkContainers("istio-init|app,istio-proxy")

	label("istio-injection-")
	awaitState(t, c, namespace, "Orphaned")
	r := rolloutCommand(t, c, 0, "-n", namespace, "--confirm")
	checkResults(t, r, map[string]report.Result{"Deployment/web": report.Skipped})
	if reason := r.Items[0].Rollout.Reason; !strings.Contains(reason, "--allow-orphaned") {
		t.Errorf("reason %q, want --allow-orphaned in it", reason)
	}
	checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "--allow-orphaned"), map[string]report.Result{"Deployment/web": report.RolledOut})
	checkContainers("|app")
}

// awaitState waits until a namespace's one workload is in a state: API servers
// learn of a namespace's new label a moment after it was written.
func awaitState(t *testing.T, c *cluster.Cluster, namespace, want string) {
	t.Helper()
	err := cluster.Poll(t.Context(), "state "+want, func(context.Context) error {
		r := rolloutCommand(t, c, 0, "-n", namespace)
		if len(r.Items) != 1 || string(r.Items[0].State) != want {
			return fmt.Errorf("the plan is %+v", r.Items)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
