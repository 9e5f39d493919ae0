package rollout

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// amountChange is a change of a container's amount, as an audit has it.
func amountChange(part, path, from, to string) verdict.Change {
	c := verdict.Change{Part: part, Path: path}
	if from != "" {
		c.From = json.RawMessage(`"` + from + `"`)
	}
	if to != "" {
		c.To = json.RawMessage(`"` + to + `"`)
	}
	return c
}

// resizable is a workload of one Pod that differs.
func resizable(changes ...verdict.Change) report.Item {
	pods := []report.PodRef{{Name: "web-1", UID: "1"}}
	return report.Item{Revisions: []report.Revision{{Changes: changes, Members: map[verdict.State][]report.PodRef{verdict.Drifted: pods}}}}
}

func TestAmountsOf(t *testing.T) {
	cpu := amountChange("container/proxy", "resources.requests.cpu", "100m", "200m")
	spent := amountChange("initContainer/init", "resources.requests.cpu", "100m", "200m")
	spent.OneShot, spent.Spent = true, true
	oneShot := spent
	oneShot.Spent = false
	unstable := amountChange("container/proxy", "args", "a", "b")
	unstable.Unstable = true
	many := resizable(cpu)
	many.Revisions[0].MoreChanges = 1
	for name, test := range map[string]struct {
		item report.Item
		why  string // empty: it can be
	}{
		"a request":                      {resizable(cpu), ""},
		"a native sidecar":               {resizable(amountChange("initContainer/native", "resources.limits.memory", "1Gi", "2Gi")), ""},
		"the first amount":               {resizable(amountChange("container/proxy", "resources.limits.cpu", "", "1")), ""},
		"what is spent, too":             {resizable(cpu, spent), ""},
		"what varies, too":               {resizable(cpu, unstable), ""},
		"what is spent alone":            {resizable(spent), "no CPU or memory of it differs"},
		"an init container that has not": {resizable(cpu, oneShot), "not spent"},
		"an image, too":                  {resizable(cpu, amountChange("container/proxy", "image", "a", "b")), "more than CPU and memory of injected containers (container/proxy image)"},
		"another resource":               {resizable(amountChange("container/proxy", "resources.requests.ephemeral-storage", "1Gi", "2Gi")), "more than CPU and memory"},
		"a claim":                        {resizable(amountChange("container/proxy", "resources.claims[gpu]", "", "x")), "more than CPU and memory"},
		"the app":                        {resizable(amountChange("app/web", "resources.requests.cpu", "1", "2")), "more than CPU and memory of injected containers (app/web"},
		"the Pod as a whole":             {resizable(amountChange("pod", "resources.requests.cpu", "1", "2")), "resources as a whole"},
		"it goes":                        {resizable(amountChange("container/proxy", "resources.limits.cpu", "1", "")), "would go"},
		"no amount":                      {resizable(amountChange("container/proxy", "resources.limits.cpu", "1", "much")), "cannot be read"},
		"two amounts":                    {resizable(cpu, amountChange("container/proxy", "resources.requests.cpu", "100m", "300m")), "different amounts"},
		"the same amount from two":       {resizable(cpu, amountChange("container/proxy", "resources.requests.cpu", "150m", "0.2")), ""},
		"more than is kept":              {many, "more than an audit keeps"},
	} {
		got := amountsOf(test.item, []report.PodRef{{UID: "1"}})
		if got.can() != (test.why == "") || !strings.Contains(got.why, test.why) {
			t.Errorf("%s: %q, want %q", name, got.why, test.why)
		}
	}
	if got := amountsOf(resizable(cpu), nil); got.can() {
		t.Error("without a Pod that is meant it can be resized")
	}
}

// livePod has a proxy and a native sidecar, which its stamp names.
func livePod() *corev1.Pod {
	var pod corev1.Pod
	err := json.Unmarshal([]byte(`{"metadata":{"name":"web-1","uid":"1","generation":2,"annotations":{"sidecar-drift.io/parts":"{\"container/proxy\":\"0\",\"initContainer/native\":\"0\"}"}},
		"spec":{"containers":[{"name":"app"},{"name":"proxy","resources":{"requests":{"cpu":"100m"}}}],"initContainers":[{"name":"native","restartPolicy":"Always"}]},
		"status":{"phase":"Running","observedGeneration":2,"qosClass":"Burstable",
			"containerStatuses":[{"name":"app","resources":{}},{"name":"proxy","resources":{"requests":{"cpu":"200m"}}}],"initContainerStatuses":[{"name":"native","resources":{}}]}}`), &pod)
	if err != nil {
		panic(err)
	}
	return &pod
}

func wanted(t *testing.T, changes ...verdict.Change) amounts {
	t.Helper()
	found := amountsOf(resizable(changes...), []report.PodRef{{UID: "1"}})
	if !found.can() {
		t.Fatal(found.why)
	}
	return found.pods["1"]
}

func TestUnfit(t *testing.T) {
	policy := func(unit corev1.ResourceName) []corev1.ContainerResizePolicy {
		return []corev1.ContainerResizePolicy{{ResourceName: unit, RestartPolicy: corev1.RestartContainer}}
	}
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		why    string
	}{
		"as it is":                  {func(*corev1.Pod) {}, ""},
		"no stamp":                  {func(p *corev1.Pod) { p.Annotations = nil }, "carries no stamp"},
		"a stamp that says nothing": {func(p *corev1.Pod) { p.Annotations["sidecar-drift.io/parts"] = "none" }, "carries no stamp"},
		"another is named":          {func(p *corev1.Pod) { p.Annotations["sidecar-drift.io/parts"] = `{"container/other":"0"}` }, "does not name container/proxy"},
		"the Pod as a whole":        {func(p *corev1.Pod) { p.Spec.Resources = &corev1.ResourceRequirements{} }, "as a whole"},
		"it does not run":           {func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }, "does not run yet"},
		"the container is gone":     {func(p *corev1.Pod) { p.Spec.Containers = p.Spec.Containers[:1] }, "has no container/proxy"},
		"its kubelet says nothing":  {func(p *corev1.Pod) { p.Status.ContainerStatuses[1].Resources = nil }, "may not resize in place"},
		"it would be restarted":     {func(p *corev1.Pod) { p.Spec.Containers[1].ResizePolicy = policy("cpu") }, "would be restarted"},
		"it would not, for its CPU": {func(p *corev1.Pod) { p.Spec.Containers[1].ResizePolicy = policy("memory") }, ""},
		"it would get another class": {func(p *corev1.Pod) {
			p.Spec.Containers[1].Resources, p.Status.QOSClass = corev1.ResourceRequirements{}, corev1.PodQOSBestEffort
		}, "would become Burstable, and is BestEffort"},
		"its class follows from spec": {func(p *corev1.Pod) { p.Status.QOSClass = "" }, ""},
	} {
		pod := livePod()
		test.change(pod)
		got := wanted(t, amountChange("container/proxy", "resources.requests.cpu", "100m", "200m")).unfit(pod)
		if (got == "") != (test.why == "") || !strings.Contains(got, test.why) {
			t.Errorf("%s: %q, want %q", name, got, test.why)
		}
	}
}

func TestProgress(t *testing.T) {
	condition := func(of corev1.PodConditionType, reason string, generation int64) corev1.PodCondition {
		return corev1.PodCondition{Type: of, Reason: reason, Status: corev1.ConditionTrue, Message: "why", ObservedGeneration: generation}
	}
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		want   resized
		waits  string
	}{
		"given":            {func(*corev1.Pod) {}, inForce, ""},
		"not looked at":    {func(p *corev1.Pod) { p.Status.ObservedGeneration = 1 }, underWay, "to look at it"},
		"an older kubelet": {func(p *corev1.Pod) { p.Status.ObservedGeneration = 0 }, inForce, ""},
		"not given":        {func(p *corev1.Pod) { p.Status.ContainerStatuses[1].Resources.Requests = nil }, underWay, "container/proxy"},
		"nothing said":     {func(p *corev1.Pod) { p.Status.ContainerStatuses = nil }, underWay, "container/proxy"},
		"no room now": {func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{condition(corev1.PodResizePending, "Deferred", 2)}
		}, deferred, "PodResizePending Deferred: why"},
		"no room at all": {func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{condition(corev1.PodResizePending, "Infeasible", 0)}
		}, infeasible, "Infeasible: why"},
		"of an earlier one": {func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{condition(corev1.PodResizePending, "Infeasible", 1)}
		}, inForce, ""},
		"in progress": {func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{condition(corev1.PodResizeInProgress, "", 2)}
		}, underWay, "PodResizeInProgress: why"},
		"memory that is in use": {func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{condition(corev1.PodResizeInProgress, "Error", 2)}
		}, underWay, "PodResizeInProgress Error: why"},
		"a condition that is not": {func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodResizePending, Reason: "Deferred", Status: corev1.ConditionFalse}}
		}, inForce, ""},
	} {
		pod := livePod()
		test.change(pod)
		got, waits := wanted(t, amountChange("container/proxy", "resources.requests.cpu", "100m", "200m")).progress(pod, 2)
		if got != test.want || !strings.Contains(waits, test.waits) {
			t.Errorf("%s: %d, waits for %q", name, got, waits)
		}
	}
}

// TestHad: what a Pod is given back is what it had, of what it was to have.
func TestHad(t *testing.T) {
	want := wanted(t, amountChange("container/proxy", "resources.requests.cpu", "100m", "200m"), amountChange("initContainer/native", "resources.limits.memory", "", "1Gi"))
	unseen := livePod() // an earlier resize, which its kubelet has not looked at
	unseen.Generation = unseen.Status.ObservedGeneration + 1
	unseen.Spec.Containers[1].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("200m")}
	unseen.Status.ContainerStatuses[1].Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}}
	for name, pod := range map[string]*corev1.Pod{"as it is": livePod(), "not looked at": unseen} {
		before, news := want.had(pod)
		body, err := before.patch("1")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(body), `{"metadata":{"uid":"1"},"spec":{"containers":[{"name":"proxy","resources":{"requests":{"cpu":"100m"}}}]}}`; got != want || news != 1 {
			t.Errorf("%s: %s, and %d new; want %s", name, got, news, want)
		}
	}
}

// TestResizeComesFirst: auto resizes where that suffices and may be, and chooses as ever
// where not.
func TestResizeComesFirst(t *testing.T) {
	can := inPlace{pods: map[string]amounts{"1": {}}}
	settled := facts{workload: workload{replicas: 3, available: 2, batch: 1}, kind: "Deployment", name: "web", pods: 3, targets: []report.PodRef{{UID: "1"}, {UID: "2"}, {UID: "3"}}}
	for name, test := range map[string]struct {
		change func(*facts)
		want   Strategy
	}{
		"it can be":              {func(f *facts) { f.resize = can }, Resize},
		"nobody looked":          {func(*facts) {}, Restart},
		"it cannot be":           {func(f *facts) { f.resize = inPlace{why: "an image differs"} }, Restart},
		"an operator's":          {func(f *facts) { f.resize, f.owner = can, "Prometheus k8s" }, Resize},
		"of an operator, cannot": {func(f *facts) { f.owner = "Prometheus k8s" }, Evict},
	} {
		f := settled
		test.change(&f)
		got, _ := Options{Strategy: Auto}.withDefaults().resolved(f)
		if got.Strategy != test.want {
			t.Errorf("%s: %s, want %s", name, got.Strategy, test.want)
		}
	}
	unfit := settled
	unfit.resize = inPlace{why: "an image differs"}
	if d := check(unfit, Options{Strategy: Resize}.withDefaults()); d.result != report.Skipped || !strings.Contains(d.reason, "cannot be resized in place, as an image differs") {
		t.Errorf("given by name: %+v", d)
	}
}

// TestConvergedInPlace: what is spent may stay, and nothing else.
func TestConvergedInPlace(t *testing.T) {
	spent := amountChange("initContainer/init", "resources.requests.cpu", "100m", "200m")
	spent.OneShot, spent.Spent = true, true
	item := func(state verdict.State, changes ...verdict.Change) report.Item {
		i := resizable(changes...)
		i.State, i.Revisions[0].State = state, state
		return i
	}
	cpu := amountChange("container/proxy", "resources.requests.cpu", "100m", "200m")
	for name, test := range map[string]struct {
		item      report.Item
		untouched map[string]bool
		want      report.Result
		reason    string
	}{
		"in sync":               {item(verdict.InSync), nil, report.Resized, ""},
		"only spent":            {item(verdict.Drifted, spent), nil, report.Resized, "what is spent stays as it is: initContainer/init"},
		"as before":             {item(verdict.Drifted, cpu), nil, report.NotConverging, "container/proxy resources.requests.cpu"},
		"another Pod as before": {item(verdict.Drifted, cpu), map[string]bool{"1": true}, report.Resized, "were not to be resized"},
		"unknown":               {item(verdict.Unknown), nil, report.Failed, "cannot be verified"},
	} {
		got := convergedInPlace(test.item, Options{}, test.untouched)
		if got.result != test.want || !strings.Contains(got.reason, test.reason) {
			t.Errorf("%s: %+v", name, got.decision)
		}
	}
}
