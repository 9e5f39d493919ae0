// Package podtest makes Pods for tests: real ones, generated ones, and every
// single change of one.
package podtest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Live is a Pod as kube-apiserver 1.37 stored it, with the sidecar of the real
// Istio injector, proxy 1.27.0. Fresh is a dry run of the same template after
// the proxy's image and CPU request changed.
var (
	//go:embed testdata/pod-live-istio-1.27.json
	Live []byte
	//go:embed testdata/pod-fresh-istio-1.28.json
	Fresh []byte
)

// Pod returns a Pod without noise and without a name, in which every field has
// been set with the given probability. No value is the API's default.
func Pod(r *rand.Rand, probability float64) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}}
	f := filler{r: r, probability: probability}
	f.fill(reflect.ValueOf(&pod.Spec).Elem())
	for len(pod.Spec.Containers) == 0 {
		f.fill(reflect.ValueOf(&pod.Spec.Containers).Elem())
	}
	return pod
}

// Full returns a T in which every field is set, lists and maps with two items.
func Full[T any]() T {
	var value T
	f := filler{r: rand.New(rand.NewPCG(1, 2)), probability: 1}
	f.fill(reflect.ValueOf(&value).Elem())
	return value
}

// Tree returns the value as JSON decodes it.
func Tree(tb testing.TB, value any) map[string]any {
	tb.Helper()
	var tree map[string]any
	if err := json.Unmarshal(JSON(tb, value), &tree); err != nil {
		tb.Fatal(err)
	}
	return tree
}

// JSON encodes the value.
func JSON(tb testing.TB, value any) []byte {
	tb.Helper()
	src, err := json.Marshal(value)
	if err != nil {
		tb.Fatal(err)
	}
	return src
}

// filler sets fields to values that occur once.
type filler struct {
	r           *rand.Rand
	probability float64
	count       int64
}

func (f *filler) next() int64 {
	f.count++
	return 1000 + f.count
}

func (f *filler) fill(v reflect.Value) {
	switch value := v.Addr().Interface().(type) {
	case *resource.Quantity:
		*value = *resource.NewQuantity(f.next(), resource.DecimalSI)
		return
	case *intstr.IntOrString:
		*value = intstr.FromString(fmt.Sprint("v", f.next()))
		return
	case *metav1.Time, **metav1.Time, *[]metav1.ManagedFieldsEntry:
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if f.r.Float64() < f.probability || required(v.Type(), field.Name) {
				f.fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			f.fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key)
			f.fill(value)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString(fmt.Sprint("v", f.next()))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(f.next())
	default:
		panic(fmt.Sprintf("a field of kind %s", v.Kind()))
	}
}

// required reports whether the field is always written, or a list goes by it:
// without it, its items are not told apart.
func required(t reflect.Type, field string) bool {
	f, _ := t.FieldByName(field)
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	if options == "" || f.Anonymous && f.Type.Kind() == reflect.Struct {
		return true // else it would be written as null or as a default
	}
	switch name {
	case "ip", "topologyKey", "whenUnsatisfiable":
		return true
	}
	for _, list := range keys {
		if slices.Contains(list, name) {
			return true
		}
	}
	return false
}
