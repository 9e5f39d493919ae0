package fingerprint

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec/podtest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func of(t testing.TB, pod []byte, names ...string) Fingerprint {
	t.Helper()
	root, err := jsontree.Parse(pod)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Of(root, names...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestGolden pins the algorithm.
func TestGolden(t *testing.T) {
	review, err := os.ReadFile("../../../webhook/testdata/admissionreview-istio-1.27.json")
	if err != nil {
		t.Fatal(err)
	}
	root, err := jsontree.Parse(review)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for name, pod := range map[string][]byte{
		"admissionreview-istio-1.27": root.Get("request", "object").Raw(),
		"pod-live-istio-1.27":        podtest.Live,
		"pod-fresh-istio-1.28":       podtest.Fresh,
		"ssa":                        []byte(ssaPod),
		"full":                       fullPod(t),
	} {
		f := of(t, pod)
		got[name] = map[string]any{"stamp": f.Stamp, "parts": json.RawMessage(f.PartsJSON())}
	}
	form, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	form = append(form, '\n')
	golden := filepath.Join("testdata", "golden.json")
	if *update {
		if err := os.WriteFile(golden, form, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(form)); diff != "" {
		t.Errorf("the algorithm gives other fingerprints than %s did: stamps of before would be read as drift. "+
			"If that is meant, bump Version and run the test with -update.\n%s", Version, diff)
	}
}

// ssaPod was created by server-side apply: nobody owns defaults.
const ssaPod = `{"metadata":{"name":"bare","annotations":{"note":"x"},"managedFields":[{"manager":"kubectl","operation":"Apply","fieldsV1":
	{"f:metadata":{"f:annotations":{"f:note":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:name":{},"f:image":{},"f:resources":{"f:limits":{"f:cpu":{}}}}}}}}]},
	"spec":{"containers":[{"name":"app","image":"nginx:1","imagePullPolicy":"IfNotPresent","terminationMessagePath":"/dev/termination-log",
	"resources":{"limits":{"cpu":"1"},"requests":{"cpu":"1"}},
	"volumeMounts":[{"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","name":"kube-api-access-x2x4z"}]}],
	"dnsPolicy":"ClusterFirst","securityContext":{},"volumes":[{"name":"kube-api-access-x2x4z","projected":{"defaultMode":420}}],"tolerations":[{"key":"a"}]}}`

func TestOf(t *testing.T) {
	app := func(added string) string {
		return `{"metadata":{"name":"p","managedFields":[{"operation":"Update","fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":
			{".":{},"f:name":{},"f:image":{},"f:env":{".":{},"k:{\"name\":\"A\"}":{".":{},"f:name":{}}},"f:securityContext":{}}}}}}]},
			"spec":{"containers":[{"name":"app","image":"i","env":[{"name":"A"}]` + added
	}
	for name, test := range map[string]struct {
		pod   string
		names []string
		want  []string
	}{
		"server-side apply":           {pod: ssaPod},
		"nothing injected":            {pod: app(`}]}}`)},
		"an env variable of the app":  {pod: strings.Replace(app(`}]}}`), `[{"name":"A"}]`, `[{"name":"A"},{"name":"B"}]`, 1), want: []string{"app/app"}},
		"a value of the app's env":    {pod: strings.Replace(app(`}]}}`), `[{"name":"A"}]`, `[{"name":"A","value":"x"}]`, 1), want: []string{"app/app"}},
		"an empty security context":   {pod: app(`,"securityContext":{}}]}}`)},
		"a filled security context":   {pod: app(`,"securityContext":{"privileged":true}}]}}`), want: []string{"app/app"}},
		"an unknown field of the app": {pod: app(`,"new":{"x":[1]}}]}}`), want: []string{"app/app"}},
		"a container":                 {pod: app(`},{"name":"proxy"}]}}`), want: []string{"container/proxy", "order"}},
		"a container without a name":  {pod: app(`},{"image":"x"}]}}`), want: []string{"container/", "order"}},
		"an init container":           {pod: app(`}],"initContainers":[{"name":"init"}]}}`), want: []string{"initContainer/init", "order"}},
		"a volume":                    {pod: app(`}],"volumes":[{"name":"v","emptyDir":{}}]}}`), want: []string{"volumes"}},
		"a Pod's security context":    {pod: app(`}],"securityContext":{"fsGroup":1}}}`), want: []string{"pod"}},
		"a host alias":                {pod: app(`}],"hostAliases":[{"ip":"1.2.3.4"}]}}`), want: []string{"pod"}},
		"an unknown field of the Pod": {pod: app(`}],"new":0}}`), want: []string{"pod"}},
		"noise": {pod: app(`}],"nodeName":"n","priority":0,"priorityClassName":"p","preemptionPolicy":"Never","tolerations":[{}],"overhead":{"cpu":"1"},
			"nodeSelector":{"a":"b"},"serviceAccount":"d","serviceAccountName":"d","imagePullSecrets":[{"name":"s"}],"enableServiceLinks":true,
			"hostname":"p","subdomain":"s","schedulingGates":[{"name":"g"}],"ephemeralContainers":[{"name":"debug"}]},"status":{"phase":"Running"}}`)},
		"named":                     {pod: app(`}]}}`), names: []string{"app", "other"}, want: []string{"container/app", "order"}},
		"no managedFields":          {pod: `{"spec":{"containers":[{"name":"app"},{"name":"proxy"}]}}`},
		"no managedFields, named":   {pod: `{"spec":{"containers":[{"name":"app"},{"name":"proxy"}]}}`, names: []string{"proxy"}, want: []string{"container/proxy", "order"}},
		"no managedFields, listed":  {pod: `{"metadata":{"annotations":{"sidecar.istio.io/status":"{\"containers\":[\"proxy\"],\"volumes\":[\"v\"]}"}},"spec":{"containers":[{"name":"app"},{"name":"proxy"}],"volumes":[{"name":"u"},{"name":"v"}]}}`, want: []string{"container/proxy", "order", "volumes"}},
		"malformed list of names":   {pod: `{"metadata":{"annotations":{"sidecar.istio.io/status":"{"}},"spec":{"containers":[{"name":"app"}]}}`},
		"only status is owned":      {pod: `{"metadata":{"managedFields":[{"subresource":"status","fieldsV1":{"f:status":{}}}]},"spec":{"containers":[{"name":"app"}]}}`},
		"items of the wrong kind":   {pod: `{"spec":{"containers":[null,1,"a",[]],"volumes":{"a":1}}}`},
		"resources of LimitRanger":  {pod: strings.Replace(app(`,"resources":{"requests":{"cpu":"1"}}}]}}`), `"metadata":{`, `"metadata":{"annotations":{"kubernetes.io/limit-ranger":"LimitRanger plugin set: cpu request for container app"},`, 1), want: []string{"metadata"}},
		"resources of someone else": {pod: strings.Replace(app(`,"resources":{"requests":{"cpu":"1","memory":"1"}}}]}}`), `"metadata":{`, `"metadata":{"annotations":{"kubernetes.io/limit-ranger":"LimitRanger plugin set: cpu request for container app"},`, 1), want: []string{"app/app", "metadata"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := of(t, []byte(test.pod), test.names...)
			var parts []string
			for _, p := range f.Parts {
				parts = append(parts, p.Name)
			}
			if diff := cmp.Diff(test.want, parts); diff != "" {
				t.Error(diff)
			}
			none := len(slices.DeleteFunc(parts, func(p string) bool { return p == "metadata" })) == 0
			if (f.Stamp == None) != none {
				t.Errorf("stamp %s of parts %s", f.Stamp, parts)
			}
			if !none && (!strings.HasPrefix(f.Stamp, Version) || len(f.Stamp) != len(Version)+64) {
				t.Errorf("stamp %s", f.Stamp)
			}
		})
	}
}

func TestOfRefuses(t *testing.T) {
	for _, pod := range []string{`{}`, `[]`, `null`, `{"spec":[]}`, `{"spec":{},"metadata":{"managedFields":{}}}`, `{"spec":{},"metadata":{"managedFields":[{"fieldsV1":1}]}}`} {
		root, err := jsontree.Parse([]byte(pod))
		if err != nil {
			t.Fatal(err)
		}
		if f, err := Of(root); err == nil {
			t.Errorf("Of(%s) = %v", pod, f)
		}
	}
}

func TestPartsJSON(t *testing.T) {
	f := Fingerprint{Parts: []Part{{`container/"a`, "0123"}, {"volumes", "4567"}}}
	if got, want := string(f.PartsJSON()), `{"container/\"a":"0123","volumes":"4567"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := string(Fingerprint{}.PartsJSON()); got != "{}" {
		t.Errorf("of nothing: %s", got)
	}
}

// TestManyFields: anyone may create a Pod as large as the API server takes, so
// the cost must not grow with the square of its size. Were it so, this test
// would take minutes.
func TestManyFields(t *testing.T) {
	const many = 40_000
	join := func(format string) string {
		var list strings.Builder
		for i := range many {
			fmt.Fprintf(&list, format+",", i)
		}
		return strings.TrimSuffix(list.String(), ",")
	}
	for name, test := range map[string]struct{ annotations, ownedAnnotations, owned, container string }{
		"annotations": {join(`"a%d":""`), join(`"f:a%d":{}`), `"f:x":{}`, `"x":1`},
		"env":         {``, ``, `"f:env":{` + join(`"k:{\"name\":\"A%d\"}":{".":{},"f:name":{}}`) + `}`, `"env":[` + join(`{"name":"A%d"}`) + `]`},
		"ports": {``, ``, `"f:ports":{` + join(`"k:{\"containerPort\":%d,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}`) + `}`,
			`"ports":[` + join(`{"containerPort":%d}`) + `]`},
		"fields": {``, ``, join(`"f:x%d":{}`), join(`"x%d":0`)},
		"requests": {``, ``, `"f:resources":{"f:limits":{` + join(`"f:r%d":{}`) + `},"f:requests":{` + join(`"f:r%d":{}`) + `}}`,
			`"resources":{"limits":{` + join(`"r%d":"1"`) + `},"requests":{` + join(`"r%d":"1"`) + `}}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := of(t, fmt.Appendf(nil, `{"metadata":{"annotations":{%s},"managedFields":[{"fieldsV1":{"f:metadata":{"f:annotations":{%s}},
				"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:name":{},%s}}}}}]},"spec":{"containers":[{"name":"app",%s}]}}`,
				test.annotations, test.ownedAnnotations, test.owned, test.container))
			if len(f.Parts) > 0 {
				t.Errorf("injected: %s", f.PartsJSON())
			}
		})
	}
}

func BenchmarkOf(b *testing.B) {
	review, err := os.ReadFile("../../../webhook/testdata/admissionreview-istio-1.27.json")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		root, err := jsontree.Parse(review)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Of(root.Get("request", "object")); err != nil {
			b.Fatal(err)
		}
	}
}
