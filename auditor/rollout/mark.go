package rollout

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Keys of the annotations that a restart sets, the first two behind Mark.AnnotationPrefix. The
// policy sidecar-drift-rollout-only allows no others.
const (
	timestampKey = ".rollout.timestamp"
	reasonKey    = ".rollout.reason"
	// restartedAt is what "kubectl rollout restart" sets. Operators that put their templates
	// back often leave it alone; it has no prefix.
	restartedAt = "kubectl.kubernetes.io/restartedAt"
)

// LongestMarkReason is how many characters of Mark.Reason the policy allows.
const LongestMarkReason = 1024

// Mark is what a restart writes to a Pod template.
type Mark struct {
	// AnnotationPrefix of PREFIX.rollout.timestamp and PREFIX.rollout.reason;
	// DefaultAnnotationPrefix if empty.
	AnnotationPrefix string
	// Reason for people; names the drifted sidecars, if there are any, if empty.
	Reason string
	// FieldManager that owns what is written; DefaultFieldManager if empty.
	FieldManager string
}

// CheckAnnotationPrefix returns an error that says what is wrong with
// Mark.AnnotationPrefix. One with a slash would make annotations of somebody
// else's domain, which injectors may obey.
func CheckAnnotationPrefix(prefix string) error {
	switch {
	case strings.Contains(prefix, "/"):
		return fmt.Errorf("%.100q has a slash, and would make annotations of a domain that injectors may obey: give a word, as sidecarRollout or myCompany", prefix)
	case prefix == "" || len(validation.IsQualifiedName(prefix+timestampKey)) > 0:
		return fmt.Errorf("%.100q does not make an annotation's name, as sidecarRollout or myCompany does", prefix)
	}
	return nil
}

// CheckReason returns an error that says what is wrong with Mark.Reason.
func CheckReason(reason string) error {
	if n := utf8.RuneCountInString(reason); n > LongestMarkReason {
		return fmt.Errorf("has %d characters: give at most %d", n, LongestMarkReason)
	}
	if at := strings.IndexFunc(reason, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }); at >= 0 {
		return fmt.Errorf("has a character at byte %d that cannot be printed: give one line of text", at)
	}
	return nil
}

// reason is the one that is written.
func (m Mark) reason(sidecars []string) string {
	const more = "..."
	what := "Update what is injected"
	if len(sidecars) > 0 {
		what = "Update sidecars " + strings.Join(sidecars, ", ")
	}
	text := sentence(orElse(m.Reason, what), 2*LongestMarkReason)
	if runes := []rune(text); len(runes) > LongestMarkReason {
		return string(runes[:LongestMarkReason-len(more)]) + more
	}
	return text
}
