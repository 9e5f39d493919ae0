package injection

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/rest/fake"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

var (
	replicaSet = inventory.Owner{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web"}
	job        = inventory.Owner{APIVersion: "batch/v1", Kind: "Job", Name: "web"}
)

// authority is an API server of which somebody may use verbs on ServiceAccounts, and
// which may not know the narrow ones.
type authority struct {
	verbs  []string
	probe  int // its answer to a request as a controller
	broken bool
	asked  int
}

func (a *authority) client() rest.Interface {
	return &fake.RESTClient{
		NegotiatedSerializer: scheme.Codecs.WithoutConversion(), GroupVersion: schema.GroupVersion{},
		Client: fake.CreateHTTPClient(func(r *http.Request) (*http.Response, error) {
			a.asked++
			answer := func(code int, body any) (*http.Response, error) {
				text, err := json.Marshal(body)
				return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(text))}, err
			}
			if a.broken {
				return answer(http.StatusInternalServerError, map[string]string{})
			}
			if r.Header.Get("Impersonate-User") != "" {
				return answer(a.probe, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": a.probe, "reason": http.StatusText(a.probe)})
			}
			if r.Method == http.MethodGet {
				return answer(http.StatusOK, map[string]any{"metadata": map[string]string{"uid": "uid-of-" + path.Base(r.URL.Path)}})
			}
			var review authorizationv1.SelfSubjectAccessReview
			if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
				return nil, err
			}
			what := review.Spec.ResourceAttributes
			review.Status.Allowed = slices.Contains(a.verbs, what.Verb+" "+what.Name) || slices.Contains(a.verbs, what.Verb)
			if what.Resource == "uids" {
				review.Status.Allowed = slices.Contains(a.verbs, "impersonate uids")
			}
			return answer(http.StatusCreated, review)
		}),
	}
}

func TestIdentities(t *testing.T) {
	const narrow = "impersonate:serviceaccount replicaset-controller"
	const on = "impersonate-on:serviceaccount:create"
	const user = "system:serviceaccount:kube-system:replicaset-controller"
	for name, test := range map[string]struct {
		authority authority
		mode      DryRunAs
		want      string
		uid       string
	}{
		"nothing":                     {authority{}, Auto, "", ""},
		"all, and by UID":             {authority{verbs: []string{"impersonate", "impersonate uids"}, probe: http.StatusBadRequest}, Auto, user, "uid-of-replicaset-controller"},
		"all":                         {authority{verbs: []string{"impersonate"}, probe: http.StatusBadRequest}, Auto, user, ""},
		"by default":                  {authority{verbs: []string{"impersonate"}, probe: http.StatusBadRequest}, "", user, ""},
		"not wanted":                  {authority{verbs: []string{"impersonate"}, probe: http.StatusBadRequest}, Self, "", ""},
		"narrow":                      {authority{verbs: []string{narrow, on}, probe: http.StatusUnprocessableEntity}, Auto, user, ""},
		"narrow, and an older server": {authority{verbs: []string{narrow, on}, probe: http.StatusForbidden}, Auto, "", ""},
		"half":                        {authority{verbs: []string{narrow}, probe: http.StatusBadRequest}, Auto, "", ""},
		"broken":                      {authority{broken: true}, Auto, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			i, err := NewIdentities(test.authority.client(), &rest.Config{}, test.mode, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := i.Check(t.Context()); err != nil {
				t.Error(err)
			}
			for range 2 {
				got, err := i.For(t.Context(), replicaSet)
				if got != (Identity{test.want, test.uid}) || (err != nil) != test.authority.broken {
					t.Errorf("asks as %q, %v", got, err)
				}
			}
			want := Self
			if test.want != "" {
				want = Controller
			}
			if i.Asked() != want {
				t.Errorf("says %q", i.Asked())
			}
			if test.authority.asked > 6 && !test.authority.broken {
				t.Errorf("%d requests", test.authority.asked)
			}
		})
	}
}

// Owners whose controller is not known are asked about by the identity itself: a
// custom resource may have the name of a kind of Kubernetes' own.
func TestIdentityOfOwner(t *testing.T) {
	i, err := NewIdentities((&authority{verbs: []string{"impersonate"}, probe: http.StatusBadRequest}).client(), &rest.Config{}, Auto, nil)
	if err != nil {
		t.Fatal(err)
	}
	for owner, want := range map[inventory.Owner]string{
		job: "system:serviceaccount:kube-system:job-controller",
		{APIVersion: "apps/v1", Kind: "DaemonSet"}:               "system:serviceaccount:kube-system:daemon-set-controller",
		{APIVersion: "apps/v1", Kind: "StatefulSet"}:             "system:serviceaccount:kube-system:statefulset-controller",
		{APIVersion: "v1", Kind: "ReplicationController"}:        "system:serviceaccount:kube-system:replication-controller",
		{APIVersion: "apps.kruise.io/v1", Kind: "StatefulSet"}:   "",
		{APIVersion: "argoproj.io/v1alpha1", Kind: "ReplicaSet"}: "",
		{}: "",
	} {
		if got, err := i.For(t.Context(), owner); got.User != want || err != nil {
			t.Errorf("%+v: as %q, %v", owner, got, err)
		}
	}
}

// Whoever asks for controllers gets them for all owners, or an error that says why
// not, whatever Pods there are.
func TestIdentitiesAsAsked(t *testing.T) {
	for name, test := range map[string]struct {
		authority authority
		config    rest.Config
		want      string
	}{
		"may":         {authority{verbs: []string{"impersonate"}, probe: http.StatusBadRequest}, rest.Config{}, ""},
		"may not":     {authority{}, rest.Config{}, "you may not impersonate system:serviceaccount:kube-system:daemon-set-controller"},
		"one alone":   {authority{verbs: []string{"impersonate replicaset-controller"}, probe: http.StatusBadRequest}, rest.Config{}, "you may not impersonate"},
		"broken":      {authority{broken: true}, rest.Config{}, "whether system:serviceaccount:kube-system:daemon-set-controller may be impersonated"},
		"nested":      {authority{}, rest.Config{Impersonate: rest.ImpersonationConfig{UserName: "x"}}, "--as contradict each other"},
		"nested more": {authority{}, rest.Config{Impersonate: rest.ImpersonationConfig{Groups: []string{"x"}}}, "--as contradict each other"},
	} {
		t.Run(name, func(t *testing.T) {
			i, err := NewIdentities(test.authority.client(), &test.config, Controller, nil)
			if err == nil {
				err = i.Check(t.Context())
			}
			if text := errorText(err); (test.want == "") != (err == nil) || !strings.Contains(text, test.want) {
				t.Errorf("%v", err)
			}
		})
	}
	nested, err := NewIdentities(nil, &rest.Config{Impersonate: rest.ImpersonationConfig{UserName: "x"}}, Auto, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user, err := nested.For(t.Context(), replicaSet); user != (Identity{}) || err != nil {
		t.Errorf("auto, impersonating: as %q, %v", user, err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// An identity that nothing keeps to dry runs is not used, until something does.
func TestUnfencedIdentity(t *testing.T) {
	var fenced error = apierrors.NewForbidden(corev1.Resource("pods"), "x", errors.New("by another policy"))
	a := authority{verbs: []string{"impersonate"}, probe: http.StatusBadRequest}
	i, err := NewIdentities(a.client(), &rest.Config{}, Auto, func(context.Context, string) error { return fenced })
	if err != nil {
		t.Fatal(err)
	}
	if user, err := i.For(t.Context(), replicaSet); user != (Identity{}) || err != nil {
		t.Errorf("asks as %s, %v", user, err)
	}
	fenced = errors.New("connection refused") // which says nothing
	if user, err := i.For(t.Context(), replicaSet); user != (Identity{}) || err == nil {
		t.Errorf("asks as %s, %v", user, err)
	}
	fenced = nil
	if user, err := i.For(t.Context(), replicaSet); user == (Identity{}) || err != nil {
		t.Errorf("does not ask as the controller though that is fenced now: %v", err)
	}
	if users, err := i.All(t.Context()); err != nil || len(users) != len(controllers) {
		t.Errorf("may be %q, %v", users, err)
	}
}
