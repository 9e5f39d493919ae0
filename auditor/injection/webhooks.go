package injection

import (
	"encoding/json"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// definition is a webhook as a mutating or validating webhook configuration
// has it.
type definition struct {
	Name              string                                       `json:"name"`
	Rules             []admissionregistrationv1.RuleWithOperations `json:"rules"`
	NamespaceSelector *metav1.LabelSelector                        `json:"namespaceSelector"`
	ObjectSelector    *metav1.LabelSelector                        `json:"objectSelector"`
	MatchConditions   []expression                                 `json:"matchConditions"`

	ClientConfig       admissionregistrationv1.WebhookClientConfig `json:"clientConfig"`
	FailurePolicy      string                                      `json:"failurePolicy"`
	ReinvocationPolicy string                                      `json:"reinvocationPolicy"`
	SideEffects        string                                      `json:"sideEffects"`
}

// definitionsNamed returns the webhooks of the name, which is unique within a
// configuration only.
func definitionsNamed(name string, list []byte) ([]definition, error) {
	all, err := allDefinitions(list)
	return slices.DeleteFunc(all, func(d definition) bool { return d.Name != name }), err
}

// allDefinitions reads a list of webhook configurations, of either kind.
func allDefinitions(list []byte) ([]definition, error) {
	var configurations struct {
		Items []struct {
			Webhooks []definition `json:"webhooks"`
		} `json:"items"`
	}
	if err := json.Unmarshal(list, &configurations); err != nil {
		return nil, err
	}
	var found []definition
	for _, c := range configurations.Items {
		found = append(found, c.Webhooks...)
	}
	return found, nil
}

// mustBeCalled reports whether the API server calls the webhook for every
// creation of a Pod with these labels. It is false where only CEL, which is not
// evaluated here, could tell.
func (d definition) mustBeCalled(namespace, pod labels.Set) bool {
	return len(d.MatchConditions) == 0 &&
		slices.ContainsFunc(d.Rules, CoversPods) &&
		matches(d.NamespaceSelector, namespace) &&
		matches(d.ObjectSelector, pod)
}

// CoversPods reports whether the rule covers the creation of Pods.
func CoversPods(r admissionregistrationv1.RuleWithOperations) bool {
	has := func(list []string, values ...string) bool {
		return slices.ContainsFunc(values, func(v string) bool { return slices.Contains(list, v) })
	}
	return (slices.Contains(r.Operations, admissionregistrationv1.Create) ||
		slices.Contains(r.Operations, admissionregistrationv1.OperationAll)) &&
		has(r.APIGroups, "", "*") && has(r.APIVersions, "v1", "*") &&
		has(r.Resources, "pods", "*", "*/*") &&
		(r.Scope == nil || *r.Scope != admissionregistrationv1.ClusterScope)
}

func matches(selector *metav1.LabelSelector, set labels.Set) bool {
	if selector == nil {
		return true
	}
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(set)
}
