package doctor

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// expected is what a finding must be: its state, and parts of the rest.
type expected struct {
	state                    State
	subject, message, remedy string
}

// check compares findings, in order, with what is expected of them. Whatever is
// wrong, or to be warned of, must come with a remedy.
func check(t *testing.T, got []Finding, want ...expected) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d findings, want %d:\n%+v", len(got), len(want), got)
	}
	for i, w := range want {
		g := got[i]
		if g.State != w.state || !strings.Contains(g.Subject, w.subject) || !strings.Contains(g.Message, w.message) || !strings.Contains(g.Remedy, w.remedy) {
			t.Errorf("finding %d is %+v, want %+v", i, g, w)
		}
		if g.Check == "" || g.Subject == "" || g.Message == "" {
			t.Errorf("finding %d is incomplete: %+v", i, g)
		}
		if (g.State == Warning || g.State == Wrong) && g.Remedy == "" {
			t.Errorf("finding %d says nothing of what to do: %+v", i, g)
		}
	}
}

func there[T any](value *T) read[T] { return read[T]{value: value} }

func notThere[T any]() read[T] {
	return read[T]{err: apierrors.NewNotFound(schema.GroupResource{Resource: "things"}, "it")}
}

// notAllowed is an answer as RBAC gives it.
func notAllowed[T any]() read[T] {
	return read[T]{err: apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, "it",
		errors.New(`User "anna" cannot get resource "things" in API group "" at the cluster scope`))}
}

func TestUnread(t *testing.T) {
	topic := topic{"check", "subject"}
	check(t, []Finding{
		topic.unread(notAllowed[metav1.Status]().err),
		topic.unread(errors.New("etcd is away")),
		topic.unread(apierrors.NewForbidden(schema.GroupResource{}, "it", errors.New("a policy says no"))),
	},
		expected{NotChecked, "subject", "you may not get things", "ask somebody who may"},
		expected{state: NotChecked, message: "etcd is away"},
		expected{state: NotChecked, message: "a policy says no"},
	)
}
