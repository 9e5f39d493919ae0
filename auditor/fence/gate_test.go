package fence

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// server is an API server that knows who asks, and answers the rest in turn, the
// last answer again and again.
type server struct {
	user         string
	impersonates bool

	mu      sync.Mutex
	answers []metav1.Status
	asked   []string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(r.URL.Path, "/selfsubjectreviews") {
		review := authenticationv1.SelfSubjectReview{TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "SelfSubjectReview"}}
		review.Status.UserInfo.Username = s.user
		_ = json.NewEncoder(w).Encode(review)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews") {
		var review authorizationv1.SelfSubjectAccessReview
		_ = json.NewDecoder(r.Body).Decode(&review)
		review.Status.Allowed = s.impersonates && review.Spec.ResourceAttributes.Verb == "impersonate"
		_ = json.NewEncoder(w).Encode(review)
		return
	}
	if r.Header.Get("Impersonate-User") != "" && r.URL.Query().Has("dryRun") { // of nothing
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.asked = append(s.asked, r.Header.Get("Impersonate-User")+r.Method+" "+r.URL.Path)
	answer := s.answers[0]
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	answer.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	w.WriteHeader(int(answer.Code))
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *server) start(t *testing.T) kubernetes.Interface {
	t.Helper()
	listening := httptest.NewServer(s)
	t.Cleanup(listening.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: listening.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

const auditor = "system:serviceaccount:platform-tools:sidecar-drift-auditor"

func status(code int32, reason metav1.StatusReason, message string) metav1.Status {
	return metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}
}

var (
	fenced = status(403, metav1.StatusReasonForbidden, `pods "sidecar-drift-fence" is forbidden: ValidatingAdmissionPolicy 'sidecar-drift-dry-run-only' with binding 'b' denied request: in a dry run only`)
	rbac   = status(403, metav1.StatusReasonForbidden, `pods is forbidden: User "x" cannot create resource "pods" in API group ""`)
	other  = status(403, metav1.StatusReasonForbidden, `pods is forbidden: ValidatingAdmissionPolicy 'other' with binding 'sidecar-drift-dry-run-only' denied request: no`)
	exists = status(409, metav1.StatusReasonAlreadyExists, `pods "sidecar-drift-fence" already exists`)
	stored = status(500, metav1.StatusReasonUnknown, "resourceVersion should not be set on objects to be created")
)

func TestProveDryRunOnly(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer metav1.Status
		want   string // none: in force
	}{
		{"refused by the policy", fenced, ""},
		{"refused by its answer of old", status(422, metav1.StatusReasonInvalid, fenced.Message), ""},
		{"exists", exists, "is not in force"},
		{"not stored", stored, "is not in force"},
		{"refused by another policy", other, "is not known"},
		{"refused by RBAC", rbac, "is not known"},
		{"too busy", status(500, metav1.StatusReasonInternalError, "etcd is away"), "is not known"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &server{answers: []metav1.Status{tt.answer}}
			err := ProveDryRunOnly(t.Context(), s.start(t), "platform-tools")
			if _, open := errors.AsType[*OpenError](err); open != (tt.want == "is not in force") {
				t.Errorf("%v is of type OpenError: %v", err, open)
			}
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if want := "POST /api/v1/namespaces/platform-tools/pods"; s.asked[0] != want {
				t.Errorf("asked %q, want %q", s.asked[0], want)
			}
		})
	}
}

// The gate opens once the policy refuses, in the namespace of the account itself.
func TestGate(t *testing.T) {
	s := &server{user: auditor, answers: []metav1.Status{stored, fenced}}
	g := NewGate(s.start(t), false, logr.Discard())
	if err := g.Ready(nil); err == nil {
		t.Error("ready before anything is asked")
	}
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.Wait(t.Context()), g.Ready(nil)); err != nil {
		t.Error(err)
	}
	if len(s.asked) != 2 {
		t.Errorf("asked %q, want twice", s.asked)
	}
}

func TestGateStaysClosed(t *testing.T) {
	s := &server{user: auditor, answers: []metav1.Status{stored}}
	g := NewGate(s.start(t), false, logr.Discard())
	ctx, cancel := context.WithCancel(t.Context())
	var started sync.WaitGroup
	started.Go(func() { _ = g.Start(ctx) })
	for g.Ready(nil) == nil || !strings.Contains(g.Ready(nil).Error(), "is not in force") {
		if t.Context().Err() != nil {
			t.Fatal("never asked")
		}
	}
	cancel()
	started.Wait()
	if g.Wait(ctx) == nil {
		t.Error("opened")
	}
}

// People are not fenced, and not kept from anything.
func TestGateForPeople(t *testing.T) {
	s := &server{user: "anna"}
	g := NewGate(s.start(t), true, logr.Discard())
	if err := errors.Join(g.Start(t.Context()), g.Ready(nil), g.ProveRollouts(t.Context())); err != nil || len(s.asked) > 0 {
		t.Errorf("error %v, asked %q", err, s.asked)
	}
}

// Rollouts need the other policy.
func TestGateOfRollouts(t *testing.T) {
	missing := status(404, metav1.StatusReasonNotFound, `pods "sidecar-drift-fence" not found`)
	s := &server{user: auditor, answers: []metav1.Status{fenced, missing}}
	g := NewGate(s.start(t), false, logr.Discard())
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	open, is := errors.AsType[*OpenError](g.ProveRollouts(t.Context()))
	if !is || open.Policy != RolloutOnly {
		t.Errorf("got %v, want %s not in force", open, RolloutOnly)
	}
}

// Who may impersonate controllers is not let in before that is fenced, too.
func TestGateOfControllers(t *testing.T) {
	asController := status(403, metav1.StatusReasonForbidden,
		`pods "x" is forbidden: ValidatingAdmissionPolicy '`+ControllerIdentity+`' with binding '`+ControllerIdentity+`' denied request: dry runs only`)
	s := &server{user: auditor, impersonates: true, answers: []metav1.Status{fenced, stored, fenced, asController, asController, asController, asController, asController}}
	g := NewGate(s.start(t), false, logr.Discard())
	if err := g.prove(t.Context()); err == nil || !strings.Contains(err.Error(), ControllerIdentity) {
		t.Errorf("not fenced as a controller: %v", err)
	}
	if err := g.prove(t.Context()); err != nil {
		t.Errorf("fenced: %v", err)
	}
	const users = "system:serviceaccount:kube-system:"
	if len(s.asked) != 8 || !strings.HasPrefix(s.asked[1], users) || strings.HasPrefix(s.asked[2], users) || !strings.HasPrefix(s.asked[7], users) {
		t.Errorf("asked %q", s.asked)
	}
}
