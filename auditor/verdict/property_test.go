package verdict

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec/podtest"
)

// documents are an Input that is yet to be parsed.
type documents struct {
	Live, Fresh, Template []byte
	SidecarNames          []string
}

func judgeDocuments(d documents) (Verdict, error) {
	in := Input{DeclaredSidecars: d.SidecarNames}
	for _, document := range []struct {
		src  []byte
		node *jsontree.Node
	}{{d.Live, &in.Live}, {d.Fresh, &in.Fresh}, {d.Template, &in.Template}} {
		if document.src == nil {
			continue
		}
		var err error
		if *document.node, err = jsontree.Parse(document.src); err != nil {
			return Verdict{}, err
		}
	}
	return Judge(in)
}

func parse(t *testing.T, document []byte) jsontree.Node {
	t.Helper()
	if document == nil {
		return jsontree.Node{}
	}
	root, err := jsontree.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func judge(t *testing.T, in documents) Verdict {
	t.Helper()
	v, err := judgeDocuments(in)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func digest(t *testing.T, pod []byte) Digest {
	t.Helper()
	d, err := DigestOf(parse(t, pod))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestJudgeItself: a Pod does not differ from itself, however it is written.
func TestJudgeItself(t *testing.T) {
	pods := [][]byte{podtest.Live, podtest.Fresh}
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 0))
		pods = append(pods, podtest.JSON(t, podtest.Pod(r, r.Float64()/2)))
	}
	for _, pod := range pods {
		indented := podtest.JSON(t, json.RawMessage(pod))
		decoded := podtest.JSON(t, podtest.Tree(t, json.RawMessage(pod)))
		for _, fresh := range [][]byte{pod, indented, decoded} {
			if v := judge(t, documents{Live: pod, Fresh: fresh, SidecarNames: []string{"istio-proxy"}}); len(v.Changes) > 0 {
				t.Errorf("%s: %v", pod, v.Changes)
			}
			if digest(t, pod) != digest(t, fresh) {
				t.Errorf("%s: digests differ", pod)
			}
		}
	}
}

// TestDigestAndJudgeAgree on generated Pods with one change: what one sees, the
// other does, too, and the change is symmetric.
func TestDigestAndJudgeAgree(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 1))
		tree := podtest.Tree(t, podtest.Pod(r, 0.2))
		pod := podtest.JSON(t, tree)
		podtest.Changes(tree, func(change podtest.Change) {
			if r.IntN(8) > 0 {
				return
			}
			changed := podtest.JSON(t, tree)
			there, back := judge(t, documents{Live: pod, Fresh: changed}), judge(t, documents{Live: changed, Fresh: pod})
			if equal := digest(t, pod) == digest(t, changed); equal != (len(there.Changes) == 0) {
				t.Errorf("seed %d, %s: digests equal %v, changes %v", seed, change.What, equal, there.Changes)
			}
			if diff := cmp.Diff(paths(there), paths(back)); diff != "" {
				t.Errorf("seed %d, %s: %s", seed, change.What, diff)
			}
		}, "apiVersion", "kind", "status", "metadata")
	}
}

func paths(v Verdict) []string {
	list := []string{}
	for _, c := range v.Changes {
		list = append(list, c.Part+" "+c.Path)
	}
	return list
}

// TestEveryChangeIsReported changes every value of an injected container, init
// container and volume, one at a time, on either side.
func TestEveryChangeIsReported(t *testing.T) {
	template := []byte(`{"spec":{"containers":[{"name":"web"}]}}`)
	proxy, volume := podtest.Full[corev1.Container](), podtest.Full[corev1.Volume]()
	proxy.Name = "proxy"
	for name, test := range map[string]struct {
		spec corev1.PodSpec
		part string
		at   func(spec map[string]any, visit func(podtest.Change))
	}{
		"container": {
			spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web"}, proxy}},
			part: "container/proxy",
			at: func(spec map[string]any, visit func(podtest.Change)) {
				podtest.Changes(spec["containers"].([]any)[1].(map[string]any), visit, "name")
			},
		},
		"init container": {
			spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web"}}, InitContainers: []corev1.Container{proxy}},
			part: "initContainer/proxy",
			at: func(spec map[string]any, visit func(podtest.Change)) {
				podtest.Changes(spec["initContainers"].([]any)[0].(map[string]any), visit, "name")
			},
		},
		"app": {
			spec: corev1.PodSpec{Containers: []corev1.Container{func() corev1.Container { c := proxy; c.Name = "web"; return c }()}},
			part: "app/web",
			at: func(spec map[string]any, visit func(podtest.Change)) {
				podtest.Changes(spec["containers"].([]any)[0].(map[string]any), visit, "name")
			},
		},
		"volume": {
			spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web"}, {Name: "proxy"}}, Volumes: []corev1.Volume{volume}},
			part: "volumes",
			at: func(spec map[string]any, visit func(podtest.Change)) {
				podtest.Changes(spec["volumes"].([]any)[0].(map[string]any), func(change podtest.Change) {
					for i, path := range change.Paths {
						change.Paths[i] = fmt.Sprintf("[%s].%s", volume.Name, path)
					}
					visit(change)
				}, "name")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tree := podtest.Tree(t, corev1.Pod{Spec: test.spec})
			live := podtest.JSON(t, tree)
			test.at(tree["spec"].(map[string]any), func(change podtest.Change) {
				v := judge(t, documents{Live: live, Fresh: podtest.JSON(t, tree), Template: template})
				var want []string
				for _, path := range change.Paths {
					want = append(want, test.part+" "+path)
				}
				if diff := cmp.Diff(want, paths(v)); diff != "" {
					t.Errorf("%s: %s", change.What, diff)
				}
				for _, c := range v.Changes {
					if string(c.From) == string(c.To) {
						t.Errorf("%s: from and to are %s", change.What, c.From)
					}
				}
			})
		})
	}
}

// TestSidecarNames: whoever names a container has it counted as injected.
func TestSidecarNames(t *testing.T) {
	template := []byte(`{"spec":{"containers":[{"name":"web"},{"name":"proxy"}]}}`)
	live := []byte(`{"spec":{"containers":[{"name":"web"},{"name":"proxy","image":"a"}]}}`)
	fresh := []byte(`{"spec":{"containers":[{"name":"web"},{"name":"proxy","image":"b"}]}}`)
	if v := judge(t, documents{Live: live, Fresh: fresh, Template: template}); v.State != Mutated || v.Changes[0].Part != "app/proxy" {
		t.Errorf("unnamed: %+v", v)
	}
	v := judge(t, documents{Live: live, Fresh: fresh, Template: template, SidecarNames: []string{"proxy", "other"}})
	if v.State != Drifted || v.Changes[0].Part != "container/proxy" || !slices.Equal(v.Sidecars, []string{"proxy"}) {
		t.Errorf("named: %+v", v)
	}
}

func TestSidecars(t *testing.T) {
	for name, test := range map[string]struct {
		template []byte
		names    []string
		want     []string
	}{
		"by managedFields": {want: []string{"istio-init", "istio-proxy"}},
		"by the template":  {template: []byte(`{"spec":{"containers":[{"name":"istio-proxy"}]}}`), want: []string{"istio-init", "istio-proxy", "nginx"}},
		"named":            {names: []string{"nginx"}, want: []string{"istio-init", "istio-proxy", "nginx"}},
	} {
		got, err := Unchanged(parse(t, podtest.Live), parse(t, test.template), test.names)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got.Sidecars); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestDuplicateContainers: files may hold what the API server refuses.
func TestDuplicateContainers(t *testing.T) {
	live := []byte(`{"spec":{"containers":[{"name":"a","image":"1"},{"name":"a","image":"2"},{"image":"3"}]}}`)
	fresh := []byte(`{"spec":{"containers":[{"name":"a","image":"x"},{"name":"a","image":"2"},{"image":"y"},{"image":"z"}]}}`)
	want := []string{"app/ ", "app/ image", "app/a image"}
	if diff := cmp.Diff(want, paths(judge(t, documents{Live: live, Fresh: fresh}))); diff != "" {
		t.Error(diff)
	}
}

func TestMalformed(t *testing.T) {
	good := []byte(`{"spec":{}}`)
	for _, bad := range []string{``, `null`, `[]`, `{}`, `{"spec":null}`, `{"spec":{},"spec":{}}`, "{\"spec\":{\"a\":\"\xff\"}}", `{"spec":{},"metadata":{"managedFields":1}}`} {
		for _, in := range []documents{{Live: []byte(bad), Fresh: good}, {Live: good, Fresh: []byte(bad)}} {
			if v, err := judgeDocuments(in); err == nil {
				t.Errorf("%s: %+v", bad, v)
			}
		}
	}
}

func TestSeverity(t *testing.T) {
	states := States()
	for i, s := range states {
		if s.Severity() != i || Worst(append(slices.Clone(states[i:]), "FromTheFuture")...) != s {
			t.Errorf("%s is not state %d", s, i)
		}
	}
	if Worst() != NotInjected || Modified.Drift() || !Modified.Counted() || Blocked.Counted() || !Missing.Drift() {
		t.Error("which states count is not as documented")
	}
}

// FuzzJudge: a Pod is in sync with itself, changes are sorted and decide the
// state, and equal digests mean that there are none.
func FuzzJudge(f *testing.F) {
	f.Add(podtest.Live, podtest.Fresh)
	for _, seed := range [][2]string{
		{`{"spec":{"containers":[{"name":"a"},{}]}}`, `{"spec":{"containers":[{},{"name":"a","x":[{"y":null}]}]}}`},
		{`{"metadata":{"name":"a"},"spec":{"volumes":[{"name":"xa"}],"containers":[{"args":["a"]}]}}`, `{"metadata":{"name":"b"},"spec":{"volumes":[{"name":"xb"}],"containers":[{"args":["b"]}]}}`},
		{`{"spec":{"containers":[{"name":"a","resources":{"limits":{"cpu":1},"requests":{"cpu":"1000m"}}}],"volumes":{}}}`, `{"spec":{"containers":[{"name":"a","resources":{"limits":{"cpu":"1.0"}}}],"volumes":[1]}}`},
		{`{"spec":{"initContainers":[{"name":"a","env":[{"name":"A","value":"$(B)"},{"name":"B"}]}]}}`, `{"spec":{"initContainers":[{"name":"a","env":[{"name":"B"},{"name":"A","value":"$(B)"},{"name":"B"}]}]}}`},
		{`{"metadata":{"ownerReferences":[{"kind":"DaemonSet","controller":true}]},"spec":{"hostNetwork":true,"affinity":{"nodeAffinity":1},"containers":[{"ports":[{"containerPort":1,"hostPort":1}]}]}}`, `{"spec":{"hostNetwork":true,"affinity":{},"containers":[{"ports":[{"containerPort":1}]}]}}`},
		{`{"metadata":{"managedFields":[{"operation":"Update","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"nginx\"}":{".":{},"f:image":{}}}}}},{"operation":"Update","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{"f:image":{}}}}}}]},"spec":{"containers":[{"name":"nginx"},{"name":"a","image":"1"}]}}`, `{"spec":{"containers":[{"name":"nginx"},{"name":"a","image":"2"}]}}`},
		{`{"metadata":{"annotations":{"kubernetes.io/limit-ranger":"x: cpu request for container nginx"}},"spec":{"containers":[{"name":"nginx","resources":{"requests":{"cpu":"1","y":1E400}}},{"name":"nginx"}]}}`, `{"spec":{"containers":[null,{"name":"nginx"}],"initContainers":[{"name":"nginx"}]}}`},
		{`{"spec":{"x":` + strings.Repeat(`[`, 200) + strings.Repeat(`]`, 200) + `,"containers":[{"args":[` + strings.Repeat(`"a",`, 300) + `-0]}]}}`, `{"spec":{"x":[],"containers":[{"args":["a",0.0]}]}}`},
		{`{"spec":{"a":1,"a":2}}`, "{\"spec\":{\"a\":\"\xff\"}}"},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		template := []byte(`{"spec":{"containers":[{"name":"nginx"}]}}`)
		there, err := judgeDocuments(documents{Live: a, Fresh: b, Template: template})
		if err != nil {
			return
		}
		if !slices.IsSortedFunc(there.Changes, CompareChanges) {
			t.Error("the changes are not sorted")
		}
		self := judge(t, documents{Live: a, Fresh: a, Template: template})
		if len(self.Changes) > 0 || len(self.Loses) > 0 || self.State != InSync && self.State != NotInjected {
			t.Errorf("differs from itself: %+v", self)
		}
		if (self.State == InSync) != (len(self.Sidecars) > 0 || self.Injected) {
			t.Errorf("%s with the sidecars %q", self.State, self.Sidecars)
		}
		if changed := len(there.Changes) > 0; changed == (there.State == InSync || there.State == NotInjected) {
			t.Errorf("%s with the changes %v", there.State, there.Changes)
		}
		if digest(t, a) == digest(t, b) && len(there.Changes) > 0 {
			t.Errorf("equal digests, and changes: %v", there.Changes)
		}
	})
}
