package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// AutoscalerRules returns what a list of autoscalers says. The list is valid.
func AutoscalerRules(list []Autoscaler) inventory.AutoscalerRules {
	var rules inventory.AutoscalerRules
	for _, a := range list {
		if a.Annotation != "" {
			rules.Annotations = append(rules.Annotations, a.Annotation)
			continue
		}
		kind, _ := a.object() // Check has refused what is wrong
		rules.Objects = append(rules.Objects, kind)
	}
	return rules
}

// Check is an error if the autoscaler is neither an annotation nor a kind of object, or
// both.
func (a Autoscaler) Check() error {
	switch {
	case a.Annotation == "" && a.Resource == "":
		return errors.New("give annotation, or resource")
	case a.Annotation != "" && a != Autoscaler{Annotation: a.Annotation}:
		return errors.New("resource, targetRef and unless do not go with annotation: give an item for each")
	case a.Annotation != "":
		if err := verdict.CheckAnnotation(a.Annotation); err != nil {
			return fmt.Errorf("annotation is %q: %w", a.Annotation, err)
		}
		return nil
	}
	_, err := a.object()
	return err
}

// fieldPath is names of fields, parted by points.
var fieldPath = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z][A-Za-z0-9_-]*)*$`)

func (a Autoscaler) object() (inventory.AutoscalerKind, error) {
	gvr, _ := schema.ParseResourceArg(a.Resource)
	if gvr == nil || gvr.Resource == "" || gvr.Version == "" || gvr.Group == "" || strings.ContainsAny(a.Resource, "/%? ") {
		return inventory.AutoscalerKind{}, fmt.Errorf("resource is %q: give RESOURCE.VERSION.GROUP, as in rightsizers.v1.example.com", a.Resource)
	}
	kind := inventory.AutoscalerKind{Resource: *gvr, TargetRef: []string{"spec", "targetRef"}}
	if a.TargetRef != "" {
		if !fieldPath.MatchString(a.TargetRef) {
			return kind, fmt.Errorf("targetRef is %q: give the path of a field, as in spec.targetRef", a.TargetRef)
		}
		kind.TargetRef = strings.Split(a.TargetRef, ".")
	}
	if a.Unless != "" {
		path, value, ok := strings.Cut(a.Unless, "=")
		if !ok || value == "" || !fieldPath.MatchString(path) {
			return kind, fmt.Errorf("unless is %q: give the path of a field and its value, as in spec.mode=Off", a.Unless)
		}
		kind.Off, kind.OffValue = strings.Split(path, "."), value
	}
	return kind, nil
}
