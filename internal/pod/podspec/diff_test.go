package podspec

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec/podtest"
)

// diffPaths compares the first containers of two Pods.
func diffPaths(t *testing.T, a, b string) []string {
	t.Helper()
	viewA, viewB := viewOf(t, a), viewOf(t, b)
	var paths []string
	for _, d := range Diff(viewA, viewB, viewA.Containers()[0].Member, viewB.Containers()[0].Member, Fields{}) {
		paths = append(paths, d.Path)
	}
	return paths
}

func pod(name, container string) string {
	return `{"metadata":{"name":"` + name + `"},"spec":{"containers":[` + container + `]}}`
}

func TestDiff(t *testing.T) {
	for name, test := range map[string]struct {
		a, b string
		want []string
	}{
		"quantities":                      {`{"resources":{"requests":{"cpu":"0.1"}}}`, `{"resources":{"requests":{"cpu":"100m"}}}`, nil},
		"amounts":                         {`{"resources":{"requests":{"cpu":"0.1"}}}`, `{"resources":{"requests":{"cpu":"101m"}}}`, []string{"resources.requests.cpu"}},
		"a default on one side":           {`{"terminationMessagePolicy":"File"}`, `{}`, nil},
		"a default and another value":     {`{"terminationMessagePolicy":"File"}`, `{"terminationMessagePolicy":"X"}`, []string{"terminationMessagePolicy"}},
		"a default behind a feature gate": {`{"livenessProbe":{"httpGet":{"port":1}}}`, `{"livenessProbe":{"httpGet":{"port":1,"protocol":"HTTP1"}}}`, nil},
		"no default":                      {`{"livenessProbe":{"httpGet":{"port":1}}}`, `{"livenessProbe":{"httpGet":{"port":1,"protocol":"H2C"}}}`, []string{"livenessProbe.httpGet.protocol"}},
		"a map of defaults only":          {`{"livenessProbe":{"periodSeconds":10}}`, `{}`, []string{"livenessProbe"}},
		"a map instead of none":           {`{"securityContext":{"runAsUser":1,"privileged":true}}`, `{}`, []string{"securityContext.privileged", "securityContext.runAsUser"}},
		"an empty map":                    {`{"securityContext":{},"resources":{}}`, `{}`, nil},
		"an empty map that says a lot":    {`{"x":{}}`, `{}`, []string{"x"}},
		"a list instead of none":          {`{"env":[{"name":"A"},{"name":"B"}]}`, `{}`, []string{"env[A]", "env[B]"}},
		"a null":                          {`{"env":null,"args":null}`, `{}`, nil},
		"ports by protocol":               {`{"ports":[{"containerPort":53,"protocol":"UDP","name":"a"},{"containerPort":53}]}`, `{"ports":[{"containerPort":53,"protocol":"TCP"},{"containerPort":53,"protocol":"UDP","name":"b"}]}`, []string{"ports[53/UDP].name"}},
		"duplicates":                      {`{"env":[{"name":"A","value":"1"},{"name":"A","value":"2"}]}`, `{"env":[{"name":"A","value":"1"},{"name":"A","value":"3"}]}`, []string{"env[A].value"}},
		"a duplicate more":                {`{"env":[{"name":"A","value":"1"}]}`, `{"env":[{"name":"A","value":"1"},{"name":"A","value":"1"}]}`, []string{"env[A]"}},
		"an item without its key":         {`{"env":[{"name":"A"},{"value":"x"}]}`, `{"env":[{"name":"A"}]}`, []string{"env"}},
		"an item with a null key":         {`{"env":[{"name":null,"value":"x"}]}`, `{"env":[{"name":null,"value":"y"}]}`, []string{"env"}},
		"items of all kinds":              {`{"env":[1,[2],{"a":[]},null]}`, `{"env":[1,[3],{"a":[]},null]}`, []string{"env"}},
		"a map for a list":                {`{"env":{}}`, `{"env":[{"name":"A"}]}`, []string{"env"}},
		"a text for a map":                {`{"x":"{}"}`, `{"x":{"a":1}}`, []string{"x"}},
		"an atomic list":                  {`{"args":["a","b"]}`, `{"args":["a","c"]}`, []string{"args"}},
		"an unknown list":                 {`{"new":[{"name":"a","x":1}]}`, `{"new":[{"name":"a","x":2}]}`, []string{"new"}},
		"an unknown field":                {`{"new":{"deep":{"er":1}}}`, `{"new":{"deep":{"er":2}}}`, []string{"new.deep.er"}},
		"a float":                         {`{"x":1.0}`, `{"x":1}`, nil},
		"a set":                           {`{"volumeMounts":[{"mountPath":"/a","bindMountOptions":["x","y"]}]}`, `{"volumeMounts":[{"mountPath":"/a","bindMountOptions":["z","y"]}]}`, []string{"volumeMounts[/a].bindMountOptions[x]", "volumeMounts[/a].bindMountOptions[z]"}},
		"a token's mount":                 {`{"volumeMounts":[{"mountPath":"/t","name":"kube-api-access-abcde"}]}`, `{}`, nil},
		"the order of env":                {`{"env":[{"name":"A"},{"name":"B"}]}`, `{"env":[{"name":"B"},{"name":"A"}]}`, nil},
		"the order of references":         {`{"env":[{"name":"A"},{"name":"B","value":"$(A)"}]}`, `{"env":[{"name":"B","value":"$(A)"},{"name":"A"}]}`, []string{"env"}},
		"a value and the order":           {`{"env":[{"name":"A"},{"name":"B","value":"$(A)"}]}`, `{"env":[{"name":"B","value":"$(A)"},{"name":"A","value":"x"}]}`, []string{"env[A].value"}},
		"text that is no quantity":        {`{"image":"0.1"}`, `{"image":"100m"}`, []string{"image"}},
		"the name in a value":             {`{"image":"web-0/x"}`, `{"image":"web-7/x"}`, nil},
		"the name in an atomic list":      {`{"args":["web-0","a"]}`, `{"args":["web-7","a"]}`, nil},
		"the name in a key":               {`{"volumeMounts":[{"mountPath":"/web-0","name":"a"}]}`, `{"volumeMounts":[{"mountPath":"/web-7","name":"a"}]}`, nil},
		"the name in a key, and more":     {`{"volumeMounts":[{"mountPath":"/web-0","name":"a"}]}`, `{"volumeMounts":[{"mountPath":"/web-7","name":"b"}]}`, []string{"volumeMounts[/web-0].name"}},
		"one Pod's name by chance":        {`{"args":["web-0"],"volumeMounts":[{"mountPath":"/web-0"}]}`, `{"args":["web-0"],"volumeMounts":[{"mountPath":"/web-0"}]}`, nil},
		"both Pods' names, one by chance": {`{"args":["web-0","web-0"]}`, `{"args":["web-0","web-7"]}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, diffPaths(t, pod("web-0", test.a), pod("web-7", test.b))); diff != "" {
				t.Error(diff)
			}
			back := diffPaths(t, pod("web-7", test.b), pod("web-0", test.a))
			if len(back) != len(test.want) {
				t.Errorf("the other way round: %q", back)
			}
		})
	}
}

// TestDiffFindsEveryChange changes every value of a container in which all
// fields are set, one at a time.
func TestDiffFindsEveryChange(t *testing.T) {
	containers := podtest.Tree(t, map[string]any{"spec": corev1.PodSpec{Containers: []corev1.Container{podtest.Full[corev1.Container]()}}})
	src := podtest.JSON(t, containers)
	container := containers["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)
	changes := 0
	podtest.Changes(container, func(change podtest.Change) {
		changes++
		got := diffPaths(t, string(src), string(podtest.JSON(t, containers)))
		slices.Sort(got)
		if diff := cmp.Diff(change.Paths, got); diff != "" {
			t.Errorf("%s: %s", change.What, diff)
		}
	})
	if changes < 400 {
		t.Errorf("only %d changes were made", changes)
	}
	if back := podtest.JSON(t, containers); !slices.Equal(src, back) {
		t.Error("the container is not as it was")
	}
}

func TestLimitRanger(t *testing.T) {
	got := parseLimitRanger("LimitRanger plugin set: cpu, memory request for container a; cpu limit for container a; memory limit for init container b")
	want := limited{
		"a": {"requests/cpu": true, "requests/memory": true, "limits/cpu": true},
		"b": {"limits/memory": true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, forged := range []string{"", "x", "x: y", "x: for ", "x:  for ; for a", "x: cpu for container "} {
		for container, set := range parseLimitRanger(forged) {
			if container == "a" {
				t.Errorf("%q: %v", forged, set)
			}
		}
	}
}

// TestIgnoredResources: a LimitRange that comes or goes leaves no empty map
// behind.
func TestIgnoredResources(t *testing.T) {
	limitedPod := `{"metadata":{"annotations":{"kubernetes.io/limit-ranger":"LimitRanger plugin set: cpu request for container a"}},
		"spec":{"containers":[{"name":"a","resources":{"requests":{"cpu":"1"}}}]}}`
	a, b := viewOf(t, limitedPod), viewOf(t, `{"spec":{"containers":[{"name":"a","resources":{}}]}}`)
	for _, v := range []*View{a, b} {
		v.Ignore(a.LimitRanger("a"))
	}
	if found := Diff(a, b, a.Containers()[0].Member, b.Containers()[0].Member, Fields{}); len(found) > 0 {
		t.Errorf("found %s", found[0].Path)
	}
	a.Ignore(nil)
	if found := Diff(a, b, a.Containers()[0].Member, b.Containers()[0].Member, Fields{}); len(found) != 1 || found[0].Path != "resources.requests.cpu" {
		t.Errorf("found %v", found)
	}
}
