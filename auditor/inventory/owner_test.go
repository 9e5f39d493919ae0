package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

func TestOwnerCheck(t *testing.T) {
	good := Owner{"apps/v1", "ReplicaSet", "web-6474fd88d4", "774e4973-f700-4505-823d-aa7f2396656e"}
	long := strings.Repeat("x", 690_000)
	for name, test := range map[string]struct {
		change func(*Owner)
		ok     bool
	}{
		"a ReplicaSet":            {func(*Owner) {}, true},
		"the core's":              {func(o *Owner) { o.APIVersion, o.Kind = "v1", "ReplicationController" }, true},
		"a custom kind":           {func(o *Owner) { o.APIVersion, o.Kind = "core.strimzi.io/v1beta2", "StrimziPodSet" }, true},
		"a name of another rule":  {func(o *Owner) { o.Name = "system:Node_1" }, true},
		"the longest name":        {func(o *Owner) { o.Name = strings.Repeat("x", 253) }, true},
		"a slash":                 {func(o *Owner) { o.Name = "a/b" }, false},
		"upwards":                 {func(o *Owner) { o.Name = "../../shop/replicasets/web" }, false},
		"dots":                    {func(o *Owner) { o.Name = ".." }, false},
		"a percent sign":          {func(o *Owner) { o.Name = "a%2fb" }, false},
		"a question mark":         {func(o *Owner) { o.Name = "a?dryRun=All" }, true}, // it is escaped in a path
		"a long name":             {func(o *Owner) { o.Name = long }, false},
		"a line":                  {func(o *Owner) { o.Name = "a\nb" }, false},
		"an escape sequence":      {func(o *Owner) { o.Name = "n\x1b[2J" }, false},
		"text from right to left": {func(o *Owner) { o.Name = "a\u202eb" }, false},
		"a long kind":             {func(o *Owner) { o.Kind = long }, false},
		"a kind of two words":     {func(o *Owner) { o.Kind = "Foo payments/x" }, false},
		"a kind with a title":     {func(o *Owner) { o.Kind = "K\x1b]0;pwned\a" }, false},
		"a kind with a dot":       {func(o *Owner) { o.Kind = "Deployment.apps" }, false},
		"a version with slashes":  {func(o *Owner) { o.APIVersion = "apps/v1/namespaces" }, false},
		"a version upwards":       {func(o *Owner) { o.APIVersion = "../v1" }, false},
		"no version":              {func(o *Owner) { o.APIVersion = "apps/" }, false},
		"a long version":          {func(o *Owner) { o.APIVersion = long }, false},
		"a long UID":              {func(o *Owner) { o.UID = long }, false},
		"a UID with lines":        {func(o *Owner) { o.UID = "a\nb" }, false},
	} {
		o := good
		test.change(&o)
		if err := o.check(); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		if text := o.String(); len(text) > 400 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%s: is shown as %.500q", name, text)
		}
	}
}

// FuzzOwner: whatever a Pod says of its owner, what is kept is bounded, and what is
// not refused can stand in a path, a label and a table.
func FuzzOwner(f *testing.F) {
	f.Add("apps/v1", "ReplicaSet", "web-1", "774e4973")
	f.Add("apps/v9", "ReplicaSet", "../../shop/replicasets/web", "q")
	f.Add("evil.io/v1", "K\x1b[31m", "a/b", "")
	f.Fuzz(func(t *testing.T, apiVersion, kind, name, uid string) {
		for _, text := range []string{apiVersion, kind, name, uid} {
			if !utf8.ValidString(text) {
				return // no JSON
			}
		}
		document, err := json.Marshal(map[string]any{"ownerReferences": []any{
			map[string]any{"apiVersion": apiVersion, "kind": kind, "name": name, "uid": uid, "controller": true},
		}})
		if err != nil {
			t.Fatal(err)
		}
		metadata, err := jsontree.Parse(document)
		if err != nil {
			t.Fatal(err)
		}
		o := controllerOf(metadata)
		if size := len(o.APIVersion) + len(o.Kind) + len(o.Name) + len(o.UID); size > 1000 {
			t.Errorf("%d bytes are kept", size)
		}
		if o.check() != nil {
			return
		}
		if o != (Owner{apiVersion, kind, name, uid}) {
			t.Errorf("%+v passes, and is not what was said", o)
		}
		if strings.ContainsAny(o.Name, "/%") || o.Name == "." || o.Name == ".." || strings.ContainsAny(o.kind(), " /\n") {
			t.Errorf("%+v passes", o)
		}
	})
}

// object is of a kind that an API server of the tests' own has.
type object struct{ path, json string }

// serve answers lists and gets with these objects, and notes the paths asked for.
func serve(t *testing.T, objects ...object) (rest.Interface, *[]string) {
	t.Helper()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.EscapedPath())
		w.Header().Set("Content-Type", "application/json")
		var items []string
		for _, o := range objects {
			if o.path == r.URL.Path {
				fmt.Fprint(w, o.json)
				return
			}
			parts := strings.Split(o.path, "/") // /apis/apps/v1/namespaces/NS/PLURAL/NAME
			at := slices.Index(parts, "namespaces")
			if strings.Join(slices.Concat(parts[:at], parts[at+2:len(parts)-1]), "/") == r.URL.Path {
				items = append(items, o.json)
			}
		}
		if strings.Contains(r.URL.Path, "/namespaces/") {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
			return
		}
		fmt.Fprintf(w, `{"metadata":{},"items":[%s]}`, strings.Join(items, ","))
	}))
	t.Cleanup(server.Close)
	client, err := rest.UnversionedRESTClientForConfigAndClient(&rest.Config{
		Host: server.URL, QPS: -1, ContentConfig: rest.ContentConfig{NegotiatedSerializer: scheme.Codecs.WithoutConversion()},
	}, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	return client, &asked
}

func aPod(namespace, name, owner string) object {
	return object{
		"/api/v1/namespaces/" + namespace + "/pods/" + name,
		fmt.Sprintf(`{"metadata":{"name":%q,"namespace":%q,"uid":"pod-%s-%s","labels":{"controller-revision-hash":"db-1"},"ownerReferences":[%s]},"spec":{"containers":[]}}`,
			name, namespace, namespace, name, owner),
	}
}

func aReference(apiVersion, kind, name, uid string) string {
	return fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"name":%q,"uid":%q,"controller":true}`, apiVersion, kind, name, uid)
}

func anOwner(plural, namespace, name, uid, owner, more string) object {
	return object{
		"/apis/apps/v1/namespaces/" + namespace + "/" + plural + "/" + name,
		fmt.Sprintf(`{"metadata":{"name":%q,"namespace":%q,"uid":%q,"ownerReferences":[%s]},%s}`, name, namespace, uid, owner, more),
	}
}

const aTemplate = `"spec":{"template":{"spec":{"containers":[]}}}`

// told are the revisions as "Deployment shop/web web-1 2 template", sorted.
func told(t *testing.T, revisions func(context.Context, func(Revision) error) error) []string {
	t.Helper()
	lines := []string{}
	err := revisions(t.Context(), func(r Revision) error {
		line := fmt.Sprintf("%s %s %d", r.Workload, r.Name, len(r.Pods))
		if r.Template != nil {
			line += " template"
		}
		if r.Doubt != "" {
			line += " doubt"
		}
		if r.Broken != nil {
			line += " broken"
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

// What Pods say of their owners holds only for objects of their own namespace that
// say the same of themselves; nobody else's Pods are any the wiser.
func TestOwnersHold(t *testing.T) {
	shop := []object{
		aPod("shop", "web-1-a", aReference("apps/v1", "ReplicaSet", "web-1", "rs")),
		aPod("shop", "web-1-b", aReference("apps/v1", "ReplicaSet", "web-1", "rs")),
		aPod("shop", "db-0", aReference("apps/v1", "StatefulSet", "db", "set")),
		anOwner("replicasets", "shop", "web-1", "rs", aReference("apps/v1", "Deployment", "web", "deploy"), aTemplate),
		anOwner("deployments", "shop", "web", "deploy", "", aTemplate),
		anOwner("statefulsets", "shop", "db", "set", "", aTemplate),
		anOwner("controllerrevisions", "shop", "db-1", "cr", aReference("apps/v1", "StatefulSet", "db", "set"), `"data":{`+aTemplate+`}`),
	}
	whole := []string{"Deployment shop/web web-1 2 template", "StatefulSet shop/db db-1 1 template"}
	own := func(name string) string { return "Pod aaa/" + name + " " + name + " 1 doubt" }
	intruder := func(reference string) []object { return []object{aPod("aaa", "x", reference)} }
	for name, test := range map[string]struct {
		tenant []object
		want   []string
	}{
		"another namespace's UID":         {intruder(aReference("apps/v1", "ReplicaSet", "web-1", "rs")), []string{own("x")}},
		"another version":                 {intruder(aReference("apps/v9", "ReplicaSet", "whatever", "rs")), []string{own("x")}},
		"a path":                          {intruder(aReference("apps/v1", "ReplicaSet", "../../shop/replicasets/web-1", "rs")), []string{own("x")}},
		"a slash":                         {intruder(aReference("apps/v9", "ReplicaSet", "a/b", "rs")), []string{own("x")}},
		"another kind":                    {intruder(aReference("apps/v1", "StatefulSet", "web-1", "rs")), []string{own("x")}},
		"another namespace's StatefulSet": {intruder(aReference("apps/v1", "StatefulSet", "db", "set")), []string{own("x")}},
		"an unknown kind with its UID":    {intruder(aReference("evil.io/v1", "Thing", "web-1", "rs")), []string{"Thing aaa/web-1 x 1"}},
		"a namesake of a known kind":      {intruder(aReference("evil.io/v1", "Deployment", "web", "deploy")), []string{"Deployment.evil.io aaa/web x 1"}},
		"a kind with another's namespace": {intruder(aReference("evil.io/v1", "Foo shop/x", "web", "deploy")), []string{own("x")}},
		"two of one owner that is none": {
			append(intruder(aReference("apps/v1", "ReplicaSet", "no", "no")), aPod("aaa", "y", aReference("apps/v1", "ReplicaSet", "no", "no"))),
			[]string{own("x"), own("y")},
		},
		"a ReplicaSet of another namespace's Deployment": {
			append(intruder(aReference("apps/v1", "ReplicaSet", "mine", "mine")),
				anOwner("replicasets", "aaa", "mine", "mine", aReference("apps/v1", "Deployment", "web", "deploy"), aTemplate)),
			[]string{"ReplicaSet aaa/mine mine 1 template doubt"},
		},
		"a ReplicaSet of an invalid Deployment": {
			append(intruder(aReference("apps/v1", "ReplicaSet", "mine", "mine")),
				anOwner("replicasets", "aaa", "mine", "mine", aReference("apps/v9", "Deployment", "a/b", "deploy"), aTemplate)),
			[]string{"ReplicaSet aaa/mine mine 1 template doubt"},
		},
		"a ControllerRevision for another namespace's StatefulSet": {
			[]object{anOwner("controllerrevisions", "aaa", "db-1", "forged", aReference("apps/v1", "StatefulSet", "db", "set"), `"data":{}`)}, nil,
		},
		"a broken ControllerRevision": {
			[]object{
				aPod("aaa", "db-0", aReference("apps/v1", "StatefulSet", "db", "mine")),
				anOwner("statefulsets", "aaa", "db", "mine", "", aTemplate),
				anOwner("controllerrevisions", "aaa", "db-1", "cr2", aReference("apps/v1", "StatefulSet", "db", "mine"), `"data":{"spec":{"template":["x"]}}`),
			},
			[]string{"StatefulSet aaa/db db-1 1 broken"},
		},
		"a ControllerRevision without a spec": {
			[]object{
				aPod("aaa", "db-0", aReference("apps/v1", "StatefulSet", "db", "mine")),
				anOwner("statefulsets", "aaa", "db", "mine", "", aTemplate),
				anOwner("controllerrevisions", "aaa", "db-1", "cr2", aReference("apps/v1", "StatefulSet", "db", "mine"), `"data":{"spec":{"template":null}}`),
			},
			[]string{"StatefulSet aaa/db db-1 1 broken"},
		},
		"a ControllerRevision with names twice": {
			[]object{
				aPod("aaa", "db-0", aReference("apps/v1", "StatefulSet", "db", "mine")),
				anOwner("statefulsets", "aaa", "db", "mine", "", aTemplate),
				anOwner("controllerrevisions", "aaa", "db-1", "cr2", aReference("apps/v1", "StatefulSet", "db", "mine"), `"data":{"a":1,"a":2}`),
			},
			[]string{"StatefulSet aaa/db db-0 1"},
		},
		"a ControllerRevision that ends every list": {
			[]object{
				aPod("aaa", "db-0", aReference("apps/v1", "StatefulSet", "db", "mine")),
				anOwner("statefulsets", "aaa", "db", "mine", "", aTemplate),
				anOwner("controllerrevisions", "aaa", "db-1", "cr2", aReference("apps/v1", "StatefulSet", "db", "mine"),
					`"data":`+strings.Repeat(`{"a":`, 9_999)+"1"+strings.Repeat("}", 9_999)),
			},
			[]string{"StatefulSet aaa/db db-1 1 broken"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, asked := serve(t, append(slices.Clone(shop), test.tenant...)...)
			want := append(slices.Clone(whole), test.want...)
			slices.Sort(want)

			pods, err := Take(t.Context(), client, Selection{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, told(t, pods.Revisions)); diff != "" {
				t.Errorf("an audit's (-want +got):\n%s", diff)
			}

			live := NewLive(client, Selection{})
			for _, o := range append(slices.Clone(shop), test.tenant...) {
				if strings.Contains(o.path, "/pods/") {
					live.put(live.sources[0], mustParse(t, o.json))
				}
			}
			for _, few := range []bool{true, false, true} { // Pods that were disowned stay so
				groups, _ := live.Groups()
				some := live.Of(groups, few)
				if diff := cmp.Diff(want, told(t, some.Revisions)); diff != "" {
					t.Errorf("a daemon's, few %t (-want +got):\n%s", few, diff)
				}
				for _, key := range some.Disowned {
					live.Disown(key)
				}
			}
			for _, path := range *asked {
				if strings.Contains(path, "..") || strings.Count(path, "/") > 7 {
					t.Errorf("%s was asked for", path)
				}
			}
		})
	}
}

func mustParse(t *testing.T, document string) jsontree.Node {
	t.Helper()
	node, err := jsontree.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// A mirror Pod is one that its node owns; the annotation is anybody's.
func TestMirrorPods(t *testing.T) {
	const annotated = `"annotations":{"kubernetes.io/config.mirror":"x"}`
	for name, test := range map[string]struct {
		pod  string
		want bool
	}{
		"its node's":      {`{"metadata":{` + annotated + `,"ownerReferences":[` + aReference("v1", "Node", "n1", "u") + `]},"spec":{"nodeName":"n1"}}`, true},
		"not annotated":   {`{"metadata":{"ownerReferences":[` + aReference("v1", "Node", "n1", "u") + `]},"spec":{"nodeName":"n1"}}`, false},
		"another node's":  {`{"metadata":{` + annotated + `,"ownerReferences":[` + aReference("v1", "Node", "n2", "u") + `]},"spec":{"nodeName":"n1"}}`, false},
		"annotated alone": {`{"metadata":{` + annotated + `},"spec":{"nodeName":"n1"}}`, false},
		"a ReplicaSet's":  {`{"metadata":{` + annotated + `,"ownerReferences":[` + aReference("apps/v1", "ReplicaSet", "n1", "u") + `]},"spec":{"nodeName":"n1"}}`, false},
		"another Node":    {`{"metadata":{` + annotated + `,"ownerReferences":[` + aReference("evil.io/v1", "Node", "n1", "u") + `]},"spec":{"nodeName":"n1"}}`, false},
	} {
		if got := live(mustParse(t, test.pod)); got == test.want {
			t.Errorf("%s: live %t", name, got)
		}
	}
}
