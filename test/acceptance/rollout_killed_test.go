package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/kubelet"
)

// killing is one way to roll out, again and again, with a run that is killed each time.
type killing struct {
	*cluster.Cluster
	namespace string
	args      []string
	// drift has everything drift for the n-th time, to the CPU or image of that number.
	drift func(n int)
	// fresh reports whether a Pod has what it is to have after the n-th drift.
	fresh func(pod *corev1.Pod, n int) bool
	// keeps: no Pod may go, as all that differs is healed in place.
	keeps bool
	// takesBack: an operator puts the template back, so that new Pods may go.
	takesBack bool
}

// Whenever a run is killed, before or after any of its writes, the same command ends it well.
// A few kills of each way; all of them with -full.
func TestRolloutIsKilledAtEachWrite(t *testing.T) {
	for name, start := range map[string]func(*testing.T) killing{
		"restart":                        killedRestart,
		"auto, a restart is taken back":  killedTakenBack,
		"resize":                         killedResize,
		"auto, resizes, and has no room": killedResizeWithoutRoom,
	} {
		t.Run(name, func(t *testing.T) {
			k := start(t)
			kubeconfig, err := k.ServiceAccountKubeconfig(t.Context(), install.Namespace, install.RolloutAccount)
			if err != nil {
				t.Fatal(err)
			}
			g := newGuillotine(t, kubeconfig)
			drifted := 0
			for at, more := 1, true; more && (*full || at <= 1); at++ {
				for _, after := range []bool{false, true} {
					if !after && !*full {
						continue
					}
					drifted++
					if more = k.killAt(t, g, kubeconfig, at, after, drifted); !more {
						break
					}
				}
			}
		})
	}
}

func killedRestart(t *testing.T) killing {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:0")
	namespace := injectedNamespace(t, c, 1)
	deployWeb(t, c, namespace, 3, "web", "app")
	slowed(t, c, namespace, "app", 3) // so that the next run meets its rollout
	return killing{Cluster: c, namespace: namespace, args: []string{"--strategy", "auto"}, fresh: ofImage, drift: func(n int) { proxy.setImage(fmt.Sprint("proxy:", n)) }}
}

// slowed has each new Pod of a Deployment be awaited for some seconds.
func slowed(t *testing.T, c *cluster.Cluster, namespace, name string, seconds int) {
	t.Helper()
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "patch", "deployment", name, "-p", fmt.Sprintf(`{"spec":{"minReadySeconds":%d}}`, seconds)); err != nil {
		t.Fatal(err)
	}
	rolledOut(t, c, namespace, "deployment/"+name)
}

func killedTakenBack(t *testing.T) killing {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:0")
	namespace := injectedNamespace(t, c, 1)
	deployWeb(t, c, namespace, 3, "web")
	slowed(t, c, namespace, "web", 1)
	operate(t, c, namespace)
	return killing{Cluster: c, namespace: namespace, args: []string{"--strategy", "auto"}, takesBack: true, fresh: ofImage, drift: func(n int) { proxy.setImage(fmt.Sprint("proxy:", n)) }}
}

// sizedFor is what a proxy has that drifted for the n-th time.
func sizedFor(n int) string { return fmt.Sprintf("%dm", 100+n) }

func killedResize(t *testing.T) killing {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:0")
	namespace := injectedNamespace(t, c, 1)
	proxy.Inject(proxyWith(sized(sizedFor(0), "128Mi"), sized("50m", "128Mi")))
	resizesPods(t, c, namespace)
	deployWeb(t, c, namespace, 2, "web")
	awaitReported(t, c, namespace)
	return killing{Cluster: c, namespace: namespace, args: []string{"--strategy", "resize"}, keeps: true, fresh: ofSize, drift: func(n int) {
		proxy.Inject(proxyWith(sized(sizedFor(n), "128Mi"), sized("50m", "128Mi")))
	}}
}

// killedResizeWithoutRoom has kubelets that refuse each resize to the next amount, so that
// the run re-creates instead.
func killedResizeWithoutRoom(t *testing.T) killing {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:0")
	namespace := injectedNamespace(t, c, 1)
	proxy.Inject(proxyWith(sized(sizedFor(0), "128Mi"), sized("50m", "128Mi")))
	kubelets := resizesPods(t, c, namespace)
	deployWeb(t, c, namespace, 2, "web")
	awaitReported(t, c, namespace)
	return killing{Cluster: c, namespace: namespace, args: []string{"--strategy", "auto"}, fresh: ofSize, drift: func(n int) {
		awaitReported(t, c, namespace)
		kubelets.Answer(func(pod *corev1.Pod) kubelet.Answer {
			if pod.Spec.Containers[1].Resources.Requests.Cpu().String() == sizedFor(n) {
				return kubelet.Refuses
			}
			return kubelet.Acknowledges
		})
		proxy.Inject(proxyWith(sized(sizedFor(n), "128Mi"), sized("50m", "128Mi")))
	}}
}

// killAt has everything drift, a run of it be killed at a write, and checks that the same
// command then ends it well. It returns false where the run ended before that write.
func (k killing) killAt(t *testing.T, g *guillotine, kubeconfig string, at int, after bool, n int) bool {
	t.Helper()
	k.drift(n)
	watched := k.watch(t)
	defer watched.stop()
	var out bytes.Buffer
	run := exec.CommandContext(t.Context(), testProduct(t).CLI, k.command(g.kubeconfig)...)
	run.Stdout, run.Stderr = &out, &out
	g.aim(func(n int, _ string) bool { return n == at }, after, func() { _ = run.Process.Kill() })
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	_ = run.Wait()
	writes, killed := g.seen()
	when := fmt.Sprintf("killed at write %d of %v, answered: %t", at, writes, after)
	if killed == run.ProcessState.Exited() {
		t.Fatalf("%s: exit code %d\n%s", when, run.ProcessState.ExitCode(), &out)
	}
	k.freeLease(t, run.Process.Pid)
	k.again(t, when, kubeconfig)
	k.check(t, when, watched, n)
	if !killed {
		t.Logf("%d kills; the writes of a run that was not killed: %v", n-1, writes)
	}
	return killed
}

func (k killing) command(kubeconfig string) []string {
	return append([]string{"rollout", "--kubeconfig", kubeconfig, "-n", k.namespace, "--confirm", "-o", "json"}, k.args...)
}

// freeLease ends the Lease of a run that was killed, for which the next would wait.
func (k killing) freeLease(t *testing.T, pid int) {
	t.Helper()
	leases := k.Client().CoordinationV1().Leases(install.Namespace)
	lease, err := leases.Get(t.Context(), rollout.LeaseName, metav1.GetOptions{})
	if err == nil && lease.Spec.HolderIdentity != nil && strings.Contains(*lease.Spec.HolderIdentity, fmt.Sprintf("process %d,", pid)) {
		err = leases.Delete(t.Context(), rollout.LeaseName, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(lease.UID))})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

// again runs the command until nothing is left to be done. What it does not end at once must
// be on its way.
func (k killing) again(t *testing.T, when, kubeconfig string) {
	t.Helper()
	err := cluster.Poll(t.Context(), when+": everything to be in sync", func(ctx context.Context) error {
		var out, errOut bytes.Buffer
		run := exec.CommandContext(ctx, testProduct(t).CLI, k.command(kubeconfig)...)
		run.Stdout, run.Stderr = &out, &errOut
		if err := run.Run(); err != nil {
			t.Fatalf("%s: the next run: %v\n%s%s", when, err, &out, &errOut)
		}
		var r report.Report
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, item := range r.Items {
			switch item.Rollout.Result {
			case report.RolledOut, report.Resized:
			default:
				left = append(left, fmt.Sprintf("%s %s: %s", item.Name, item.Rollout.Result, item.Rollout.Reason))
				// What is on its way is left alone for a moment, for one reason or another.
				if item.Rollout.Result != report.Skipped {
					t.Fatalf("%s: the next run leaves %v", when, left)
				}
			}
		}
		if len(left) > 0 {
			return errors.New(strings.Join(left, "; "))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// check is what must hold once a killed run was ended by another: everything is in sync, no
// Pod is left half-way, and none that was fresh had to go.
func (k killing) check(t *testing.T, when string, watched *watchedPods, n int) {
	t.Helper()
	err := cluster.Poll(t.Context(), when+": Pods that stay", func(context.Context) error {
		pods := podsOf(t, k.Cluster, k.namespace, "")
		for _, pod := range pods {
			if !isReady(&pod) {
				return fmt.Errorf("Pod %s is on its way", pod.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var inSync []string
	deployments, err := k.Client().AppsV1().Deployments(k.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deployments.Items {
		inSync = append(inSync, fmt.Sprintf("Deployment/%s InSync %d", d.Name, *d.Spec.Replicas))
	}
	auditNamespace(t, k.Cluster, k.namespace, inSync...)
	pods := podsOf(t, k.Cluster, k.namespace, "")
	there := map[types.UID]bool{}
	for _, pod := range pods {
		there[pod.UID] = true
		if !k.fresh(&pod, n) {
			t.Errorf("%s: Pod %s is not as it would be created", when, pod.Name)
		}
		for i, status := range pod.Status.ContainerStatuses {
			if status.Resources != nil && status.Resources.Requests.Cpu().Cmp(*pod.Spec.Containers[i].Resources.Requests.Cpu()) != 0 {
				t.Errorf("%s: Pod %s is to have %s of CPU in %s, and has %s: it is left half-way", when, pod.Name,
					pod.Spec.Containers[i].Resources.Requests.Cpu(), status.Name, status.Resources.Requests.Cpu())
			}
		}
	}
	for _, pod := range watched.stop() {
		switch fresh := k.fresh(pod, n); {
		case there[pod.UID]:
		case k.keeps:
			t.Errorf("%s: Pod %s has gone, though nothing had to", when, pod.Name)
		case fresh && !k.takesBack:
			t.Errorf("%s: Pod %s was fresh, and has been replaced in vain", when, pod.Name)
		}
	}
}

func ofImage(pod *corev1.Pod, n int) bool {
	return pod.Spec.Containers[1].Image == fmt.Sprint("proxy:", n)
}

func ofSize(pod *corev1.Pod, n int) bool {
	return pod.Spec.Containers[1].Resources.Requests.Cpu().String() == sizedFor(n)
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue })
}

// watchedPods are all Pods that there were, each as it was first seen.
type watchedPods struct {
	seen map[types.UID]*corev1.Pod
	end  context.CancelFunc
	done chan struct{}
}

func (k killing) watch(t *testing.T) *watchedPods {
	t.Helper()
	list, err := k.Client().CoreV1().Pods(k.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := &watchedPods{seen: map[types.UID]*corev1.Pod{}, done: make(chan struct{})}
	for i := range list.Items {
		w.seen[list.Items[i].UID] = &list.Items[i]
	}
	ctx, end := context.WithCancel(t.Context())
	w.end = end
	events, err := k.Client().CoreV1().Pods(k.namespace).Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(w.done)
		defer events.Stop()
		for event := range events.ResultChan() {
			if pod, ok := event.Object.(*corev1.Pod); ok && w.seen[pod.UID] == nil {
				w.seen[pod.UID] = pod
			}
		}
	}()
	return w
}

// stop returns what was seen.
func (w *watchedPods) stop() map[types.UID]*corev1.Pod {
	w.end()
	<-w.done
	return w.seen
}
