package cause

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// world is a random history of looks and one change.
type world struct {
	looks  []Seen
	change Change
}

var (
	worldObjects  = []string{"ConfigMap istio-system/istio-sidecar-injector", "ConfigMap istio-system/istio", "Namespace shop", "Namespace pay", "LimitRange shop/a", "Deployment istio-system/istiod", "ProxyConfig shop/p", "MutatingWebhookConfiguration istio"}
	worldFields   = []string{"data.values", "data.config", "metadata.labels[istio.io/rev]", "spec.limits", "spec.template.spec.containers[d].image", "spec.image.imageType", "webhooks[x].rules", "webhooks[x].clientConfig.caBundle", "status.conditions"}
	worldManagers = []string{"helm", "kubectl-edit", "argocd-controller", "kustomize-controller"}
)

func randomWorld(r *rand.Rand) world {
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	objects := map[string]Object{}
	for _, name := range worldObjects {
		if r.IntN(2) == 0 {
			objects[name] = object(name)
		}
	}
	var w world
	for second := -120; second <= 120; second += 1 + r.IntN(30) {
		switch name := pick(worldObjects); r.IntN(5) {
		case 0:
			delete(objects, name)
		case 1:
			if o, ok := objects[name]; ok && len(o.Entries) > 0 { // a field is removed
				o.Entries = slices.Clone(o.Entries)
				last := &o.Entries[len(o.Entries)-1]
				last.Fields = last.Fields[:len(last.Fields)/2]
				o.Version = fmt.Sprint(second)
				objects[name] = o
			}
		default:
			o, ok := objects[name]
			if !ok {
				o = object(name)
				o.Created, o.UID = at(second), fmt.Sprint(name, second)
			}
			manager := pick(worldManagers)
			o.Entries = slices.DeleteFunc(slices.Clone(o.Entries), func(w Entry) bool { return w.Manager == manager })
			o.Entries = append(o.Entries, write(manager, second, pick(worldFields), pick(worldFields)))
			o.Version = fmt.Sprint(second)
			objects[name] = o
		}
		if r.IntN(3) == 0 || len(w.looks) == 0 {
			var list []Object
			for _, o := range objects {
				list = append(list, o)
			}
			w.looks = append(w.looks, seen(second, list...))
		}
	}
	w.change = image
	w.change.After = at(r.IntN(60))
	w.change.By = w.change.After.Add(at(r.IntN(60)).Sub(noon))
	w.change.Kind = pick([]string{"image", "resources", "env", "containerRemoved"})
	w.change.Paths = []string{pick([]string{"image", "resources.limits.cpu", "env[X].value"})}
	w.change.Namespaces = [][]string{{"shop"}, {"pay"}, {"pay", "shop"}}[r.IntN(3)]
	w.change.Spared = r.IntN(2) == 0
	return w
}

func (w world) judge() Verdict {
	var l Ledger
	for _, look := range w.looks {
		l.Observe(look)
	}
	return l.Judge(w.change)
}

// Whatever happens: who is sure is the only one, and wrote in the interval; what is said of
// others is no more than possible; all is bounded, and in whatever order objects come, the
// answer is the same.
func TestProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	certain := map[Certainty]int{}
	for n := range 8_000 {
		w := randomWorld(r)
		v := w.judge()
		if v.By == "" || len(v.Writes) > mostWrites {
			t.Fatalf("%d: %+v", n, v)
		}
		for i, c := range v.Writes {
			if i > 0 && c.Certainty != Possible {
				t.Fatalf("%d: the write %d is %s", n, i, c.Certainty)
			}
			if i == 0 {
				certain[c.Certainty]++
			}
			if c.Certainty == Sure && (len(v.Writes) > 1 || c.Time != nil && (c.Time.Add(1e9).Before(w.change.After) || c.Time.After(w.change.By))) {
				t.Fatalf("%d: sure: %+v of %+v", n, v, w.change)
			}
		}
		for i := range w.looks {
			w.looks[i].Objects = slices.Clone(w.looks[i].Objects)
			r.Shuffle(len(w.looks[i].Objects), func(a, b int) {
				list := w.looks[i].Objects
				list[a], list[b] = list[b], list[a]
			})
		}
		if diff := cmp.Diff(v, w.judge()); diff != "" {
			t.Fatalf("%d: in another order (-one +other):\n%s", n, diff)
		}
	}
	for _, c := range Certainties() {
		if certain[c] < 100 {
			t.Errorf("only %d of 8000 worlds are %s: they prove little", certain[c], c)
		}
	}
}

// One more write that fits as well takes the certainty away.
func TestADecoyTakesTheCertaintyAway(t *testing.T) {
	r, sure := rand.New(rand.NewPCG(3, 4)), 0
	for n := range 8_000 {
		w := randomWorld(r)
		if v := w.judge(); len(v.Writes) == 0 || v.Writes[0].Certainty != Sure {
			continue
		}
		sure++
		decoy := object("ConfigMap istio-system/decoy", write("decoy", int(w.change.By.Sub(noon).Seconds()), "data.config"))
		last := &w.looks[len(w.looks)-1]
		last.Objects = append(slices.Clone(last.Objects), decoy)
		v := w.judge()
		decoyed := slices.ContainsFunc(v.Writes, func(c Write) bool { return c.Manager == "decoy" })
		if v.Writes[0].Certainty == Sure || !decoyed {
			t.Fatalf("%d: with a decoy: %+v", n, v)
		}
	}
	if sure < 100 {
		t.Errorf("only %d worlds were sure", sure)
	}
}

// What is remembered is bounded, and so is for how long.
func TestTheLedgerIsBounded(t *testing.T) {
	var l Ledger
	for n := range 4 {
		var all []Object
		for m := range mostEvents {
			all = append(all, object(fmt.Sprint("ConfigMap istio-system/", m), write("m", n*100, "data.mesh")))
		}
		l.Observe(seen(n*100+1, all...))
	}
	if len(l.events) != mostEvents {
		t.Errorf("%d events", len(l.events))
	}
	if v := l.Judge(image); len(v.Writes) > 0 && v.Writes[0].Certainty == Sure {
		t.Errorf("sure of what is forgotten: %s", v.By)
	}
	l.Observe(seen(2*int(longest.Seconds()), object("ConfigMap istio-system/0", write("m", 0, "data.mesh"))))
	if len(l.events) > mostEvents || l.since != l.at {
		t.Errorf("%d events after two days, all is known since %s", len(l.events), l.since)
	}
}
