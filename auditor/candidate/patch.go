package candidate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
)

const (
	// maxOperations is the number of operations of the longest patch that is applied: API
	// servers take no more of their own clients.
	maxOperations = 10_000
	// slice is how many operations are applied before it is looked whether there is time left:
	// each may take as long as the document is large.
	slice = 100
	// maxPod is the number of bytes of the largest Pod that is gone on with: etcd stores none
	// larger than half of it.
	maxPod = 3 << 20
)

// object is a Pod as JSON, of which nothing is lost that this build does not know. Numbers
// are int64 or float64, as those of unstructured objects and of CEL.
type object = map[string]any

// decodeObject reads JSON of which integers stay as they are.
func decodeObject(document []byte) (object, error) {
	var o object
	if err := json.Unmarshal(document, &o); err != nil {
		return nil, err
	}
	if o == nil {
		return nil, errors.New("it is no object")
	}
	return o, nil
}

// patched applies the JSON patch of an answer to a Pod, which stays as it is, and whose JSON
// before is. It takes no longer than the context, by much.
func patched(ctx context.Context, pod object, before, patch []byte) (object, error) {
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, strange("its patch is no JSON patch (RFC 6902)", err)
	}
	if len(operations) > maxOperations {
		return nil, fmt.Errorf("its patch has %d operations, and no more than %d are applied", len(operations), maxOperations)
	}
	options := jsonpatch.NewApplyOptions()
	options.AccumulatedCopySizeLimit, options.EscapeHTML = maxPod, false
	after := before
	for some := range slices.Chunk(operations, slice) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if after, err = some.ApplyWithOptions(after, options); err != nil {
			return nil, strange("its patch cannot be applied", err)
		}
		if len(after) > maxPod {
			return nil, fmt.Errorf("its patch makes the Pod larger than %d MiB", maxPod>>20)
		}
	}
	result, err := decodeObject(after)
	if err != nil {
		return nil, strange("its patch leaves no Pod", err)
	}
	return withDefaults(result), samePod(pod, result)
}

// typed finds what is no Pod of the API: fields of another type.
func typed(pod object) error {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(pod, &corev1.Pod{}); err != nil {
		return strange("its patch leaves no Pod", err)
	}
	return nil
}

// samePod finds what no webhook may change: which Pod it is, and whose.
func samePod(before, after object) error {
	for _, field := range []string{"apiVersion", "kind"} {
		if before[field] != after[field] {
			return fmt.Errorf("its patch makes the Pod another kind of object: %s", said(fmt.Append(nil, after[field])))
		}
	}
	b, a := child(before, "metadata"), child(after, "metadata")
	for _, field := range []string{"name", "generateName", "namespace"} {
		if b[field] != a[field] {
			return fmt.Errorf("its patch changes metadata.%s of the Pod", field)
		}
	}
	return nil
}

// child is an object's member that is an object; nil where there is none.
func child(of object, name string) object {
	o, _ := of[name].(object)
	return o
}

// list is an object's member that is a list of objects; others' items are left out.
func list(of object, name string) []object {
	items, _ := of[name].([]any)
	var objects []object
	for _, item := range items {
		if o, ok := item.(object); ok {
			objects = append(objects, o)
		}
	}
	return objects
}

// text is an object's member that is a string; empty where there is none.
func text(of object, name string) string {
	s, _ := of[name].(string)
	return s
}

// copyOf has other members than the object may come to have, and the same values.
func copyOf(o object) object {
	if o == nil {
		return object{}
	}
	return maps.Clone(o)
}
