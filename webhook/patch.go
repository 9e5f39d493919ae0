package webhook

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"gomodules.xyz/jsonpatch/v2"

	"github.com/sidecar-drift/sidecar-drift/internal/fingerprint"
	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
)

const annotationsPath = "/metadata/annotations"

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
		{fingerprint.PartsAnnotation, partsPath, string(f.PartsJSON())},
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
