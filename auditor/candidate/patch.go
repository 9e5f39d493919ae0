package candidate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
)

const (
	// maxOperations is the number of operations of the longest patch that is applied: API
	// servers take no more of their own clients.
	maxOperations = 10_000
	// maxPod is the number of bytes of the largest Pod that is gone on with: etcd stores none
	// larger than half of it.
	maxPod = 3 << 20
)

// object is a Pod as JSON, of which nothing is lost that this build does not know. Numbers
// are json.Number, int64 or float64.
type object = map[string]any

// decodeObject reads JSON of which integers stay as they are.
func decodeObject(document []byte) (object, error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var o object
	if err := decoder.Decode(&o); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	if o == nil {
		return nil, errors.New("it is no object")
	}
	plainNumbers(o)
	return o, nil
}

// plainNumbers are those that unstructured objects and CEL know.
func plainNumbers(value any) any {
	switch v := value.(type) {
	case object:
		for key, member := range v {
			v[key] = plainNumbers(member)
		}
	case []any:
		for i, item := range v {
			v[i] = plainNumbers(item)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	}
	return value
}

// patched applies the JSON patch of an answer to a Pod, which stays as it is.
func patched(pod object, patch []byte) (object, error) {
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, fmt.Errorf("its patch is no JSON patch (RFC 6902): %w", err)
	}
	if len(operations) > maxOperations {
		return nil, fmt.Errorf("its patch has %d operations, and no more than %d are applied", len(operations), maxOperations)
	}
	before, err := json.Marshal(pod)
	if err != nil {
		return nil, err
	}
	options := jsonpatch.NewApplyOptions()
	options.AccumulatedCopySizeLimit, options.EscapeHTML = maxPod, false
	after, err := operations.ApplyWithOptions(before, options)
	if err != nil {
		return nil, fmt.Errorf("its patch cannot be applied: %s", said([]byte(err.Error())))
	}
	if len(after) > maxPod {
		return nil, fmt.Errorf("its patch makes the Pod larger than %d MiB", maxPod>>20)
	}
	result, err := decodeObject(after)
	if err != nil {
		return nil, fmt.Errorf("its patch leaves no Pod: %s", said([]byte(err.Error())))
	}
	if err := json.Unmarshal(after, &corev1.Pod{}); err != nil {
		return nil, fmt.Errorf("its patch leaves no Pod: %s", said([]byte(err.Error())))
	}
	return withDefaults(result), samePod(pod, result)
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
