package rollout

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// What a Pod says of its owner is a name only if an object can have it.
func TestNamesThatNothingCanHave(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*report.Item)
		want   string // Planned if empty
	}{
		"a name":               {func(*report.Item) {}, ""},
		"of 253 characters":    {func(i *report.Item) { i.Name = strings.Repeat("a", 253) }, ""},
		"of 254":               {func(i *report.Item) { i.Name = strings.Repeat("a", 254) }, "longer than that of any object"},
		"of 690 kB":            {func(i *report.Item) { i.Name = strings.Repeat("a", 690_000) }, "longer than that of any object"},
		"with a slash":         {func(i *report.Item) { i.Name = "a/b" }, "may not contain '/'"},
		"a way up":             {func(i *report.Item) { i.Name = ".." }, "may not be '..'"},
		"a way to here":        {func(i *report.Item) { i.Name = "." }, "may not be '.'"},
		"a way up and down":    {func(i *report.Item) { i.Name = "../../pay/deployments/x" }, "may not contain '/'"},
		"encoded":              {func(i *report.Item) { i.Name = "a%2fb" }, "may not contain '%'"},
		"none":                 {func(i *report.Item) { i.Name = "" }, "its name is empty"},
		"a namespace of parts": {func(i *report.Item) { i.Namespace = "a/b" }, "its namespace may not contain '/'"},
		"no namespace":         {func(i *report.Item) { i.Namespace = "" }, "its namespace is empty"},
		"a kind of its own":    {func(i *report.Item) { i.Kind = "Foo payments/x" }, "owners of kind Foo payments/x are not rolled out"},
		"a kind of 300 kB":     {func(i *report.Item) { i.Kind = strings.Repeat("K", 300_000) }, "owners of kind KKK"},
		"no kind":              {func(i *report.Item) { i.Kind = "" }, "owners of kind  are not rolled out"},
	} {
		item := audited("Deployment", verdict.Drifted, imageChange)
		test.change(&item)
		d := choose(item, Options{})
		if planned := d == proceed; planned != (test.want == "") || !strings.Contains(d.reason, test.want) {
			t.Errorf("%s: %s %.200q, want %q", name, d.result, d.reason, test.want)
		}
		if n := len([]rune(d.text())); n > longestReason {
			t.Errorf("%s: a reason of %d characters", name, n)
		}
	}
}

// Only an API server that is not there, or that does not know us, ends a plan.
func TestEnds(t *testing.T) {
	things := schema.GroupResource{Group: "apps", Resource: "deployments"}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx           context.Context
		err           error
		ends, refused bool
	}{
		"forbidden":               {err: apierrors.NewForbidden(things, "web", errors.New("policy")), refused: true},
		"wrapped":                 {err: fmt.Errorf("restart: %w", apierrors.NewForbidden(things, "web", errors.New("policy"))), refused: true},
		"invalid":                 {err: apierrors.NewInvalid(schema.GroupKind{Kind: "Deployment"}, "web", nil), refused: true},
		"a conflict":              {err: apierrors.NewConflict(things, "web", errors.New("newer")), refused: true},
		"too large":               {err: apierrors.NewRequestEntityTooLargeError("limit is 3145728"), refused: true},
		"too many requests":       {err: apierrors.NewTooManyRequests("later", 1), refused: true},
		"a webhook that is down":  {err: apierrors.NewInternalError(errors.New("failed calling webhook"))},
		"a time-out":              {err: apierrors.NewTimeoutError("took too long", 1)},
		"not the API server's":    {err: errors.New("cannot convert")},
		"unauthorized":            {err: apierrors.NewUnauthorized("token"), ends: true, refused: true},
		"nobody there":            {err: &url.Error{Op: http.MethodGet, URL: "https://x", Err: errors.New("connection refused")}, ends: true},
		"whatever it is, the end": {ctx: over, err: errors.New("cannot convert"), ends: true},
	} {
		ctx := test.ctx
		if ctx == nil {
			ctx = t.Context()
		}
		if got := ends(ctx, test.err); got != test.ends {
			t.Errorf("%s: ends: %t", name, got)
		}
		if got := refused(test.err); got != test.refused {
			t.Errorf("%s: refused: %t", name, got)
		}
	}
}

// A refusal is nobody's failure.
func TestNotStarted(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	away := &url.Error{Op: http.MethodPatch, URL: "https://x", Err: errors.New("EOF")}
	for name, test := range map[string]struct {
		ctx  context.Context
		err  error
		want report.Result
	}{
		"refused":                  {t.Context(), apierrors.NewForbidden(schema.GroupResource{}, "web", errors.New("no")), report.Skipped},
		"no answer, but untouched": {t.Context(), &notBegunError{away}, report.Skipped},
		"no answer":                {t.Context(), away, report.Failed},
		"interrupted":              {over, away, report.Interrupted},
	} {
		if got := notStarted(test.ctx, test.err); got.result != test.want {
			t.Errorf("%s: %s", name, got.result)
		}
	}
}

// A budget that cannot be read is that of any Pod of its namespace: they are left
// alone, and nobody else is.
func TestBrokenBudget(t *testing.T) {
	b := readBudget(&policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "odd"},
		Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Resembles"}},
		}},
	})
	if !b.selector.Matches(labels.Set{"app": "web"}) {
		t.Error("it is nobody's")
	}
	for _, strategy := range []Strategy{Restart, Evict} {
		d := guardBudgets(facts{budgets: []budget{b}}, Options{Strategy: strategy})
		if d.result != report.Skipped || !strings.Contains(d.reason, "PodDisruptionBudget odd may be for its Pods") {
			t.Errorf("%s: %+v", strategy, d)
		}
	}
}

func TestCheckMark(t *testing.T) {
	for prefix, valid := range map[string]bool{
		"sidecarRollout": true, "myCompany": true, "a.b-c_d": true, "": false, "my company": false, "example.com/sidecar": false,
		"vault.hashicorp.com/agent-inject-command-x": false, "/": false, strings.Repeat("a", 45): true, strings.Repeat("a", 46): false, "-a": false, "a\n": false,
	} {
		if err := CheckAnnotationPrefix(prefix); (err == nil) != valid {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
	for reason, valid := range map[string]bool{
		"": true, "Träger-Update – siehe #12": true, strings.Repeat("a", 1024): true, strings.Repeat("ä", 1024): true,
		strings.Repeat("a", 1025): false, "a\nb": false, "\x1b[31m": false, "a\u202eb": false, "a\xff": false,
	} {
		if err := CheckReason(reason); (err == nil) != valid {
			t.Errorf("reason %q: %v", reason, err)
		}
	}
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprintf("sidecar-%d", i))
	}
	if got := (Mark{}).reason(names); len(got) != 1024 || !strings.HasPrefix(got, "Update sidecars sidecar-0, sidecar-1") || CheckReason(got) != nil {
		t.Errorf("%d characters: %q", len(got), got)
	}
}
