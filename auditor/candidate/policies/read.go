package policies

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
)

// Set is candidate policies, with what they need that is not in the cluster either.
type Set struct {
	// Names are those of the policies, KIND/NAME, sorted.
	Names []string

	policies map[string][]runtime.Object // by the plural of their kind, typed
	written  []unstructured.Unstructured // the same, as they were given
	params   map[schema.GroupVersionKind][]unstructured.Unstructured

	others []string // names of validating policies of which the cluster has other versions
	notes  []string
}

// plurals of the kinds that policies consist of.
const (
	mutatingPolicies   = "mutatingadmissionpolicies"
	mutatingBindings   = "mutatingadmissionpolicybindings"
	validatingPolicies = "validatingadmissionpolicies"
	validatingBindings = "validatingadmissionpolicybindings"
)

// kinds are how each is read.
var kinds = map[string]struct {
	plural string
	empty  func() runtime.Object
}{
	"MutatingAdmissionPolicy": {mutatingPolicies, func() runtime.Object { return &admissionregistrationv1.MutatingAdmissionPolicy{} }},
	"MutatingAdmissionPolicyBinding": {mutatingBindings, func() runtime.Object {
		return &admissionregistrationv1.MutatingAdmissionPolicyBinding{}
	}},
	"ValidatingAdmissionPolicy": {validatingPolicies, func() runtime.Object { return &admissionregistrationv1.ValidatingAdmissionPolicy{} }},
	"ValidatingAdmissionPolicyBinding": {validatingBindings, func() runtime.Object {
		return &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
	}},
}

// Read takes objects, as JSON, that would be applied to a cluster: admission policies, their
// bindings, and parameters. Lists are taken apart. A binding without its policy, a policy
// without a binding and a field that no policy has are errors, as they would do nothing.
func Read(documents [][]byte) (*Set, error) {
	s := &Set{policies: map[string][]runtime.Object{}, params: map[schema.GroupVersionKind][]unstructured.Unstructured{}}
	for _, document := range documents {
		if err := s.add(document); err != nil {
			return nil, err
		}
	}
	if err := s.complete(); err != nil {
		return nil, err
	}
	slices.Sort(s.Names)
	return s, nil
}

func (s *Set) add(document []byte) error {
	var object unstructured.Unstructured
	if err := object.UnmarshalJSON(document); err != nil {
		return fmt.Errorf("not an object as one applies it: %w", err)
	}
	if object.IsList() {
		return object.EachListItem(func(item runtime.Object) error {
			text, err := item.(*unstructured.Unstructured).MarshalJSON()
			if err != nil {
				return err
			}
			return s.add(text)
		})
	}
	gvk := object.GroupVersionKind()
	name := object.GetKind() + "/" + object.GetName()
	if object.GetName() == "" {
		return fmt.Errorf("%s without a name", cmp.Or(object.GetKind(), "an object"))
	}
	if gvk.Group != admissionregistrationv1.GroupName {
		s.params[gvk] = append(s.params[gvk], object)
		return nil
	}
	kind, known := kinds[gvk.Kind]
	if !known {
		return fmt.Errorf("%s is no admission policy and no binding of one: a candidate for a webhook is given by --webhook", name)
	}
	typed := kind.empty()
	// Versions before v1 have the same fields, as far as they have them.
	strict, err := kjson.UnmarshalStrict(document, typed)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(strict) > 0 {
		return fmt.Errorf("%s: %w", name, strict[0])
	}
	setDefaults(typed)
	if slices.ContainsFunc(s.policies[kind.plural], func(o runtime.Object) bool { return nameOf(o) == object.GetName() }) {
		return fmt.Errorf("%s is there twice", name)
	}
	s.policies[kind.plural] = append(s.policies[kind.plural], typed)
	s.written = append(s.written, object)
	return nil
}

func nameOf(o runtime.Object) string {
	accessor, err := meta.Accessor(o)
	if err != nil {
		return ""
	}
	return accessor.GetName()
}

// complete reports what would do nothing, and names the policies.
func (s *Set) complete() error {
	for _, of := range []struct{ kind, policies, bindings string }{
		{"MutatingAdmissionPolicy", mutatingPolicies, mutatingBindings},
		{"ValidatingAdmissionPolicy", validatingPolicies, validatingBindings},
	} {
		bound := map[string]bool{}
		for _, b := range s.policies[of.bindings] {
			bound[policyOf(b)] = true
		}
		for _, p := range s.policies[of.policies] {
			name := nameOf(p)
			if !bound[name] {
				return fmt.Errorf("%s/%s has no binding, without which it does nothing: put its %sBinding into the same file", of.kind, name, of.kind)
			}
			delete(bound, name)
			s.Names = append(s.Names, of.kind+"/"+name)
			if !aboutPods(p) {
				s.notes = append(s.notes, fmt.Sprintf("%s/%s does not match the creation of Pods, and is asked nothing here: what it does to other objects, Deployments among them, is not previewed.", of.kind, name))
			}
		}
		for name := range bound {
			return fmt.Errorf("a %sBinding names the policy %q, which is not in the file: put it there, too, as it would be", of.kind, name)
		}
	}
	if len(s.Names) == 0 {
		return fmt.Errorf("no admission policy: give MutatingAdmissionPolicies or ValidatingAdmissionPolicies, with their bindings")
	}
	return nil
}

// aboutPods reports whether a policy may be asked about the creation of a Pod.
func aboutPods(policy runtime.Object) bool {
	var match *admissionregistrationv1.MatchResources
	switch p := policy.(type) {
	case *admissionregistrationv1.MutatingAdmissionPolicy:
		match = p.Spec.MatchConstraints
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		match = p.Spec.MatchConstraints
	}
	return match == nil || slices.ContainsFunc(match.ResourceRules, func(r admissionregistrationv1.NamedRuleWithOperations) bool {
		return injection.CoversPods(r.RuleWithOperations)
	})
}

func policyOf(binding runtime.Object) string {
	switch b := binding.(type) {
	case *admissionregistrationv1.MutatingAdmissionPolicyBinding:
		return b.Spec.PolicyName
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		return b.Spec.PolicyName
	}
	return ""
}

// paramKinds are those that the policies want parameters of.
func (s *Set) paramKinds() []schema.GroupVersionKind {
	var wanted []schema.GroupVersionKind
	for _, plural := range []string{mutatingPolicies, validatingPolicies} {
		for _, p := range s.policies[plural] {
			var kind *admissionregistrationv1.ParamKind
			switch p := p.(type) {
			case *admissionregistrationv1.MutatingAdmissionPolicy:
				kind = p.Spec.ParamKind
			case *admissionregistrationv1.ValidatingAdmissionPolicy:
				kind = p.Spec.ParamKind
			}
			if kind != nil {
				wanted = append(wanted, schema.FromAPIVersionAndKind(kind.APIVersion, kind.Kind))
			}
		}
	}
	slices.SortFunc(wanted, func(a, b schema.GroupVersionKind) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(wanted)
}

// has reports whether there is something of a kind of policies.
func (s *Set) has(plural string) bool { return len(s.policies[plural]) > 0 }
