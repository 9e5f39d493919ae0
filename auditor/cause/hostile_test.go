package cause

import (
	"fmt"
	"strings"
	"testing"
)

// Whoever may write an object may write its managedFields, and who may write others may try to
// have these blamed: what does not agree with two looks is never sure, and hides nothing.
func TestForgedWrites(t *testing.T) {
	const template, mesh = "ConfigMap istio-system/istio-sidecar-injector", "ConfigMap istio-system/istio"
	innocent := object(mesh, write("helm", 58, "data.mesh"))
	old := object(template, write("mallory", -900, "data.values"))
	version := func(o Object, version string) Object {
		o.Version = version
		return o
	}
	for name, test := range map[string]struct {
		looks []Seen
		want  string
	}{
		"managedFields are put back after the write": {
			[]Seen{seen(-60, old), seen(61, version(old, "later"), innocent)},
			"most likely helm updated ConfigMap istio-system/istio (data.mesh), 2s before it was seen; not sure, as other writes fit, too, though less",
		},
		"they are put back, and nobody else wrote anything": {
			[]Seen{seen(-60, old), seen(61, version(old, "later"))},
			"most likely somebody updated ConfigMap istio-system/istio-sidecar-injector; not sure, as its managedFields tell of no such write",
		},
		"a write says that it was long ago": {
			[]Seen{seen(-60, old), seen(61, object(template, write("mallory", -700, "data.values")), innocent)},
			"one of these two: mallory updated ConfigMap istio-system/istio-sidecar-injector (data.values); helm updated ConfigMap istio-system/istio (data.mesh), 2s before it was seen",
		},
		"a manager has more fields of the same time": {
			[]Seen{seen(-60, object(template, write("mallory", -900, "data.config"))), seen(61, object(template, write("mallory", -900, "data.config", "data.values")), innocent)},
			"one of these two: mallory updated ConfigMap istio-system/istio-sidecar-injector (data.values, data.config); helm updated ConfigMap istio-system/istio (data.mesh), 2s before it was seen",
		},
		"another takes over what was below a field, which stays": {
			[]Seen{seen(-60, object(template, write("helm", -900, "data.config", "data.values"))), seen(61, object(template, write("helm", -900, "data"), write("kubectl-edit", 58, "data.config", "data.values")))},
			"kubectl-edit updated ConfigMap istio-system/istio-sidecar-injector (data.config, data.values), 2s before it was seen",
		},
		"a write says that it is to come": {
			[]Seen{seen(-60, old), seen(61, object(template, write("mallory", 7000, "data.values")), innocent)},
			"one of these two: mallory updated ConfigMap istio-system/istio-sidecar-injector (data.values); helm updated ConfigMap istio-system/istio (data.mesh), 2s before it was seen",
		},
		"so many managers that one is ancient": {
			[]Seen{seen(-60, old), seen(61, object(template, write(ancient, 58, "data.values")))},
			"most likely somebody updated ConfigMap istio-system/istio-sidecar-injector (data.values), 2s before it was seen; not sure, as its managedFields no longer tell who wrote it",
		},
		"what was seen before becomes ancient": {
			[]Seen{seen(-600, object(template, write("a", -1200, "data.values"))), seen(61, object(template, write(ancient, -1200, "data.values"), write("b", 58, "metadata.labels.x")))},
			"not known: nothing that may be read changed then",
		},
		"two writes of one second, and a look between them": {
			[]Seen{seen(-60), seen(30, object(mesh, write("helm", 30, "metadata.labels.x"))), seen(61, object(mesh, write("helm", 30, "data.mesh", "metadata.labels.x")))},
			"helm updated ConfigMap istio-system/istio (data.mesh), 30s before it was seen",
		},
		"a status is none": {
			[]Seen{seen(-60, old), seen(61, func() Object {
				o := version(old, "later")
				o.Told = at(50)
				return o
			}(), innocent)},
			"helm updated ConfigMap istio-system/istio (data.mesh), 2s before it was seen",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var l Ledger
			for _, look := range test.looks {
				l.Observe(look)
			}
			if got := l.Judge(image); got.By != test.want {
				t.Errorf("got  %s\nwant %s\n%+v", got.By, test.want, got.Writes)
			}
		})
	}
}

// What an injector reads no more, as it does not run now, was not deleted.
func TestWhatIsStillThereWasNotDeleted(t *testing.T) {
	o := object("ConfigMap istio-system/istio", write("helm", -900, "data.mesh"))
	var l Ledger
	l.Observe(seen(-60, o))
	idle := seen(30)
	idle.Idle = []string{o.UID}
	l.Observe(idle)
	if v := l.Judge(image); len(v.Writes) > 0 {
		t.Errorf("it is still there: %s", v.By)
	}
	l.Observe(seen(61))
	if v := l.Judge(image); v.By != "somebody deleted ConfigMap istio-system/istio" {
		t.Errorf("it is gone: %s", v.By)
	}
}

// Another injector that sees what differs may rewrite it: what it goes by counts less, and takes
// the certainty away.
func TestWhoMayRewrite(t *testing.T) {
	of := func(injector, name string) Object {
		o := object("ConfigMap "+injector+"/"+name, write(injector, 58, "data.x"))
		o.Injectors = []string{injector}
		return o
	}
	for name, test := range map[string]struct {
		objects []Object
		want    string
	}{
		"both": {[]Object{of("mesh", "a"), of("registry", "b")}, "most likely mesh updated ConfigMap mesh/a (data.x), 2s before it was seen; not sure, as other writes fit, too, though less"},
		"it":   {[]Object{of("registry", "b")}, "most likely registry updated ConfigMap registry/b (data.x), 2s before it was seen; not sure, as it is of another injector than the one that adds what differs"},
		"none": {[]Object{of("unrelated", "c")}, "not known: nothing that may be read changed then"},
	} {
		var l Ledger
		l.Observe(seen(-60))
		l.Observe(seen(61, test.objects...))
		c := image
		c.Injectors, c.Beside = []string{"mesh"}, []string{"registry"}
		if got := l.Judge(c); got.By != test.want {
			t.Errorf("%s: got  %s\nwant %s", name, got.By, test.want)
		}
	}
}

// Very many fields, or very long ones, hide no write, and take no more room than others.
func TestManyFields(t *testing.T) {
	fields := func(parent string, n int, more ...string) []byte {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`"f:a%d":{}`, i))
		}
		return []byte(parent + "{" + strings.Join(append(all, more...), ",") + "}" + strings.Repeat("}", strings.Count(parent, "{")))
	}
	for name, test := range map[string]struct {
		of     Object
		fields []byte
	}{
		"data":        {object("ConfigMap istio-system/istio"), fields(`{"f:data":`, 5000, `"f:mesh":{}`)},
		"labels":      {object("Namespace shop"), fields(`{"f:metadata":{"f:labels":`, 5000, `"f:istio.io/rev":{}`)},
		"annotations": {object("Namespace shop"), fields(`{"f:metadata":{"f:annotations":`, 5000)},
		"a template":  {object("Deployment istio-system/istiod"), fields(`{"f:spec":{"f:template":`, 5000)},
		"all":         {object("Namespace shop"), fields(``, 5000)},
		"a long one":  {object("ProxyConfig shop/p"), []byte(`{"f:spec":{"f:list":{"k:{\"name\":\"` + strings.Repeat("é", 200_000) + `\"}":{}}}}`)},
	} {
		got, err := FieldsOf(test.fields)
		if err != nil || len(got) > mostFields {
			t.Fatalf("%s: %d fields, %v", name, len(got), err)
		}
		test.of.Keys = []string{"mesh"}
		test.of.Entries = []Entry{write("m", 58, got...)}
		var l Ledger
		l.Observe(seen(-60))
		l.Observe(seen(61, test.of))
		c := image
		c.Namespaces = []string{"shop"}
		v := l.Judge(c)
		if len(v.Writes) != 1 || v.Writes[0].Manager != "m" || len(v.By) > 2000 || len(strings.Join(v.Writes[0].Fields, "")) > mostNamed*longestShown {
			t.Errorf("%s: %.300s %d bytes", name, v.By, len(v.By))
		}
	}
}

// A kind of somebody's own may be called as one of Kubernetes'.
func TestKindsOfTheSameName(t *testing.T) {
	o := object("ConfigMap shop/template", write("m", 58, "spec.template"))
	o.Group = "own.example.com"
	var l Ledger
	l.Observe(seen(-60))
	l.Observe(seen(61, o))
	if v := l.Judge(image); len(v.Writes) != 1 {
		t.Errorf("%s", v.By)
	}
}
