package audit

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/apiserver"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// namespacesAlone serves the namespace shop, with the labels given, and refuses others and what
// admission is made of; it counts requests.
func namespacesAlone(t *testing.T, labels string) (client rest.Interface, asked map[string]int) {
	t.Helper()
	asked = map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked[r.URL.Path]++
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/api/v1/namespaces/shop" {
			_, _ = w.Write([]byte(`{"metadata":{"name":"shop","labels":` + labels + `}}`))
			return
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"no"}`))
	}))
	t.Cleanup(server.Close)
	client, err := apiserver.Connect(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return client, asked
}

func TestLabelsOf(t *testing.T) {
	client, asked := namespacesAlone(t, `{"team":"mesh","tier":"gold"}`)
	a := &Audit{client: client, Admission: &Admission{}, opts: Options{Labels: []string{"team", "tier", "app.kubernetes.io/part-of"}}}
	for name, test := range map[string]struct {
		namespace, template, submitted string
		want                           map[string]string
	}{
		"of the template, else of the namespace": {"shop", `{"metadata":{"labels":{"team":"web","app":"web","app.kubernetes.io/part-of":"store"}}}`, "",
			map[string]string{"team": "web", "tier": "gold", "app.kubernetes.io/part-of": "store"}},
		"empty, as it is set":                 {"shop", `{"metadata":{"labels":{"team":""}}}`, "", map[string]string{"team": "", "tier": "gold"}},
		"of what was asked about":             {"shop", "", `{"metadata":{"labels":{"team":"operator"}}}`, map[string]string{"team": "operator", "tier": "gold"}},
		"of nothing":                          {"shop", "", "", map[string]string{"team": "mesh", "tier": "gold"}},
		"what can be no label":                {"shop", `{"metadata":{"labels":{"team":"` + strings.Repeat("x", 64) + `","tier":7}}}`, "", map[string]string{"team": "mesh", "tier": "gold"}},
		"no JSON":                             {"shop", `{`, "", map[string]string{"team": "mesh", "tier": "gold"}},
		"of a namespace that may not be read": {"secret", `{"metadata":{"labels":{"team":"web"}}}`, "", map[string]string{"team": "web"}},
	} {
		r := inventory.Revision{Workload: inventory.WorkloadRef{Namespace: test.namespace}}
		if test.template != "" {
			r.Template = []byte(test.template)
		}
		for range 2 {
			if got := a.labelsOf(t.Context(), r, []byte(test.submitted)); !maps.Equal(got, test.want) {
				t.Errorf("%s: %v, want %v", name, got, test.want)
			}
		}
	}
	if shop, secret := asked["/api/v1/namespaces/shop"], asked["/api/v1/namespaces/secret"]; shop != 1 || secret != 1 {
		t.Errorf("the namespaces were read %d and %d times, want once each", shop, secret)
	}
	const note = "Labels of 1 namespaces could not be read, so that workloads there have those of their Pod templates alone: get namespace secret: "
	if got := a.Admission.unlabelled(); !strings.HasPrefix(got, note) {
		t.Errorf("it says %q, want %q", got, note)
	}
	a.Admission.Forget("shop")
	a.labelsOf(t.Context(), inventory.Revision{Workload: inventory.WorkloadRef{Namespace: "shop"}}, nil)
	if asked["/api/v1/namespaces/shop"] != 2 {
		t.Error("a namespace that has changed is not read again")
	}
}

// Nobody who asks for no labels pays for them.
func TestNoLabels(t *testing.T) {
	client, asked := namespacesAlone(t, `{}`)
	a := &Audit{client: client, Admission: &Admission{}}
	if got := a.labelsOf(t.Context(), inventory.Revision{Template: []byte(`{}`)}, nil); got != nil || len(asked) > 0 {
		t.Errorf("%v, after %v", got, asked)
	}
}

// A workload has the labels of the revision that its newest Pod is of.
func TestLabelsOfTheNewestRevision(t *testing.T) {
	web := inventory.WorkloadRef{Kind: "Deployment", Namespace: "shop", Name: "web"}
	of := func(name, team string, created ...int64) Finding {
		f := Finding{Workload: web, Revision: report.Revision{Name: name}, Pods: map[verdict.State]int{}, labels: map[string]string{"team": team}}
		for _, at := range created {
			f.Count([]inventory.Pod{{Created: at}}, verdict.InSync)
		}
		return f
	}
	before, after := of("web-1", "before", 10, 11), of("web-2", "after", 12)
	for _, list := range [][]Finding{{before, after}, {after, before}} {
		if got := items(list); len(got) != 1 || got[0].Labels["team"] != "after" {
			t.Errorf("%s", cmp.Diff(nil, got))
		}
	}
	again, _ := before.Recount([]inventory.Pod{{Created: 10}, {Created: 13}}) // rolled back
	if got := items([]Finding{after, again}); got[0].Labels["team"] != "before" {
		t.Errorf("after it was rolled back: %v", got[0].Labels)
	}
}
