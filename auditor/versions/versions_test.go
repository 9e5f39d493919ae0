package versions

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

func parse(t testing.TB, text []byte) jsontree.Node {
	t.Helper()
	pod, err := jsontree.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func onlySpec(t testing.TB, pod jsontree.Node, sidecars ...string) Spec {
	t.Helper()
	specs, err := OfSidecars(pod, sidecars)
	if err != nil {
		t.Fatal(err)
	}
	if len(specs) != 1 {
		t.Fatalf("%d specs, want 1", len(specs))
	}
	return specs[0]
}

// injected are Pods that the real injectors made, by their case in the testdata of the verdict.
func injected(t testing.TB, name string) jsontree.Node {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "verdict", "testdata", filepath.FromSlash(name)+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

// A Pod may have any name, that of a container, or of a field, too: so it hides from nobody what
// it runs.
func TestNamesOfPods(t *testing.T) {
	of := func(name string) Spec {
		return onlySpec(t, parse(t, []byte(`{"metadata":{"name":"`+name+`","namespace":"shop"},"spec":{"containers":[{"name":"app","image":"app:1"},{"name":"istio-proxy","image":"proxy:1","args":["proxy"],"env":[{"name":"MESH","value":"cluster.local"}]}]}}`)), "istio-proxy")
	}
	want := of("web-7d4b9c-x2x4z")
	for _, name := range []string{"p", "i", "istio-proxy", "name", "image", "containers", "env", "1"} {
		got := of(name)
		if images := got.content().images(); len(images) != 1 || images[0] != (Image{"istio-proxy", "proxy:1"}) {
			t.Errorf("a Pod named %s: %v", name, images)
		}
		if name != "istio-proxy" && got != want {
			t.Errorf("a Pod named %s has another version: %v", name, Differences(want, got))
		}
	}
}

// A tenant may write much into what is injected, and other things into each Pod: no more than
// so much is kept of each.
func TestLargeSpecs(t *testing.T) {
	of := func(value string) Spec {
		return onlySpec(t, parse(t, []byte(`{"metadata":{"name":"p"},"spec":{"containers":[{"name":"istio-proxy","image":"proxy:1","env":[{"name":"CONFIG","value":"`+value+`"}]}]}}`)), "istio-proxy")
	}
	one, other := of(strings.Repeat("a", 200<<10)), of(strings.Repeat("b", 200<<10))
	if kept := len(one.text.Value()); kept > maxText || one.ID() == other.ID() || one == other {
		t.Errorf("%d bytes are kept, IDs %s and %s", kept, one.ID(), other.ID())
	}
	if small := of("a"); len(small.content().Leaves) < 2 {
		t.Errorf("of a small one too little is kept: %+v", small.content())
	}
}

// What two releases of Istio inject into one workload differs in what their templates do.
func TestOfIstio(t *testing.T) {
	var ids []string
	for _, name := range []string{"istio-1.27-to-1.28/live", "istio-1.27-to-1.28/fresh"} {
		specs, err := Of(injected(t, name))
		if err != nil || len(specs) != 1 {
			t.Fatalf("%s: %d specs, %v", name, len(specs), err)
		}
		ids = append(ids, specs[0].ID().String())
		if c := specs[0].content(); c.Injector != "istio" || c.Revision != "default" {
			t.Errorf("%s: injector %q, revision %q", name, c.Injector, c.Revision)
		}
	}
	if ids[0] == ids[1] {
		t.Error("both have the same version")
	}
	before, after := onlySpec(t, injected(t, "istio-1.27-to-1.28/live"), "istio-proxy"), onlySpec(t, injected(t, "istio-1.27-to-1.28/fresh"), "istio-proxy")
	var got []string
	for _, c := range Differences(before, after) {
		got = append(got, fmt.Sprintf("%s %s→%s", c.Place(), c.From, c.To))
	}
	want := `container/istio-proxy:image "docker.io/istio/proxyv2:1.27.0"→"docker.io/istio/proxyv2:1.28.0"
container/istio-proxy:resources.requests.cpu "100m"→"150m"`
	if strings.Join(got, "\n") != want {
		t.Errorf("differences:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}
}

// sidecarPod is one whose sidecar says of its app all that injectors do.
func sidecarPod(name, namespace, app string, port int, cpu string) string {
	return fmt.Sprintf(`{"metadata":{"name":"%[1]s-7d9f8-x2x4z","namespace":"%[2]s","labels":{"app":"%[1]s","pod-template-hash":"7d9f8"},
		"annotations":{"dapr.io/app-port":"%[4]d","istio.io/rev":"default"},
		"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"%[1]s-7d9f8","controller":true,"uid":"u"}],
		"managedFields":[{"manager":"kube-controller-manager","operation":"Update","fieldsV1":{"f:metadata":{"f:annotations":{".":{},"f:dapr.io/app-port":{}},"f:labels":{".":{},"f:app":{},"f:pod-template-hash":{}}},
			"f:spec":{"f:containers":{"k:{\"name\":\"%[3]s\"}":{".":{},"f:name":{},"f:image":{},"f:ports":{".":{},"k:{\"containerPort\":%[4]d,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}}}}}}}]},
		"spec":{"serviceAccountName":"%[1]s-runner","containers":[
			{"name":"%[3]s","image":"app","ports":[{"containerPort":%[4]d,"protocol":"TCP"}]},
			{"name":"proxy","image":"mesh/proxy:1","args":["run","--app-id","%[1]s","--app-port","%[4]d","--mode","kubernetes","--domain=%[2]s.svc.cluster.local","--grace","-1"],
			 "env":[{"name":"OWNER","value":"kubernetes://apis/apps/v1/namespaces/%[2]s/deployments/%[1]s"},{"name":"PORTS","value":"[\n {\"containerPort\":%[4]d}\n]"},
			  {"name":"APPS","value":"%[3]s"},{"name":"INBOUND","value":"%[4]d"},{"name":"PROBERS","value":"{\"/app-health/%[3]s/readyz\":{}}"},{"name":"MESH","value":"cluster.local"},
			  {"name":"NODE","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"}}}],
			 "resources":{"requests":{"cpu":"%[5]s"}},
			 "volumeMounts":[{"name":"kube-api-access-%[1]s","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}]}]}}`, name, namespace, app, port, cpu)
}

// Workloads whose sidecars differ in what is their own have one version.
func TestWhatIsAPodsOwn(t *testing.T) {
	first := sidecarPod("web", "shop", "server", 8080, "100m")
	want := onlySpec(t, parse(t, []byte(first)), "proxy")
	for what, pod := range map[string]string{
		"another workload":          sidecarPod("cart", "shop", "main", 9090, "100m"),
		"another namespace":         sidecarPod("web", "payments", "server", 8080, "100m"),
		"one without ports":         strings.Replace(strings.NewReplacer(`[\n {\"containerPort\":8080}\n]`, `[\n]`, `"INBOUND","value":"8080"`, `"INBOUND","value":""`).Replace(first), `"--app-port","8080",`, "", 1),
		"variables in another turn": strings.Replace(strings.Replace(first, `{"name":"MESH","value":"cluster.local"},`, "", 1), `"env":[`, `"env":[{"name":"MESH","value":"cluster.local"},`, 1),
	} {
		if got := onlySpec(t, parse(t, []byte(pod)), "proxy"); got != want {
			t.Errorf("%s: differs in %v", what, Differences(want, got))
		}
	}
	for what, pod := range map[string]string{
		"cpu":           sidecarPod("web", "shop", "server", 8080, "200m"),
		"image":         strings.Replace(first, "proxy:1", "proxy:2", 1),
		"argument":      strings.Replace(first, `"kubernetes"`, `"standalone"`, 1),
		"lost argument": strings.Replace(first, `,"--grace","-1"`, "", 1),
		"variable":      strings.Replace(first, `"cluster.local"}`, `"other.local"}`, 1),
		"revision":      strings.Replace(first, `"istio.io/rev":"default"`, `"istio.io/rev":"1-28"`, 1),
	} {
		got := onlySpec(t, parse(t, []byte(pod)), "proxy")
		if what == "revision" {
			if got != want {
				t.Error("the revision of an injector that is not known to have one tells versions apart")
			}
			continue
		}
		if changes := Differences(want, got); got == want || len(changes) != 1 {
			t.Errorf("%s: differs in %v", what, changes)
		}
	}
}

func TestBecomesNative(t *testing.T) {
	before := `{"metadata":{},"spec":{"containers":[{"name":"proxy","image":"p:1","resources":{"requests":{"cpu":"1"}}}]}}`
	after := `{"metadata":{},"spec":{"containers":[],"initContainers":[{"name":"proxy","image":"p:1","restartPolicy":"Always","resources":{"requests":{"cpu":"2"}}}]}}`
	changes := Differences(onlySpec(t, parse(t, []byte(before)), "proxy"), onlySpec(t, parse(t, []byte(after)), "proxy"))
	if len(changes) != 2 || changes[0].Path != "becomes a native sidecar" || changes[1].Path != "resources.requests.cpu" {
		t.Errorf("changes %+v", changes)
	}
}

func TestContainersThatComeAndGo(t *testing.T) {
	one := onlySpec(t, parse(t, []byte(`{"spec":{"containers":[{"name":"vault-agent","image":"v:1"}]}}`)), "vault-agent", "vault-agent-init")
	two := onlySpec(t, parse(t, []byte(`{"spec":{"initContainers":[{"name":"vault-agent-init","image":"v:1"}],"containers":[{"name":"vault-agent","image":"v:1"}]}}`)), "vault-agent", "vault-agent-init")
	changes := Differences(one, two)
	if len(changes) != 1 || changes[0].Part != "initContainer/vault-agent-init" || changes[0].Path != "" || changes[0].From != nil || changes[0].To == nil {
		t.Errorf("changes %+v", changes)
	}
	if back := Differences(two, one); len(back) != 1 || back[0].To != nil || back[0].From == nil {
		t.Errorf("the other way %+v", back)
	}
}

// A census does not depend on the order in which it is taken.
func TestCensus(t *testing.T) {
	spec := func(cpu, image string) Spec {
		return onlySpec(t, parse(t, []byte(strings.Replace(sidecarPod("web", "shop", "server", 8080, cpu), "proxy:1", "proxy:"+image, 1))), "proxy")
	}
	old, fresh, own := spec("100m", "1"), spec("100m", "2"), spec("500m", "2")
	at := func(hours int) time.Time { return time.Date(2026, 1, 1, hours, 0, 0, 0, time.UTC) }
	type added struct {
		w       Workload
		running Running
		fresh   []Spec
		asked   bool
	}
	all := []added{
		{Workload{"", "shop", "Deployment", "web"}, Running{old, 3, at(1), at(2)}, []Spec{fresh}, true},
		{Workload{"", "shop", "Deployment", "cart"}, Running{fresh, 2, at(5), at(6)}, []Spec{fresh}, true},
		{Workload{"", "payments", "Deployment", "api"}, Running{old, 1, at(0), at(3)}, []Spec{fresh}, true},
		{Workload{"", "payments", "Deployment", "gone"}, Running{old, 2, at(2), at(2)}, nil, true},
		{Workload{"", "payments", "StatefulSet", "db"}, Running{own, 1, time.Time{}, time.Time{}}, nil, false},
	}
	var first string
	for range 20 {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		var c Census
		for _, a := range all {
			c.Add(a.w, []Running{a.running}, a.fresh, a.asked)
		}
		found, left := c.Versions()
		text, err := json.Marshal(found)
		if err != nil || left != 0 {
			t.Fatal(err, left)
		}
		if first == "" {
			first = string(text)
			check(t, found, fresh, old, own)
		} else if string(text) != first {
			t.Fatalf("in another order:\n%s\nfirst:\n%s", text, first)
		}
	}
}

func check(t *testing.T, found []Version, fresh, old, own Spec) {
	t.Helper()
	if len(found) != 3 || found[0].ID != fresh.ID().String() || found[1].ID != old.ID().String() || found[2].ID != own.ID().String() {
		t.Fatalf("versions %+v", found)
	}
	if v := found[0]; v.Current == nil || !*v.Current || v.Pods != 2 || v.Workloads != 1 || v.Becomes != nil || v.Newer != nil {
		t.Errorf("the fresh one: %+v", v)
	}
	v := found[1]
	if v.Current == nil || *v.Current || v.Pods != 6 || v.Workloads != 3 || v.Namespaces != 2 || v.OldestPod.Hour() != 0 || v.YoungestPod.Hour() != 3 {
		t.Errorf("the old one: %+v", v)
	}
	if len(v.Becomes) != 2 || v.Becomes[0].ID != fresh.ID().String() || v.Becomes[0].Pods != 4 || len(v.Becomes[0].Changes) != 1 || v.Becomes[1].ID != "" || v.Becomes[1].Pods != 2 {
		t.Errorf("what the old one becomes: %+v", v.Becomes)
	}
	if v := found[2]; v.Current != nil || v.OldestPod != nil || v.Newer == nil || v.Newer.ID != fresh.ID().String() {
		t.Errorf("the one that nobody was asked about: %+v", v)
	}
}

func TestCensusIsBounded(t *testing.T) {
	var c Census
	for i := range Most + 7 {
		spec := onlySpec(t, parse(t, fmt.Appendf(nil, `{"spec":{"containers":[{"name":"proxy","image":"p:%d"}]}}`, i)), "proxy")
		c.Add(Workload{Name: fmt.Sprint(i)}, []Running{{Spec: spec, Pods: 1 + i/(Most+6)}}, nil, false)
	}
	found, left := c.Versions()
	if len(found) != Most || left != 7 {
		t.Errorf("%d versions, %d left", len(found), left)
	}
}

// A Pod of anybody's making gives specs that can be compared, or an error.
func FuzzOf(f *testing.F) {
	for _, name := range []string{"istio-1.27-to-1.28/live", "native-sidecar/fresh", "declared-by-the-user/live"} {
		f.Add(injected(f, name).Raw())
	}
	f.Add([]byte(sidecarPod("web", "shop", "server", 8080, "100m")))
	f.Add([]byte(`{"spec":{"containers":[{"name":"a","args":[1,"-x","","--y=",null],"env":[{"name":"A"},7],"ports":[{}],"resources":{}}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		pod, err := jsontree.Parse(text)
		if err != nil {
			return
		}
		specs, err := Of(pod, "a", "proxy", "istio-proxy")
		if err != nil {
			return
		}
		again, err := Of(pod, "a", "proxy", "istio-proxy")
		if err != nil || len(again) != len(specs) {
			t.Fatalf("another answer the second time: %v", err)
		}
		for i, s := range specs {
			if s != again[i] || len(Differences(s, s)) > 0 {
				t.Fatal("a spec differs from itself")
			}
			Differences(s, specs[0])
		}
	})
}
