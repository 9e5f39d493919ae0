package policy

import (
	"errors"
	"io"
	"os"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// policy is one of the manifests, compiled.
type policy struct {
	conditions  matchconditions.Matcher
	validations []admissionregistrationv1.Validation
	evaluator   cel.ConditionEvaluator
}

// load compiles as the API server does for a policy that it has stored.
func load(t testing.TB, file string) policy {
	t.Helper()
	opened, err := os.Open("../../manifests/base/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	var stored admissionregistrationv1.ValidatingAdmissionPolicy
	if err := yaml.NewYAMLOrJSONDecoder(opened, 4096).Decode(&stored); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		t.Fatal(err)
	}
	declared := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	var variables []cel.NamedExpressionAccessor
	for _, v := range stored.Spec.Variables {
		variables = append(variables, &validating.Variable{Name: v.Name, Expression: v.Expression})
	}
	compiler.CompileAndStoreVariables(variables, declared, environment.StoredExpressions)
	var conditions, validations []cel.ExpressionAccessor
	for i := range stored.Spec.MatchConditions {
		conditions = append(conditions, (*matchconditions.MatchCondition)(&stored.Spec.MatchConditions[i]))
	}
	for _, v := range stored.Spec.Validations {
		validations = append(validations, &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason})
	}
	p := policy{validations: stored.Spec.Validations, evaluator: compiler.CompileCondition(validations, declared, environment.StoredExpressions)}
	if failed := p.evaluator.CompilationErrors(); len(failed) > 0 {
		t.Fatal(errors.Join(failed...))
	}
	p.conditions = matchconditions.NewMatcher(compiler.CompileCondition(conditions, declared, environment.StoredExpressions),
		stored.Spec.FailurePolicy, "policy", "validate", stored.Name)
	return p
}

// request is what admission is asked.
type request struct {
	resource    schema.GroupVersionResource
	subresource string
	kind        schema.GroupVersionKind
	operation   admission.Operation
	options     runtime.Object
	dryRun      bool
	object, old map[string]any
	user        user.DefaultInfo
}

func (r request) attributes() *admission.VersionedAttributes {
	var object, old runtime.Object
	if r.object != nil {
		object = &unstructured.Unstructured{Object: r.object}
	}
	if r.old != nil {
		old = &unstructured.Unstructured{Object: r.old}
	}
	return &admission.VersionedAttributes{
		Attributes:      admission.NewAttributesRecord(object, old, r.kind, "shop", "web", r.resource, r.subresource, r.operation, r.options, r.dryRun, &r.user),
		VersionedObject: admission.NewLazyObject(object), VersionedOldObject: admission.NewLazyObject(old), VersionedKind: r.kind,
	}
}

// matches says whether the policy is about the request at all.
func (p policy) matches(t *testing.T, r request) bool {
	t.Helper()
	result := p.conditions.Match(t.Context(), r.attributes(), nil, nil)
	if result.Error != nil {
		t.Fatal(result.Error)
	}
	return result.Matches
}

// verdict is what a policy says of a request.
type verdict struct {
	message string // of the first validation that refuses; empty: allowed
	broken  error  // an expression that could not be evaluated
	cost    int64  // of all expressions, of celconfig.RuntimeCELCostBudget
}

func (p policy) judge(t testing.TB, r request) verdict {
	t.Helper()
	attributes := r.attributes()
	asked := cel.CreateAdmissionRequest(attributes.Attributes, metav1.GroupVersionResource(r.resource), metav1.GroupVersionKind(r.kind))
	results, left, err := p.evaluator.ForInput(t.Context(), attributes, asked, cel.OptionalVariableBindings{}, nil, celconfig.RuntimeCELCostBudget)
	if err != nil {
		return verdict{broken: err}
	}
	v := verdict{cost: celconfig.RuntimeCELCostBudget - left}
	for i, result := range results {
		switch {
		case result.Error != nil:
			v.broken = errors.Join(v.broken, result.Error)
		case result.EvalResult.Value() != true && v.message == "":
			v.message = p.validations[i].Message
		}
	}
	return v
}
