package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"gomodules.xyz/jsonpatch/v2"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

const annotationsPath = "/metadata/annotations"

// maxAnnotations is how many bytes the names and values of an object's
// annotations may have together: the API server refuses more. It is
// TotalAnnotationSizeLimitB of k8s.io/apimachinery/pkg/api/validation.
const maxAnnotations = 256 << 10

// errNoRoom keeps the stamp from being what a Pod is refused for.
var errNoRoom = fmt.Errorf("its annotations would have more than %d bytes with the stamp, for which the API server refuses a Pod", maxAnnotations)

var (
	stampPath = annotationPath(fingerprint.StampAnnotation)
	partsPath = annotationPath(fingerprint.PartsAnnotation)
)

// annotationPath is the JSON pointer (RFC 6901) to an annotation.
func annotationPath(name string) string {
	return annotationsPath + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// stampPatch returns the operations that write the fingerprint on its Pod, and
// none if the Pod already carries it: a patch would cost one more round of
// admission. It fails on an object that annotations cannot be added to.
func stampPatch(pod jsontree.Node, f fingerprint.Fingerprint) ([]jsonpatch.Operation, error) {
	metadata := pod.Get("metadata")
	if metadata.Kind() != jsontree.Object {
		return nil, errors.New("the object has no metadata: not a Pod")
	}
	parts := string(f.PartsJSON())
	if err := checkAnnotations(pod, len(f.Stamp)+len(parts)); err != nil {
		return nil, err
	}
	annotations := metadata.Get("annotations")
	patch := make([]jsonpatch.Operation, 0, 3)
	switch annotations.Kind() {
	case jsontree.Object:
	case jsontree.Absent, jsontree.Null:
		patch = append(patch, jsonpatch.NewOperation("add", annotationsPath, struct{}{}))
	default:
		return nil, errors.New("the object's annotations are no map: not a Pod")
	}
	for _, annotation := range []struct{ name, path, value string }{
		{fingerprint.StampAnnotation, stampPath, f.Stamp},
		{fingerprint.PartsAnnotation, partsPath, parts},
	} {
		has := annotations.Get(annotation.name)
		if has.Kind() == jsontree.String && string(has.Text()) == annotation.value {
			continue
		}
		// "add" also replaces what is there.
		patch = append(patch, jsonpatch.NewOperation("add", annotation.path, annotation.value))
	}
	return patch, nil
}

// checkAnnotations fails if the Pod's annotations would be too many bytes, were
// the values of ours that many.
func checkAnnotations(pod jsontree.Node, ours int) error {
	size := len(fingerprint.StampAnnotation) + len(fingerprint.PartsAnnotation) + ours
	for annotation := range pod.Get("metadata", "annotations").Children() {
		switch string(annotation.Name()) {
		case fingerprint.StampAnnotation, fingerprint.PartsAnnotation:
		default:
			size += len(annotation.Name()) + len(annotation.Text())
		}
	}
	if size > maxAnnotations {
		return errNoRoom
	}
	return nil
}

// encodePatch returns the patch as JSON, and nothing if it is empty. Strings,
// which are nearly all of it, are written without reflection.
func encodePatch(patch []jsonpatch.Operation) ([]byte, error) {
	if len(patch) == 0 {
		return nil, nil
	}
	dst := make([]byte, 0, 1024)
	for i, operation := range patch {
		separator := byte(',')
		if i == 0 {
			separator = '['
		}
		dst = append(append(dst, separator), `{"op":`...)
		var err error
		if dst, err = jsontext.AppendQuote(dst, operation.Operation); err != nil {
			return nil, err
		}
		if dst, err = jsontext.AppendQuote(append(dst, `,"path":`...), operation.Path); err != nil {
			return nil, err
		}
		if dst, err = appendValue(append(dst, `,"value":`...), operation.Value); err != nil {
			return nil, err
		}
		dst = append(dst, '}')
	}
	return append(dst, ']'), nil
}

func appendValue(dst []byte, value any) ([]byte, error) {
	if text, ok := value.(string); ok {
		return jsontext.AppendQuote(dst, text)
	}
	encoded, err := json.Marshal(value)
	return append(dst, encoded...), err
}
