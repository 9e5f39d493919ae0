package restless

import (
	"encoding/json"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func change(place, to string) verdict.Change {
	text, _ := json.Marshal(to)
	return verdict.Change{Part: "container/proxy", Path: place, From: json.RawMessage(`"old"`), To: text}
}

// varies is what is learned of a Pod whose variable NONCE has another value each time.
func varies(t *testing.T) *verdict.Varying {
	t.Helper()
	pod := func(value string) jsontree.Node {
		n, err := jsontree.Parse(fmt.Appendf(nil, `{"spec":{"containers":[{"name":"app"},{"name":"proxy","env":[{"name":"NONCE","value":%q}]}]}}`, value))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	template, err := jsontree.Parse([]byte(`{"spec":{"containers":[{"name":"app"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	var v verdict.Varying
	if differ, err := v.Learn(verdict.Input{Live: pod("a"), Fresh: pod("b"), Template: template}); err != nil || !differ {
		t.Fatal("nothing was learned", err)
	}
	return &v
}

// However many workloads of one namespace were asked about, they are for no other.
func TestToldByNamespace(t *testing.T) {
	var l Ledger
	tenant, shop := Scope{Namespace: "tenant"}, Scope{Namespace: "shop"}
	image := change("image", "proxy:2")
	for i := range 10 * Enough {
		if told := l.Told(tenant, "web", image); told != (i >= Enough) {
			t.Errorf("after %d: told is %t", i, told)
		}
		for range Enough { // which is one workload all the same
			l.Asked(tenant, fmt.Sprint("web-", i), image)
		}
	}
	for name, other := range map[string]struct {
		scope Scope
		verdict.Change
	}{
		"another namespace":      {shop, image},
		"another value":          {tenant, change("image", "proxy:3")},
		"another place":          {tenant, change("env[A].value", "proxy:2")},
		"other webhooks":         {Scope{"tenant", Chain{1}}, image},
		"no value":               {tenant, verdict.Change{Part: "container/proxy", Path: "image"}},
		"the text for no values": {tenant, change("image", "")},
	} {
		if l.Told(other.scope, "web", other.Change) {
			t.Errorf("%s: is told", name)
		}
	}
	l.Asked(shop, "web", image)
	l.Asked(Scope{Namespace: "payments"}, "web", image)
	if !l.Told(Scope{Namespace: "elsewhere"}, "web", image) {
		t.Error("three namespaces stand for none")
	}
}

// Values that hold a workload's name, or its namespace's, are the same but for that.
func TestToldOfNamedValues(t *testing.T) {
	var l Ledger
	for _, name := range []string{"orders", "payments", "carts"} {
		l.Asked(Scope{Namespace: "shop"}, name, change("env[OWNER].value", "deployments/shop/"+name))
	}
	if s := (Scope{Namespace: "shop"}); !l.Told(s, "basket", change("env[OWNER].value", "deployments/shop/basket")) || l.Told(s, "basket", change("env[OWNER].value", "jobs/shop/basket")) {
		t.Error("is not told of its own name, or is told of another value")
	}
}

// What was told is asked again once its place was seen to vary, wherever that was.
func TestWhatVariesIsNeverTold(t *testing.T) {
	var l Ledger
	s := Scope{Namespace: "shop"}
	nonce := change("env[NONCE].value", "a")
	for i := range Enough {
		l.Asked(s, fmt.Sprint("web-", i), nonce)
	}
	if !l.Told(s, "web", nonce) {
		t.Fatal("is not told")
	}
	l.Learn(Scope{Namespace: "elsewhere", Chain: Chain{1}}, varies(t))
	if !l.Told(s, "web", nonce) {
		t.Error("other webhooks' values count")
	}
	l.Learn(Scope{Namespace: "elsewhere"}, varies(t))
	if l.Told(s, "web", nonce) {
		t.Error("is told of what varies")
	}
	if l.Has(Scope{Namespace: "none", Chain: Chain{2}}, nonce) || !l.Has(s, nonce) || !l.Of(s).Empty() {
		t.Error("varies where it does not, or does not where it does")
	}
	l.Age()
	if !l.Has(s, nonce) {
		t.Error("is forgotten at once")
	}
	l.Age()
	if l.Has(s, nonce) {
		t.Error("varies for ever after")
	}
}
