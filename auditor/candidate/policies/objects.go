package policies

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured/unstructuredscheme"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var typer = unstructuredscheme.NewUnstructuredObjectTyper()

type maker struct{}

func (maker) New(kind schema.GroupVersionKind) (runtime.Object, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	return object, nil
}

type defaulter struct{}

// Default does nothing: the API server fills in defaults when it is asked about the Pod.
func (defaulter) Default(runtime.Object) {}

type convertor struct{}

func (convertor) Convert(in, out, _ any) error {
	from, ok := in.(*unstructured.Unstructured)
	to, both := out.(*unstructured.Unstructured)
	if !ok || !both {
		return fmt.Errorf("%T is not converted to %T", in, out)
	}
	to.Object = from.Object
	return nil
}

func (convertor) ConvertToVersion(in runtime.Object, target runtime.GroupVersioner) (runtime.Object, error) {
	kind := in.GetObjectKind().GroupVersionKind()
	if to, ok := target.KindForGroupVersionKinds([]schema.GroupVersionKind{kind}); !ok || to != kind {
		return nil, fmt.Errorf("%s is not converted", kind)
	}
	return in, nil
}

func (convertor) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}
