package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

const mutators = "mutators that are no sidecars"

// mutatorRows are changes by what injects no sidecar, into Pods without and with
// one.
func mutatorRows() []row {
	alone := func(name, field, before, then string, paths ...string) row {
		return row{
			group: mutators, name: name, state: verdict.Mutated,
			before: always(editApp(field, before)...), then: always(editApp(field, then)...), changes: within("app/app", paths),
		}
	}
	beside := func(name string, before, then injector.Answer, state verdict.State, changes ...string) row {
		proxy := same(add("/spec/containers/-", sidecar))
		return row{
			group: mutators, name: name + ", beside a sidecar", state: state, changes: changes,
			before: answers{first: proxy, second: before}, then: answers{first: proxy, second: then},
		}
	}
	afterUs := beside("a resource rewriter after the stamper", nil, nil, verdict.Drifted,
		"app/app resources.requests.cpu", "container/proxy resources.requests.cpu")
	afterUs.before[late], afterUs.then[late] = everyContainer("resources", `{"requests":{"cpu":"1"}}`), everyContainer("resources", `{"requests":{"cpu":"2"}}`)
	// A rollout by these would deploy another image of the app.
	images := func(r row) row {
		r.stays = true
		return r
	}
	digest := func(digit string) injector.Answer {
		return same(add("/spec/containers/0/image", "app:1@sha256:"+strings.Repeat(digit, 64)))
	}
	resolved := images(beside("a policy resolves the app's image to another digest, which changes", digest("a"), digest("b"), verdict.Drifted,
		"app/app image", "container/proxy image"))
	resolved.then[first] = addsProxy("proxy:2")
	rows := []row{
		beside("a policy resolves the app's image to another digest", digest("a"), digest("b"), verdict.Mutated, "app/app image").mutated(),
		resolved,
		alone("an image mirror", "image", ``, `"mirror.test/app:1"`, "image"),
		alone("an env adder", "env", ``, `[{"name":"REGION","value":"eu"}]`, "env[REGION]").adds(verdict.Missing),
		alone("AlwaysPullImages", "imagePullPolicy", ``, `"Always"`, "imagePullPolicy"),
		alone("a resource rewriter", "resources", `{"requests":{"cpu":"1"}}`, `{"requests":{"cpu":"2"}}`, "resources.requests.cpu"),
		images(beside("an image mirror", nil, mirrors, verdict.Drifted, "app/app image", "container/proxy image")),
		beside("an env adder", nil, everyContainer("env", `[{"name":"REGION","value":"eu"}]`), verdict.Drifted, "app/app env[REGION]", "container/proxy env[REGION]"),
		beside("AlwaysPullImages", nil, everyContainer("imagePullPolicy", `"Always"`), verdict.Drifted, "app/app imagePullPolicy", "container/proxy imagePullPolicy"),
		beside("default tolerations", nil, same(add("/spec/tolerations/-", object(`{"key":"k","operator":"Exists"}`))), verdict.Drifted, "pod tolerations"),
		beside("an image pull secret", nil, same(add("/spec/imagePullSecrets", []any{object(`{"name":"registry"}`)})), verdict.Drifted, "pod imagePullSecrets[registry]"),
		afterUs,
		beside("a VerticalPodAutoscaler's moving value", autoscaler("vpaUpdates"), autoscaler("vpaUpdates"), verdict.InSync),
		beside("Datadog's moving value", autoscaler("autoscaling.datadoghq.com/rec-id"), autoscaler("autoscaling.datadoghq.com/rec-id"), verdict.InSync),
		priorityClass(), runtimeClass(), mutatingPolicy(),
	}
	return append(rows, limitRangeRows()...)
}

// mirrors has every image come from a mirror.
func mirrors(r injector.Request) []injector.Operation {
	var operations []injector.Operation
	for i, container := range r.Pod.Spec.Containers {
		operations = append(operations, add(fmt.Sprintf("/spec/containers/%d/image", i), "mirror.test/"+container.Image))
	}
	return operations
}

// autoscaler sizes every Pod differently, and says so in an annotation.
func autoscaler(annotation string) injector.Answer {
	n := 0
	return func(r injector.Request) []injector.Operation {
		n++
		resources := fmt.Sprintf(`{"requests":{"cpu":"%dm"}}`, 100+n)
		return append(everyContainer("resources", resources)(r),
			add("/metadata/annotations", map[string]string{annotation: "Pod resources updated by web: container 0: cpu request"}))
	}
}

// priorityClass is a row that gives the cluster a default PriorityClass, which
// then holds for the fresh Pods of all rows.
func priorityClass() row {
	r := row{group: mutators, name: "a default PriorityClass, for all Pods of this table", state: verdict.InSync}
	r.change = func(ctx context.Context, w *workload) error {
		if err := w.Apply(ctx, `{"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"matrix"},"value":7,"globalDefault":true}`); err != nil {
			return err
		}
		return w.admits(ctx, func(pod *corev1.Pod) bool { return pod.Spec.PriorityClassName == "matrix" })
	}
	return r.with(always(add("/spec/containers/-", sidecar)))
}

// runtimeClass is a row whose RuntimeClass gets another overhead and selector.
func runtimeClass() row {
	const class = `
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: NAME}
handler: runc
overhead: {podFixed: {cpu: CPU}}
scheduling: {nodeSelector: {kubernetes.io/os: linux}, tolerations: [{key: CPU, operator: Exists}]}
`
	withCPU := func(cpu string) string { return strings.ReplaceAll(class, "CPU", cpu) }
	r := row{group: mutators, name: "a RuntimeClass's overhead and tolerations", state: verdict.InSync}
	r.manifest = withCPU("10m") + "---" + strings.Replace(deployment, "spec: {containers", "spec: {runtimeClassName: NAME, containers", 1)
	r.change = func(ctx context.Context, w *workload) error {
		if err := w.Apply(ctx, w.text(withCPU("20m"))); err != nil {
			return err
		}
		return w.admits(ctx, func(pod *corev1.Pod) bool { return pod.Spec.Overhead.Cpu().String() == "20m" }, func(pod *corev1.Pod) {
			name := w.id()
			pod.Spec.RuntimeClassName = &name
		})
	}
	return r.with(always(add("/spec/containers/-", sidecar)))
}

// mutatingPolicy is a row whose sidecar comes from a MutatingAdmissionPolicy.
func mutatingPolicy() row {
	const policy = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: NAME}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  matchConditions: [{name: row, expression: "has(object.metadata.labels) && 'matrix-row' in object.metadata.labels && object.metadata.labels['matrix-row'] == 'ROW'"}]
  failurePolicy: Fail
  reinvocationPolicy: Never
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: |
        [JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{name: "proxy", image: "IMAGE"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: NAME}
spec: {policyName: NAME}
`
	proxied := func(image string) func(*corev1.Pod) bool {
		return func(pod *corev1.Pod) bool {
			return len(pod.Spec.Containers) == 2 && pod.Spec.Containers[1].Image == image
		}
	}
	apply := func(ctx context.Context, w *workload, image string) error {
		if err := w.Apply(ctx, w.text(strings.ReplaceAll(policy, "IMAGE", image))); err != nil {
			return err
		}
		return w.admits(ctx, proxied(image), func(pod *corev1.Pod) { pod.Labels = map[string]string{rowLabel: fmt.Sprint(w.n)} })
	}
	r := row{group: mutators, name: "a sidecar from a MutatingAdmissionPolicy (CEL)", state: verdict.Drifted, changes: []string{"container/proxy image"}}
	r.made = func(ctx context.Context, w *workload) error {
		if err := apply(ctx, w, "proxy:1"); err != nil {
			return err
		}
		return w.restart(ctx)
	}
	r.change = func(ctx context.Context, w *workload) error { return apply(ctx, w, "proxy:2") }
	return r
}

// limitRangeRows are namespaces whose defaults change.
func limitRangeRows() []row {
	limits := func(cpu string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"LimitRange","metadata":{"name":"defaults","namespace":"IN"},
			"spec":{"limits":[{"type":"Container","defaultRequest":{"cpu":%q},"default":{"cpu":"4"}}]}}`, cpu)
	}
	change := func(ctx context.Context, w *workload) error {
		if err := w.Apply(ctx, w.text(limits("60m"))); err != nil {
			return err
		}
		return w.admits(ctx, func(pod *corev1.Pod) bool { return pod.Spec.Containers[0].Resources.Requests.Cpu().String() == "60m" })
	}
	made := func(ctx context.Context, w *workload) error {
		if err := w.Apply(ctx, w.text(limits("50m"))); err != nil {
			return err
		}
		return w.restart(ctx)
	}
	alone := row{group: mutators, name: "a LimitRange's defaults", in: "matrix-limits", state: verdict.NotInjected, was: &expectation{state: verdict.NotInjected}, made: made, change: change}
	beside := row{
		group: mutators, name: "a LimitRange's defaults, beside a sidecar", in: "matrix-limits-sidecar",
		state: verdict.Drifted, changes: []string{"container/proxy resources.requests.cpu"}, made: made, change: change,
	}
	sized := beside
	sized.name, sized.in = "a LimitRange's defaults, beside a sidecar that has resources", "matrix-limits-sized"
	sized.state, sized.changes = verdict.InSync, nil
	return []row{
		alone,
		beside.with(always(add("/spec/containers/-", sidecar))),
		sized.with(always(add("/spec/containers/-", merged(sidecar, `{"resources":{"requests":{"cpu":"100m"},"limits":{"cpu":"1"}}}`)))),
	}
}

// admits waits until a Pod of the row's namespace comes back from admission as it
// should.
func (w *workload) admits(ctx context.Context, settled func(*corev1.Pod) bool, with ...func(*corev1.Pod)) error {
	return cluster.Poll(ctx, "admission to settle", func(ctx context.Context) error {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:1"}}},
		}
		for _, change := range with {
			change(pod)
		}
		fresh, err := w.Client().CoreV1().Pods(w.namespace()).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err
		}
		if !settled(fresh) {
			spec, _ := json.Marshal(fresh.Spec)
			return errors.New("a Pod comes back as " + string(spec))
		}
		return nil
	})
}

// restart re-creates the row's one Pod, and waits for it.
func (w *workload) restart(ctx context.Context) error {
	if err := w.kubectl(ctx, "rollout", "restart", "deployment/NAME"); err != nil {
		return err
	}
	return w.rolledOut(ctx, 1)
}

func (w *workload) rolledOut(ctx context.Context, pods int) error {
	if err := w.kubectl(ctx, "rollout", "status", "deployment/NAME", "--timeout=5m"); err != nil {
		return err
	}
	return w.waitFor(ctx, pods)
}
