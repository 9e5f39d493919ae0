package candidate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

var compiler = cel.NewConditionCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))

func TestNamed(t *testing.T) {
	hooks := []*hook{hookOf("rev.a.io", nil), hookOf("a.io", nil), hookOf("b.io", nil)}
	hooks[2].configuration = "other"
	for name, want := range map[string]string{
		"some/a.io": "some/a.io", "rev.": "some/rev.a.io", "some": "some/rev.a.io, some/a.io", "a.io": "some/rev.a.io, some/a.io", "other": "other/b.io",
		"io": "several configurations", "c": "there are some/rev.a.io, some/a.io, other/b.io",
	} {
		found, err := named(hooks, name)
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
			continue
		}
		if got := names(found); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestAsked(t *testing.T) {
	ignore := admissionregistrationv1.Ignore
	condition := func(expression string) func(*admissionregistrationv1.MutatingWebhook) {
		return func(m *admissionregistrationv1.MutatingWebhook) {
			m.MatchConditions = []admissionregistrationv1.MatchCondition{{Name: "c", Expression: expression}}
		}
	}
	for name, test := range map[string]struct {
		of    func(*admissionregistrationv1.MutatingWebhook)
		asked bool
		err   string
	}{
		"always": {nil, true, ""},
		"its namespace": {func(m *admissionregistrationv1.MutatingWebhook) {
			m.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}
		}, true, ""},
		"another's": {func(m *admissionregistrationv1.MutatingWebhook) {
			m.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "b"}}
		}, false, ""},
		"its Pod": {func(m *admissionregistrationv1.MutatingWebhook) {
			m.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
		}, true, ""},
		"another Pod": {func(m *admissionregistrationv1.MutatingWebhook) {
			m.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}
		}, false, ""},
		"a condition":       {condition(`object.spec.containers.exists(c, c.name == "app") && request.dryRun && request.namespace == "shop"`), true, ""},
		"of the caller":     {condition(`request.userInfo.username.endsWith(":replicaset-controller")`), true, ""},
		"no such":           {condition(`object.metadata.labels["app"] == "db"`), false, ""},
		"that fails":        {condition(`object.spec.none == 1`), false, "match conditions"},
		"of the authorizer": {condition(`authorizer.group("").resource("pods").check("get").allowed()`), false, "what who creates the Pod may do"},
		"that fails open": {func(m *admissionregistrationv1.MutatingWebhook) {
			condition(`object.spec.none == 1`)(m)
			m.FailurePolicy = &ignore
		}, false, ""},
	} {
		asked, err := hookOf("a.io", test.of).asked(t.Context(), compiler, labels.Set{"team": "a"}, objectOf(t, somePod), replicaSetController)
		if asked != test.asked || (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %t, %v", name, asked, err)
		}
	}
}

// adds is a server that adds to the label "seen" what it is called, each time that it is asked.
func adds(name string) server {
	return answering(func(review []byte) ([]byte, error) {
		seen := text(child(child(child(child(mustDecode(review), "request"), "object"), "metadata"), "labels"), "seen")
		patch, err := encode(object{"x": []any{object{"op": "add", "path": "/metadata/labels/seen", "value": seen + name}}})
		if err != nil {
			return nil, err
		}
		return answerWithPatch(review, patch[len(`{"x":`):len(patch)-1]), nil
	})
}

// once adds nothing where it has been asked before.
func once(name string) server {
	all := adds(name)
	return answering(func(review []byte) ([]byte, error) {
		if strings.Contains(text(child(child(child(child(mustDecode(review), "request"), "object"), "metadata"), "labels"), "seen"), name) {
			return answerTo(review, `"allowed":true`), nil
		}
		return all.ask(context.Background(), review)
	})
}

// Webhooks are asked in their order, and again as the API server does: what is to be reinvoked,
// if something has changed after it.
func TestAdmit(t *testing.T) {
	again := admissionregistrationv1.IfNeededReinvocationPolicy
	build := func(name string, reinvoked bool, s server) *hook {
		h := hookOf(name, func(m *admissionregistrationv1.MutatingWebhook) {
			if reinvoked {
				m.ReinvocationPolicy = &again
			}
		})
		h.present = s
		return h
	}
	silent := answering(func(review []byte) ([]byte, error) { return answerTo(review, `"allowed":true`), nil })
	away := build("away", false, nil)
	away.unreached = errors.New("no way there")
	for name, test := range map[string]struct {
		hooks     []*hook
		seen      string
		unreached int
	}{
		"in order":                              {[]*hook{build("a", false, adds("a")), build("b", false, adds("b"))}, "ab", 0},
		"asked again after a change":            {[]*hook{build("a", true, adds("a")), build("b", false, adds("b"))}, "aba", 0},
		"not after its own":                     {[]*hook{build("a", false, adds("a")), build("b", true, adds("b"))}, "ab", 0},
		"not without a change":                  {[]*hook{build("a", true, adds("a")), build("b", false, silent)}, "a", 0},
		"once more, and all that comes of that": {[]*hook{build("a", true, adds("a")), build("b", true, adds("b")), build("c", false, adds("c"))}, "abcab", 0},
		"idempotent ones":                       {[]*hook{build("a", true, once("a")), build("b", true, once("b"))}, "ab", 0},
		"one that cannot be reached":            {[]*hook{build("a", false, adds("a")), away}, "a", 1},
	} {
		q := asking{&Candidates{hooks: test.hooks, compiler: compiler}, replicaSetController, nil}
		result, err := q.admit(t.Context(), objectOf(t, somePod), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := text(child(child(result.pod, "metadata"), "labels"), "seen"); got != test.seen || len(result.unreached) != test.unreached {
			t.Errorf("%s: %q, %d unreached; want %q, %d", name, got, len(result.unreached), test.seen, test.unreached)
		}
	}
}

func TestSwitchOff(t *testing.T) {
	none := func(*admissionregistrationv1.MutatingWebhook) {}
	excluding := func(operator metav1.LabelSelectorOperator, values ...string) func(*admissionregistrationv1.MutatingWebhook) {
		return func(m *admissionregistrationv1.MutatingWebhook) {
			m.ObjectSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "inject", Operator: operator, Values: values}}}
		}
	}
	for name, test := range map[string]struct {
		of   func(*admissionregistrationv1.MutatingWebhook)
		want mark
	}{
		"rev.namespace.sidecar-injector.istio.io": {none, mark{"labels", "sidecar.istio.io/inject", "false"}},
		"sidecar-injector.dapr.io":                {none, mark{"annotations", "dapr.io/enabled", "false"}},
		"notsidecar-injector.dapr.io":             {none, mark{}},
		"a.io":                                    {excluding(metav1.LabelSelectorOpNotIn, "no", "never"), mark{"labels", "inject", "no"}},
		"b.io":                                    {excluding(metav1.LabelSelectorOpIn, "yes"), mark{}},
	} {
		if got, known := hookOf(name, test.of).switchOff(); got != test.want || known != (test.want != mark{}) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestLimited(t *testing.T) {
	got := limited("LimitRanger plugin set: cpu, memory request for container app; cpu limit for init container first")
	if want := []string{"app", "first"}; !cmp.Equal(want, got) || slices.Contains(got, "") {
		t.Errorf("%q, want %q", got, want)
	}
}

func mustDecode(document []byte) object {
	o, err := decodeObject(document)
	if err != nil {
		panic(err)
	}
	return o
}
