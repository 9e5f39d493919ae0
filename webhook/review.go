package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

const (
	reviewVersion = "admission.k8s.io/v1"
	reviewKind    = "AdmissionReview"
)

// maxValues bounds the memory and the time that one review takes. The review of
// a Pod with Istio's sidecar has some 400; one with millions of empty strings is
// made to harm.
const maxValues = 50_000

// review is the request of an AdmissionReview. The zero review is that of a
// body that could not be read.
type review struct {
	request jsontree.Node
	uid     jsontree.Node // a string, not empty
}

// parseReview reads an AdmissionReview. Its errors are the API server's to
// read: they say what is wrong and quote nothing of the body.
func parseReview(reader *jsontree.Reader, body []byte) (review, error) {
	root, err := reader.Parse(body, maxValues)
	if err != nil {
		return review{}, unreadable(err)
	}
	if root.Get("apiVersion").String() != reviewVersion || root.Get("kind").String() != reviewKind {
		return review{}, fmt.Errorf("the body is no %s of %s", reviewKind, reviewVersion)
	}
	r := review{request: root.Get("request")}
	r.uid = r.request.Get("uid")
	if r.uid.Kind() != jsontree.String || len(r.uid.Text()) == 0 {
		return review{}, errors.New("the AdmissionReview has no request.uid to answer to")
	}
	return r, nil
}

// unreadable tells where a body stops being JSON. The parser's own message
// would name members, which are labels and annotations of Pods.
func unreadable(err error) error {
	if errors.Is(err, jsontree.ErrTooMany) {
		return fmt.Errorf("the body holds more than %d values", maxValues)
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return fmt.Errorf("the body is no valid JSON document: see its byte %d", syntax.ByteOffset)
	}
	return errors.New("the body is no valid JSON document")
}

// createsPod reports whether the review is about a new Pod, and not about
// another object, operation or subresource.
func (r review) createsPod() bool {
	kind := r.request.Get("kind")
	return string(r.request.Get("operation").Text()) == "CREATE" &&
		string(kind.Get("kind").Text()) == "Pod" &&
		string(kind.Get("version").Text()) == "v1" &&
		len(kind.Get("group").Text()) == 0 &&
		len(r.request.Get("subResource").Text()) == 0
}

// object is the object under review. What its creator left out (a name, the
// namespace) the request may hold.
func (r review) object() jsontree.Node { return r.request.Get("object") }

// logValues identify the object in logs. Nothing else of it is ever logged.
func (r review) logValues() []any {
	metadata := r.object().Get("metadata")
	return []any{
		"review", r.uid.String(),
		"namespace", r.request.Get("namespace").String(),
		"name", r.request.Get("name").String(),
		"generateName", metadata.Get("generateName").String(),
	}
}

// allow returns the AdmissionReview that allows the object, changed by patch if
// there is one: a JSON array of RFC 6902. A stamper has no other answer.
func (r review) allow(patch []byte) []byte {
	const (
		head       = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":`
		allowed    = `,"allowed":true`
		patchStart = `,"patchType":"JSONPatch","patch":"`
		tail       = `}}`
	)
	uid := r.uid.Raw()
	size := len(head) + len(uid) + len(allowed) + len(patchStart) + base64.StdEncoding.EncodedLen(len(patch)) + len(`"`) + len(tail)
	dst := append(append(append(make([]byte, 0, size), head...), uid...), allowed...)
	if len(patch) > 0 {
		dst = base64.StdEncoding.AppendEncode(append(dst, patchStart...), patch)
		dst = append(dst, '"')
	}
	return append(dst, tail...)
}
