package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// resize is an update of a Pod's subresource.
func resize(old, now object) request {
	return request{
		resource: schema.GroupVersionResource{Version: "v1", Resource: "pods"}, subresource: "resize",
		kind: schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, operation: admission.Update,
		options: &metav1.UpdateOptions{FieldManager: "sidecar-drift-resize"}, object: now, old: old,
	}
}

// stamped is a Pod with a proxy and a native sidecar, which its parts name, and an app and
// an init container, which they do not.
func stamped() object {
	container := func(name string) any {
		return object{"name": name, "image": "i:1", "resources": object{"requests": object{"cpu": "1", "memory": "1Gi"}}}
	}
	return object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": object{"name": "web", "namespace": "shop", "labels": object{"app": "web"}, "annotations": object{
			"sidecar-drift.io/stamp": "v1:0", "sidecar-drift.io/parts": `{"container/proxy":"0123456789ab","initContainer/native":"0123456789ab","order":"0123456789ab"}`,
		}},
		"spec": object{
			"containers":     []any{container("app"), container("proxy"), container("prox")},
			"initContainers": []any{container("app"), container("native"), container("proxy")},
			"volumes":        []any{object{"name": "v", "emptyDir": object{"medium": "Memory", "sizeLimit": "1Gi"}}},
			"nodeName":       "n",
		},
	}
}

// container of a Pod.
func container(pod object, list string, i int) object {
	return pod["spec"].(object)[list].([]any)[i].(object)
}

func cpu(pod object, list string, i int) {
	container(pod, list, i)["resources"] = object{"requests": object{"cpu": "2", "memory": "1Gi"}}
}

func annotate(pod object, key, value string) {
	pod["metadata"].(object)["annotations"].(object)[key] = value
}

func managing(pod object, entries ...any) { pod["metadata"].(object)["managedFields"] = entries }

// fieldsOfContainer are those of one regular container.
func fieldsOfContainer(name string, fields ...string) object {
	held := object{}
	for _, f := range fields {
		held[f] = object{}
	}
	return object{"f:spec": object{"f:containers": object{fmt.Sprintf(`k:{"name":%q}`, name): held}}}
}

func TestResize(t *testing.T) {
	p := load(t, rolloutPolicy)
	const other, parts, metadata, managers = "nothing of a Pod but the resources", "says which of its containers were injected", "nothing of a Pod's metadata", "managers (managedFields) of a Pod"
	at := func(subresource string, fields object) any {
		e := entry("sidecar-drift-resize", "Update", later, fields).(object)
		if subresource != "" {
			e["subresource"] = subresource
		}
		return e
	}
	creator := entry("kube-controller-manager", "Update", later, fieldsOfContainer("app", ".", "f:name", "f:image", "f:resources"))
	for name, tt := range map[string]struct {
		before, change func(pod object)
		why            string
	}{
		"nothing":                     {change: func(object) {}},
		"an injected container":       {change: func(p object) { cpu(p, "containers", 1) }},
		"a native sidecar":            {change: func(p object) { cpu(p, "initContainers", 1) }},
		"the first amounts":           {before: func(p object) { delete(container(p, "containers", 1), "resources") }, change: func(p object) { cpu(p, "containers", 1) }},
		"the generation, too":         {change: func(p object) { cpu(p, "containers", 1); p["metadata"].(object)["generation"] = int64(2) }},
		"a container of the app":      {change: func(p object) { cpu(p, "containers", 0) }, why: other},
		"one whose name begins alike": {change: func(p object) { cpu(p, "containers", 2) }, why: other},
		"one named in the other list": {change: func(p object) { cpu(p, "initContainers", 2) }, why: other},
		"an image":                    {change: func(p object) { container(p, "containers", 1)["image"] = "i:2" }, why: other},
		"a policy of resizing":        {change: func(p object) { container(p, "containers", 1)["resizePolicy"] = []any{object{"resourceName": "cpu"}} }, why: other},
		"a container goes":            {change: func(p object) { s := p["spec"].(object); s["containers"] = s["containers"].([]any)[:2] }, why: other},
		"the Pod as a whole":          {change: func(p object) { p["spec"].(object)["resources"] = object{"limits": object{"cpu": "1"}} }, why: other},
		"a volume":                    {change: func(p object) { p["spec"].(object)["volumes"] = []any{} }, why: other},
		"a field goes":                {change: func(p object) { delete(p["spec"].(object), "volumes") }, why: other},
		"no stamp":                    {before: func(p object) { delete(p["metadata"].(object)["annotations"].(object), "sidecar-drift.io/parts") }, change: func(p object) { cpu(p, "containers", 1) }, why: parts},
		"a stamp that comes along": {before: func(p object) { annotate(p, "sidecar-drift.io/parts", "{}") }, change: func(p object) {
			annotate(p, "sidecar-drift.io/parts", `{"container/proxy":""}`)
			cpu(p, "containers", 1)
		}, why: other},
		"no annotations": {before: func(p object) { delete(p["metadata"].(object), "annotations") }, change: func(object) {}, why: parts},
		"a label":        {change: func(p object) { p["metadata"].(object)["labels"] = object{} }, why: metadata},
		"a finalizer":    {change: func(p object) { p["metadata"].(object)["finalizers"] = []any{"f"} }, why: metadata},
		"it is noted":    {before: func(p object) { managing(p, creator) }, change: func(p object) { managing(p, creator, at("resize", fieldsOfContainer("proxy", "f:resources"))) }},
		"others lose what was theirs": {before: func(p object) {
			managing(p, entry("kubectl", "Update", later, fieldsOfContainer("proxy", "f:resources")), creator)
		}, change: func(p object) { managing(p, creator, at("resize", fieldsOfContainer("proxy", "f:resources"))) }},
		"the note says more":            {change: func(p object) { managing(p, at("resize", object{"f:metadata": object{}})) }, why: managers},
		"the note is of the Pod itself": {change: func(p object) { managing(p, at("", fieldsOfContainer("proxy", "f:resources"))) }, why: managers},
		"managers are cleared":          {before: func(p object) { managing(p, creator) }, change: func(p object) { managing(p) }, why: managers},
		"one loses an image": {before: func(p object) { managing(p, creator) }, change: func(p object) {
			managing(p, entry("kube-controller-manager", "Update", later, fieldsOfContainer("app", ".", "f:name", "f:resources")))
		}, why: managers},
		"one is given another container": {before: func(p object) { managing(p, creator) }, change: func(p object) {
			managing(p, entry("kube-controller-manager", "Update", later, fieldsOfContainer("proxy", "f:image")))
		}, why: managers},
	} {
		t.Run(name, func(t *testing.T) {
			old := stamped()
			if tt.before != nil {
				tt.before(old)
			}
			now := runtime.DeepCopyJSON(old)
			tt.change(now)
			check(t, p.judge(t, resize(old, now)), tt.why)
		})
	}
}

// TestResizeCost: the largest Pod that is looked at, and larger ones, stay within an API
// server's limits.
func TestResizeCost(t *testing.T) {
	p := load(t, rolloutPolicy)
	const tooLarge = "too large to be checked"
	pod := func(containers, padding int) object {
		pod, parts := stamped(), map[string]string{}
		for _, of := range []string{"containers", "initContainers"} {
			pod["spec"].(object)[of] = list(containers, func(i int) any {
				return object{"name": fmt.Sprintf("c%d", i), "image": "i:1", "env": list(10, func(i int) any {
					return object{"name": fmt.Sprintf("V%d", i), "value": strings.Repeat("v", 100)}
				})}
			})
		}
		for i := range containers {
			parts[fmt.Sprintf("container/c%d", i)], parts[fmt.Sprintf("initContainer/c%d", i)] = "0123456789ab", "0123456789ab"
		}
		text, err := json.Marshal(parts)
		if err != nil {
			t.Fatal(err)
		}
		annotate(pod, "sidecar-drift.io/parts", string(text)+strings.Repeat(" ", padding))
		fields := object{}
		for i := range containers {
			fields[fmt.Sprintf(`k:{"name":"c%d"}`, i)] = object{".": object{}, "f:image": object{}}
		}
		managing(pod, list(50, func(i int) any {
			return entry(fmt.Sprintf("m%d", i), "Update", later, object{"f:spec": object{"f:containers": fields}})
		})...)
		return pod
	}
	for name, tt := range map[string]struct {
		pod object
		why string
	}{
		"as many containers as may be": {pod(100, 1000), ""},
		"more":                         {pod(101, 0), tooLarge},
		"a long annotation":            {pod(1, 250_000), tooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			now := runtime.DeepCopyJSON(tt.pod)
			for i := range now["spec"].(object)["containers"].([]any) {
				cpu(now, "containers", i)
				cpu(now, "initContainers", i)
			}
			got := p.judge(t, resize(tt.pod, now))
			check(t, got, tt.why)
			t.Logf("cost %d of %d", got.cost, celconfig.RuntimeCELCostBudget)
		})
	}
}
