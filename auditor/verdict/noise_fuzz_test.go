package verdict

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec/podtest"
)

// FuzzJudgeNoise: what no injector is answerable for changes no verdict, and
// with live and fresh exchanged a verdict says the same the other way round.
func FuzzJudgeNoise(f *testing.F) {
	f.Add(podtest.Live, podtest.Fresh)
	for _, seed := range [][2]string{
		{`{"spec":{"containers":[{"name":"a"},{"name":"nginx","volumeMounts":[{"mountPath":"/"},{}]}]}}`, `{"spec":{"containers":[{"name":"nginx"}],"volumes":[]}}`},
		{`{"spec":{"initContainers":[{"name":"a","image":"1"}],"volumes":[{"name":"v"},1]}}`, `{"spec":{"initContainers":[{"name":"a","image":"2"},{"name":"a"}],"volumes":null}}`},
		{`{"metadata":{"name":"p","annotations":{"sidecar.istio.io/status":"{\"containers\":[\"nginx\"]}"}},"spec":{"containers":[{"name":"nginx","args":["p"]}]}}`, `{"metadata":{"name":"p"},"spec":{"containers":[{"name":"nginx","args":["q"]}],"dnsPolicy":"Default"}}`},
		{`{"spec":{"containers":[{"name":"b"},{"name":"a"}]}}`, `{"spec":{"containers":[{"name":"a"},null,{"name":"b"}]}}`},
		{`{"spec":{"tolerations":{},"hostNetwork":true,"containers":[{"name":"a","ports":[{"containerPort":1,"hostPort":1}]}]}}`, `{"spec":{"hostNetwork":true,"containers":[{"name":"a","ports":[{"containerPort":1.0}],"resources":{"limits":{"cpu":"1e21"}}}]}}`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	template := []byte(`{"spec":{"containers":[{"name":"nginx"}]}}`)
	f.Fuzz(func(t *testing.T, live, fresh []byte) {
		want, err := judgeDocuments(documents{Live: live, Fresh: fresh, Template: template})
		if err != nil {
			return
		}
		got := judge(t, documents{Live: noisy(t, live), Fresh: fresh, Template: template})
		if diff := cmp.Diff(paths(want), paths(got)); got.State != want.State || diff != "" {
			t.Errorf("%s, and with noise %s: %s", want.State, got.State, diff)
		}
		liveName, freshName := parse(t, live).Get("metadata", "name").Text(), parse(t, fresh).Get("metadata", "name").Text()
		if bytes.Contains(live, []byte("managed")) || !bytes.Equal(liveName, freshName) {
			return // an edit of the live Pod is none of the fresh one's
		}
		back := judge(t, documents{Live: fresh, Fresh: live, Template: template})
		turned := map[State]State{Missing: Orphaned, Orphaned: Missing}
		if state, ok := turned[want.State]; ok && back.State != state || !ok && back.State != want.State {
			t.Errorf("%s one way, %s the other", want.State, back.State)
		}
		if diff := cmp.Diff(values(want, false), values(back, true)); diff != "" {
			t.Errorf("the changes one way and the other:\n%s", diff)
		}
	})
}

// values lists the changes, turned round if need be.
func values(v Verdict, turn bool) []string {
	list := []string{}
	for _, c := range v.Changes {
		if turn {
			c.From, c.To = c.To, c.From
		}
		list = append(list, strings.Join([]string{c.Part, c.Path, string(c.From), string(c.To)}, " "))
	}
	slices.Sort(list)
	return list
}

// noisy adds to a Pod what schedulers, kubelets and in-tree plugins do.
func noisy(t *testing.T, pod []byte) []byte {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(pod))
	decoder.UseNumber()
	var tree map[string]any
	if err := decoder.Decode(&tree); err != nil {
		t.Fatal(err)
	}
	spec := tree["spec"].(map[string]any)
	tree["status"] = map[string]any{"phase": "Running"}
	maps.Copy(spec, map[string]any{
		"nodeName": "n", "priority": 7, "preemptionPolicy": "Never", "serviceAccount": "s",
		"overhead": map[string]any{"cpu": "1"}, "schedulingGates": []any{map[string]any{"name": "g"}},
	})
	for field, standard := range map[string]any{"serviceAccountName": "default", "enableServiceLinks": true} {
		if spec[field] == nil {
			spec[field] = standard
		}
	}
	for _, condition := range []string{"not-ready", "unreachable"} {
		addItem(spec, "tolerations", map[string]any{"key": "node.kubernetes.io/" + condition, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 7})
	}
	addItem(spec, "tolerations", map[string]any{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"})
	addItem(spec, "ephemeralContainers", map[string]any{"name": "debugger"})
	addItem(spec, "volumes", map[string]any{"name": "kube-api-access-zzzzz"})
	for _, field := range []string{"containers", "initContainers"} {
		list, _ := spec[field].([]any)
		for _, item := range list {
			if container, ok := item.(map[string]any); ok {
				addItem(container, "volumeMounts", map[string]any{"name": "kube-api-access-zzzzz", "mountPath": "/t"})
			}
		}
	}
	return podtest.JSON(t, tree)
}

// addItem puts an item before the others of a list, or of none.
func addItem(object map[string]any, field string, item any) {
	if list, ok := object[field].([]any); ok || object[field] == nil {
		object[field] = slices.Insert(slices.Clone(list), 0, item)
	}
}
