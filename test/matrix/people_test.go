package matrix

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
)

// peopleRows are what people and the cluster do to workloads and to live Pods,
// which is no drift, and must not hide one either.
func peopleRows() []row {
	notDrift := func(name string, change step) row {
		r := row{group: "what people and the cluster do", name: name, change: change, state: verdict.InSync}
		return r.with(answers{first: addsProxy("proxy:1")})
	}
	hides := func(name string, change step) row {
		r := notDrift(name+", and drift", change)
		r.then = answers{first: addsProxy("proxy:2")}
		r.state, r.changes = verdict.Drifted, []string{"container/proxy image"}
		return r
	}
	both := func(name string, change step) []row { return []row{notDrift(name, change), hides(name, change)} }
	scaled := notDrift("scaling, as by an HPA", func(ctx context.Context, w *workload) error {
		if err := w.kubectl(ctx, "scale", "deployment", "NAME", "--replicas=3"); err != nil {
			return err
		}
		return w.rolledOut(ctx, 3)
	})
	newImage := notDrift("a new image of the app", func(ctx context.Context, w *workload) error {
		if err := w.kubectl(ctx, "set", "image", "deployment/NAME", "app=app:2"); err != nil {
			return err
		}
		return w.rolledOut(ctx, 1)
	})
	rows := []row{
		scaled,
		notDrift("kubectl rollout restart of the app", func(ctx context.Context, w *workload) error { return w.restart(ctx) }),
		newImage,
		notDrift("a node's labels", func(ctx context.Context, w *workload) error {
			return w.kubectl(ctx, "label", "node", "node-0", "--overwrite", "matrix=NAME")
		}),
		notDrift("a node is cordoned", func(ctx context.Context, w *workload) error {
			if err := w.kubectl(ctx, "cordon", "node-1"); err != nil {
				return err
			}
			return w.kubectl(ctx, "uncordon", "node-1")
		}),
		notDrift("a readiness gate's condition", onPod(func(ctx context.Context, w *workload, pod corev1.Pod) error {
			return w.patchPod(ctx, pod, types.StrategicMergePatchType, `{"status":{"conditions":[{"type":"mesh.test/ready","status":"True"}]}}`, "status")
		})),
		notDrift("a Pod stays behind as Succeeded", ends(`{"phase":"Succeeded"}`)),
		notDrift("a Pod stays behind as Failed", ends(`{"phase":"Failed","reason":"Evicted"}`)),
		notDrift("a Pod hangs in termination", onPod(func(ctx context.Context, w *workload, pod corev1.Pod) error {
			if err := w.patchPod(ctx, pod, types.MergePatchType, `{"metadata":{"finalizers":["matrix.test/stays"]}}`); err != nil {
				return err
			}
			if err := w.kubectl(ctx, "delete", "pod", pod.Name, "--wait=false"); err != nil {
				return err
			}
			return w.waitFor(ctx, 1)
		})),
	}
	// An old Pod that only hangs, or has ended, is not judged: there is no drift.
	for i := range rows[6:] {
		rows[6+i].then = answers{first: addsProxy("proxy:2")}
	}
	for _, more := range [][]row{
		both("labels and annotations of the live Pod", onPod(func(ctx context.Context, w *workload, pod corev1.Pod) error {
			return w.patchPod(ctx, pod, types.MergePatchType, `{"metadata":{"labels":{"a":"b"},"annotations":{"c":"d"}}}`)
		})),
		both("an ephemeral debug container", onPod(func(ctx context.Context, w *workload, pod corev1.Pod) error {
			return w.patchPod(ctx, pod, types.StrategicMergePatchType, `{"spec":{"ephemeralContainers":[{"name":"debug","image":"debug:1"}]}}`, "ephemeralcontainers")
		})),
		both("kubectl set image of the app, on the Pod", onPod(func(ctx context.Context, w *workload, pod corev1.Pod) error {
			return w.kubectl(ctx, "set", "image", "pod/"+pod.Name, "app=app:2")
		})),
		both("the app is resized in place", onPod(func(ctx context.Context, w *workload, pod corev1.Pod) error {
			return w.resize(ctx, pod, "app")
		})),
		both("the stamp is deleted", annotates(`null`, `null`)),
		both("the stamp is forged", annotates(`"v1:`+strings.Repeat("0", 64)+`"`, `"{}"`)),
		both("the stamp says that nothing is injected", annotates(`"`+fingerprint.None+`"`, `"{}"`)),
		both("the stamp is of another algorithm, v2", annotates(`"v2:`+strings.Repeat("a", 64)+`"`, `"{\"container/proxy\":\"aaaaaaaaaaaa\"}"`)),
		both("managedFields are deleted", onPod(func(ctx context.Context, w *workload, pod corev1.Pod) error {
			return w.patchPod(ctx, pod, types.MergePatchType, `{"metadata":{"managedFields":[{}]}}`)
		})),
		both("managedFields are forged: somebody else set the sidecar's image", onPod(forgesFields)),
		both("the Pod was not stamped", nil),
	} {
		rows = append(rows, more...)
	}
	for i, r := range rows {
		switch {
		case strings.HasPrefix(r.name, "the app is resized"):
			rows[i].manifest = strings.Replace(deployment, `image: "app:1"`, `image: "app:1", resources: {requests: {cpu: 1}}`, 1)
		case r.name == "kubectl set image of the app, on the Pod, and drift":
			rows[i].stays = true // it would take the app's image back
		case strings.HasPrefix(r.name, "a readiness gate"):
			rows[i].manifest = strings.Replace(deployment, "spec: {containers", "spec: {readinessGates: [{conditionType: mesh.test/ready}], containers", 1)
			rows[i].pending = true
		case strings.HasPrefix(r.name, "the Pod was not stamped"):
			rows[i].in, rows[i].made, rows[i].change = "matrix-unstamped", unstamped, stampedAgain
		}
	}
	return rows
}

// onPod is a step on the one live Pod.
func onPod(do func(context.Context, *workload, corev1.Pod) error) step {
	return func(ctx context.Context, w *workload) error {
		pods, err := w.live(ctx)
		if err != nil {
			return err
		}
		if len(pods) != 1 {
			return fmt.Errorf("%d live Pods, want one", len(pods))
		}
		return do(ctx, w, pods[0])
	}
}

func (w *workload) patchPod(ctx context.Context, pod corev1.Pod, kind types.PatchType, patch string, subresource ...string) error {
	_, err := w.Client().CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, kind, []byte(patch), metav1.PatchOptions{FieldManager: "person"}, subresource...)
	return err
}

// resize gives a container two CPUs in place. Its kubelet must have reported its
// resources, which kwok does not.
func (w *workload) resize(ctx context.Context, pod corev1.Pod, container string) error {
	reported := fmt.Sprintf(`{"status":{"containerStatuses":[{"name":%q,"resources":{"requests":{"cpu":"100m"}}}]}}`, container)
	if err := w.patchPod(ctx, pod, types.StrategicMergePatchType, reported, "status"); err != nil {
		return err
	}
	resources := fmt.Sprintf(`{"spec":{"containers":[{"name":%q,"resources":{"requests":{"cpu":"2"}}}]}}`, container)
	return w.patchPod(ctx, pod, types.StrategicMergePatchType, resources, "resize")
}

// ends has the Pod end and stay behind, so that its controller makes another.
func ends(status string) step {
	return onPod(func(ctx context.Context, w *workload, pod corev1.Pod) error {
		if err := w.patchPod(ctx, pod, types.MergePatchType, `{"metadata":{"finalizers":["matrix.test/stays"]}}`); err != nil {
			return err
		}
		if err := w.patchPod(ctx, pod, types.MergePatchType, `{"status":`+status+`}`, "status"); err != nil {
			return err
		}
		return w.waitFor(ctx, 1)
	})
}

// annotates changes the stamper's annotations of the Pod, given as JSON.
func annotates(stamp, parts string) step {
	return onPod(func(ctx context.Context, w *workload, pod corev1.Pod) error {
		return w.patchPod(ctx, pod, types.MergePatchType, fmt.Sprintf(`{"metadata":{"annotations":{%q:%s,%q:%s}}}`,
			fingerprint.StampAnnotation, stamp, fingerprint.PartsAnnotation, parts))
	})
}

// forgesFields has a manager of the forger's own hold the sidecar's image, as if
// a person had set it.
func forgesFields(ctx context.Context, w *workload, pod corev1.Pod) error {
	return w.patchPod(ctx, pod, types.MergePatchType, `{"metadata":{"managedFields":[{"manager":"kubectl-set","operation":"Update","apiVersion":"v1",
		"time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1",
		"fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{"f:image":{}}}}}}]}}`)
}

// unstamped re-creates the Pods of a namespace that the stamper leaves alone.
func unstamped(ctx context.Context, w *workload) error {
	return w.stamping(ctx, `"disabled"`, false)
}

// stampedAgain has the stamper work there again.
func stampedAgain(ctx context.Context, w *workload) error { return w.stamping(ctx, "null", true) }

func (w *workload) stamping(ctx context.Context, label string, on bool) error {
	_, err := w.Client().CoreV1().Namespaces().Patch(ctx, w.namespace(), types.MergePatchType,
		[]byte(fmt.Sprintf(`{"metadata":{"labels":{"sidecar-drift.io/stamp":%s}}}`, label)), metav1.PatchOptions{})
	if err != nil {
		return err
	}
	if err := w.admits(ctx, func(pod *corev1.Pod) bool { return (pod.Annotations[fingerprint.StampAnnotation] != "") == on }); err != nil || on {
		return err
	}
	return w.restart(ctx)
}

// inPlaceRows are sidecars that a person changes on the live Pod.
func inPlaceRows() []row {
	inPlace := func(name, place string, change func(context.Context, *workload, corev1.Pod) error) row {
		r := row{group: "sidecars changed in place", name: name, state: verdict.Modified, changes: []string{place}, change: onPod(change)}
		return r.with(always(add("/spec/containers/-", merged(sidecar, `{"resources":{"requests":{"cpu":"100m"}}}`))))
	}
	setImage := func(ctx context.Context, w *workload, pod corev1.Pod) error {
		return w.kubectl(ctx, "set", "image", "pod/"+pod.Name, "proxy=proxy:9")
	}
	resize := func(ctx context.Context, w *workload, pod corev1.Pod) error {
		return w.resize(ctx, pod, "proxy")
	}
	apply := func(ctx context.Context, w *workload, pod corev1.Pod) error {
		manifest := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"namespace":%q},"spec":{"containers":[{"name":"proxy","image":"proxy:9"}]}}`, pod.Name, pod.Namespace)
		return w.Apply(ctx, manifest)
	}
	both := inPlace("its image set, and the injector's template changes", "container/proxy image", setImage)
	both.then = always(add("/spec/containers/-", merged(sidecar, `{"args":["--new"],"resources":{"requests":{"cpu":"100m"}}}`)))
	both.state, both.changes = verdict.Drifted, []string{"container/proxy args", "container/proxy image"}
	native := inPlace("a native sidecar's image set", "initContainer/proxy image", setImage)
	return []row{
		inPlace("its image set", "container/proxy image", setImage),
		inPlace("its image applied, server-side", "container/proxy image", apply),
		inPlace("resized", "container/proxy resources.requests.cpu", resize),
		native.with(always(add("/spec/initContainers", []any{merged(sidecar, `{"restartPolicy":"Always"}`)}))),
		both,
	}
}
