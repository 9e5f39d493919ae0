package cause

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// at is so many seconds after noon.
func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

// object makes one of KIND NAMESPACE/NAME or KIND NAME.
func object(text string, writes ...Entry) Object {
	kind, name, _ := strings.Cut(text, " ")
	o := Object{Kind: kind, Name: name, UID: text, Created: noon.Add(-time.Hour), Entries: writes, Link: Reads, List: kind}
	if namespace, rest, ok := strings.Cut(name, "/"); ok {
		o.Namespace, o.Name = namespace, rest
	}
	switch kind {
	case "Namespace":
		o.Reach = o.Name
	case "LimitRange":
		o.Reach = o.Namespace
	case "ProxyConfig":
		o.Group = "networking.istio.io"
	}
	o.Version = fmt.Sprint(writes)
	return o
}

func write(manager string, seconds int, fields ...string) Entry {
	return Entry{Manager: manager, Operation: "Update", APIVersion: "v1", Time: at(seconds), Fields: fields}
}

// born is an object that was created so many seconds after noon.
func born(seconds int, o Object) Object {
	o.Created = at(seconds)
	return o
}

// seen is a look at so many seconds after noon, in which all is seen.
func seen(seconds int, objects ...Object) Seen {
	return Seen{Began: at(seconds), At: at(seconds), Objects: objects, Lists: []string{"ConfigMap", "Namespace", "LimitRange", "ProxyConfig", "Deployment", "MutatingWebhookConfiguration"}}
}

// image is a change of all namespaces in the minute after noon.
var image = Change{After: at(0), By: at(60), Kind: "image", Parts: []string{"container/istio-proxy"}, Paths: []string{"image"}, Namespaces: []string{"pay", "shop"}}

func TestJudge(t *testing.T) {
	with := func(c Change, edit func(*Change)) Change {
		edit(&c)
		return c
	}
	ofShop := with(image, func(c *Change) { c.Namespaces, c.Spared = []string{"shop"}, true })
	resources := with(image, func(c *Change) {
		c.Kind, c.Paths = "resources", []string{"resources.limits.cpu", "resources.requests.cpu"}
	})
	const template = "ConfigMap istio-system/istio-sidecar-injector"
	old := object(template, write("helm", -900, "data.values"))
	for name, test := range map[string]struct {
		change Change
		looks  []Seen
		want   string
	}{
		"the one thing that was written": {
			image, []Seen{seen(-60, old), seen(61, object(template, write("helm", 58, "data.values")))},
			"helm updated ConfigMap istio-system/istio-sidecar-injector (data.values), 2s before it was seen",
		},
		"without a look before": {
			image, []Seen{seen(61, object(template, write("helm", 58, "data.values")))},
			"most likely helm updated ConfigMap istio-system/istio-sidecar-injector (data.values), 2s before it was seen; not sure, as what was only deleted leaves no trace",
		},
		"two": {
			image, []Seen{seen(-60, old), seen(61, object(template, write("helm", 58, "data.values"), write("kubectl-edit", 40, "data.config")))},
			"one of these two: helm updated ConfigMap istio-system/istio-sidecar-injector (data.values), 2s before it was seen; kubectl-edit updated ConfigMap istio-system/istio-sidecar-injector (data.config), 20s before it was seen",
		},
		"two, and more that may not be read": {
			image, []Seen{seen(-60, old), func() Seen {
				s := seen(61, object(template, write("helm", 58, "data.values"), write("kubectl-edit", 40, "data.config")))
				s.Unseen = []Unseen{{What: "proxyconfigs (forbidden)"}}
				return s
			}()},
			"one of these two: helm updated ConfigMap istio-system/istio-sidecar-injector (data.values), 2s before it was seen; kubectl-edit updated ConfigMap istio-system/istio-sidecar-injector (data.config), 20s before it was seen; not read: proxyconfigs (forbidden)",
		},
		"created, and updated in the same second": {
			image, []Seen{seen(-60), seen(58, born(58, object(template, write("a", 58, "data.config")))), seen(61, born(58, object(template, write("a", 58, "data.config"), write("kubectl-edit", 58, "data.values"))))},
			"one of these two: kubectl-edit updated ConfigMap istio-system/istio-sidecar-injector (data.values), 2s before it was seen; a created ConfigMap istio-system/istio-sidecar-injector, 2s before it was seen",
		},
		"two of one release": {
			image, []Seen{seen(-60, old), seen(61, object(template, write("helm", 58, "data.values")), object("ConfigMap istio-system/istio", write("helm", 58, "data.mesh")))},
			"one of these two, both by helm: helm updated ConfigMap istio-system/istio (data.mesh), 2s before it was seen; helm updated ConfigMap istio-system/istio-sidecar-injector (data.values), 2s before it was seen",
		},
		"nothing, without a look before": {
			image, []Seen{seen(61, old)},
			"not known: nothing that may be read changed then, as far as it left a trace: what was only deleted leaves none",
		},
		"nothing": {
			image, []Seen{seen(-60, old), seen(61, old)},
			"not known: nothing that may be read changed then",
		},
		"nothing that is allowed": {
			image, []Seen{seen(-60), {At: at(61), Unseen: []Unseen{{What: "configmaps in istio-system (forbidden)"}}}},
			"not known: nothing that may be read changed then; not read: configmaps in istio-system (forbidden)",
		},
		"a certificate controller's caBundle": {
			image, []Seen{seen(-60), seen(61, object("MutatingWebhookConfiguration istio", write("pilot-discovery", 58, "webhooks[x].clientConfig.caBundle")))},
			"not known: nothing that may be read changed then",
		},
		"a selector of the webhook": {
			image, []Seen{seen(-60), seen(61, object("MutatingWebhookConfiguration istio", write("kubectl", 58, "webhooks[x].namespaceSelector"), write("cainjector", 59, "webhooks[x].clientConfig.caBundle")))},
			"kubectl updated MutatingWebhookConfiguration istio (webhooks[x].namespaceSelector), 2s before it was seen",
		},
		"a namespace, of a change of all": {
			image, []Seen{seen(-60), seen(61, object("Namespace shop", write("kubectl-label", 30, "metadata.labels[istio.io/rev]")))},
			"perhaps kubectl-label updated Namespace shop (metadata.labels[istio.io/rev]), 30s before it was seen, between the last answer before the change and the first after it; its fields are of that kind; it is about some of the namespaces that the change is of; nothing that may be read changed then",
		},
		"both namespaces": {
			image, []Seen{seen(-60), seen(61, object("Namespace shop", write("kubectl-label", 30, "metadata.labels[istio.io/rev]")), object("Namespace pay", write("kubectl-label", 31, "metadata.labels[istio.io/rev]")))},
			"kubectl-label updated Namespace pay and 1 more (metadata.labels[istio.io/rev]), 29s before it was seen",
		},
		"the namespace beside something about all": {
			ofShop, []Seen{seen(-60, old), seen(61, object(template, write("helm", 58, "data.values")), object("Namespace shop", write("argocd-controller", 30, "metadata.labels[istio.io/rev]")), object("Namespace pay", write("kubectl-label", 31, "metadata.labels[istio.io/rev]")))},
			"most likely argocd-controller updated Namespace shop (metadata.labels[istio.io/rev]), 30s before it was seen; not sure, as other writes fit, too, though less",
		},
		"about all, though some are spared": {
			ofShop, []Seen{seen(-60, old), seen(61, object(template, write("helm", 58, "data.values")))},
			"most likely helm updated ConfigMap istio-system/istio-sidecar-injector (data.values), 2s before it was seen; not sure, as it is about all namespaces, and the change is of some",
		},
		"a LimitRange makes no image": {
			ofShop, []Seen{seen(-60), seen(61, object("LimitRange shop/defaults", write("kubectl", 58, "spec.limits")))},
			"not known: nothing that may be read changed then",
		},
		"a LimitRange makes resources": {
			with(resources, func(c *Change) { c.Namespaces, c.Spared = []string{"shop"}, true }),
			[]Seen{seen(-60), seen(61, object("LimitRange shop/defaults", write("kubectl", 58, "spec.limits")))},
			"kubectl updated LimitRange shop/defaults (spec.limits), 2s before it was seen",
		},
		"somebody deletes it": {
			with(resources, func(c *Change) { c.Namespaces, c.Spared = []string{"shop"}, true }),
			[]Seen{seen(-60, object("LimitRange shop/defaults", write("kubectl", -600, "spec.limits"))), seen(61)},
			"somebody deleted LimitRange shop/defaults",
		},
		"somebody removes a key, and the manager's time stays": {
			image, []Seen{seen(-60, object(template, write("helm", -900, "data.config", "data.values"))), seen(61, object(template, write("helm", -900, "data.values")))},
			"somebody updated ConfigMap istio-system/istio-sidecar-injector (data.config)",
		},
		"shortly before": {
			image, []Seen{seen(-60, old), seen(61, object(template, write("helm", -20, "data.values")))},
			"most likely helm updated ConfigMap istio-system/istio-sidecar-injector (data.values), 80s before it was seen; not sure, as it was written before injection last answered as before",
		},
		"long before": {
			image, []Seen{seen(-60), seen(61, object(template, write("helm", -200, "data.values")))},
			"not known: nothing that may be read changed then",
		},
		"it is hidden by what came later": {
			image, []Seen{seen(-60, old), seen(300, object(template, write("helm", 200, "data.values")))},
			"perhaps helm updated ConfigMap istio-system/istio-sidecar-injector (data.values), right after it was seen, written since, which hides what the same manager wrote before; nothing that may be read changed then",
		},
		"it is not hidden where there was a look": {
			image, []Seen{seen(-60, old), seen(61, old), seen(300, object(template, write("helm", 200, "data.values")))},
			"not known: nothing that may be read changed then",
		},
		"a decoy does not hide what is hidden": {
			image, []Seen{seen(-60, old, object("ConfigMap istio-system/istio")), seen(300, object(template, write("helm", 200, "data.values")), object("ConfigMap istio-system/istio", write("kubectl", 20, "data.mesh")))},
			"most likely kubectl updated ConfigMap istio-system/istio (data.mesh), 40s before it was seen; not sure, as what was written since may hide an earlier write",
		},
		"nobody knows since when": {
			with(image, func(c *Change) { c.After = time.Time{} }), []Seen{seen(61, old)},
			"not known: it was there at the first audit, and nothing tells since when",
		},
		"fields of another kind": {
			image, []Seen{seen(-60), seen(61, object("ProxyConfig istio-system/global", write("kubectl", 58, "spec.concurrency")))},
			"most likely kubectl updated ProxyConfig istio-system/global (spec.concurrency), 2s before it was seen; not sure, as nothing in its fields speaks for it",
		},
		"created": {
			resources, []Seen{seen(-60), seen(61, born(58, object("ProxyConfig istio-system/global", write("kustomize-controller", 58, "spec.resources"))))},
			"kustomize-controller created ProxyConfig istio-system/global, 2s before it was seen",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var l Ledger
			for _, look := range test.looks {
				l.Observe(look)
			}
			if got := l.Judge(test.change); got.By != test.want {
				t.Errorf("got  %s\nwant %s\n%+v", got.By, test.want, got.Writes)
			}
		})
	}
}

// What an injector may read of which nothing is known, what another injector reads, and what
// several injectors may have made, is not sure.
func TestDoubts(t *testing.T) {
	const template = "ConfigMap istio-system/istio-sidecar-injector"
	of := func(link Link, injectors ...string) Object {
		o := object(template, write("helm", 58, "data.values"))
		o.Link, o.Injectors = link, injectors
		return o
	}
	for name, test := range map[string]struct {
		o      Object
		edit   func(*Seen)
		makers []string
		want   Certainty
	}{
		"it is read":                           {of(Reads, "a"), nil, nil, Sure},
		"it may be read":                       {of(MayRead, "a"), nil, nil, Likely},
		"it is of another":                     {of(Reads, "b"), nil, []string{"a"}, ""},
		"Secrets":                              {of(Reads, "a"), func(s *Seen) { s.Secretive = []Secretive{{Injector: "a"}} }, nil, Likely},
		"Secrets of another":                   {of(Reads, "a"), func(s *Seen) { s.Secretive = []Secretive{{Injector: "b"}} }, []string{"a"}, Sure},
		"a Secret of something else":           {of(Reads, "a"), func(s *Seen) { s.Secretive = []Secretive{{Injector: "a", Within: []string{"TRUST"}}} }, nil, Sure},
		"what cannot be read":                  {of(Reads, "a"), func(s *Seen) { s.Unseen = []Unseen{{Injector: "a", What: "x"}} }, nil, Likely},
		"what cannot be read, of another":      {of(Reads, "a"), func(s *Seen) { s.Unseen = []Unseen{{Injector: "b", What: "x"}} }, []string{"a"}, Sure},
		"what cannot be read, whoever injects": {of(Reads, "a"), func(s *Seen) { s.Unseen = []Unseen{{What: "x"}} }, []string{"a"}, Likely},
	} {
		t.Run(name, func(t *testing.T) {
			var l Ledger
			l.Observe(seen(-60))
			look := seen(61, test.o)
			if test.edit != nil {
				test.edit(&look)
			}
			l.Observe(look)
			c := image
			c.Injectors = test.makers
			v := l.Judge(c)
			if got := append(v.Writes, Write{})[0].Certainty; got != test.want {
				t.Errorf("%q, want %q: %s", got, test.want, v.By)
			}
		})
	}
}

// A write that made one change is none of the next one, unless that was seen at the
// same time.
func TestAWriteIsSpent(t *testing.T) {
	const template = "ConfigMap istio-system/istio-sidecar-injector"
	var l Ledger
	l.Observe(seen(-60))
	l.Observe(seen(61, object(template, write("helm", 58, "data.values"))))
	first, second, beside := image, image, image
	second.After, second.By, beside.Kind = at(60), at(120), "env"
	if v := l.Judge(first); v.Writes[0].Certainty != Sure {
		t.Fatal(v.By)
	}
	if v := l.Judge(beside); len(v.Writes) != 1 || v.Writes[0].Certainty != Sure {
		t.Errorf("seen at the same time: %s", v.By)
	}
	l.Observe(seen(121, object(template, write("helm", 58, "data.values"), write("kubectl-edit", 110, "data.config"))))
	if v := l.Judge(second); v.Short() != "kubectl-edit" {
		t.Errorf("the next change: %s", v.By)
	}
}

// One that only most likely made a change may have made the next one: it takes the certainty away
// from what was written meanwhile.
func TestALikelyWriteIsNotSpent(t *testing.T) {
	var l Ledger
	mounted := object("ConfigMap istio-system/istio-sidecar-injector", write("helm", 20, "data.values"))
	mounted.Mounted = true
	lesser := object("ConfigMap istio-system/other", write("kubectl-edit", 10, "data.x"))
	lesser.Link = MayRead
	l.Observe(seen(-60))
	l.Observe(seen(61, mounted, lesser))
	first := image
	if v := l.Judge(first); v.Writes[0].Certainty != Likely || v.Writes[0].Manager != "helm" {
		t.Fatalf("%s %+v", v.By, v.Writes)
	}
	second := image
	second.After, second.By = at(60), at(120)
	l.Observe(seen(121, mounted, lesser, object("ConfigMap istio-system/istio", write("argocd-controller", 110, "data.mesh"))))
	if v := l.Judge(second); v.Writes[0].Certainty == Sure {
		t.Errorf("what the kubelet brings late is taken for spent: %s", v.By)
	}
}

func TestShort(t *testing.T) {
	of := func(certainty Certainty, managers ...string) (v Verdict) {
		v.By = "x"
		for _, m := range managers {
			v.Writes = append(v.Writes, Write{Manager: m, Certainty: certainty})
		}
		return v
	}
	for want, v := range map[string]Verdict{
		"": {}, "not known": of(Sure), "helm": of(Sure, "helm"), "argocd?": of(Likely, "argocd", "helm"), "somebody": of(Sure, ""),
		"helm?": of(Possible, "helm", "helm"), "helm or kubectl": of(Possible, "helm", "kubectl", "helm"), "helm or others": of(Possible, "helm", "a", "b"),
	} {
		if got := v.Short(); got != want {
			t.Errorf("%+v: %q, want %q", v, got, want)
		}
	}
}
