package injection

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
)

// Match says whether admission asks for a webhook or policy.
type Match string

// Matches.
const (
	Matches    Match = "asked"
	MayMatch   Match = "maybe asked" // CEL decides, which is not evaluated here
	MatchesNot Match = "not asked"
)

// Kinds of steps, in the order in which they are asked.
const (
	MutatingPolicy    = "MutatingAdmissionPolicy"
	MutatingWebhook   = "MutatingWebhook"
	ValidatingPolicy  = "ValidatingAdmissionPolicy"
	ValidatingWebhook = "ValidatingWebhook"
)

// Step is a webhook or policy that the creation of Pods may pass.
type Step struct {
	Kind string
	// Name is CONFIGURATION/WEBHOOK, or the policy's name.
	Name  string
	Match Match
	// Why explains a match that is not certain.
	Why string
	// LooksAtAsker: it is decided by who asks, which may be another one for an audit
	// than for the Pod's own controller.
	LooksAtAsker bool
	// Asks says what is known of a webhook that looks at who asks in its own code;
	// empty of others.
	Asks string
	// Policies are failurePolicy and reinvocationPolicy, as far as set.
	Policies []string
	// SideEffects is what a webhook declares; empty for a policy.
	SideEffects string

	// Version is another one whenever its definition is.
	Version string

	// Objects are those that define it, as KIND/NAME: a configuration; a policy and its
	// bindings.
	Objects []string

	// Down is why a webhook cannot answer, where somebody looked; see Health.
	Down string

	client *admissionregistrationv1.WebhookClientConfig // of a webhook
	byName *asker                                       // known to look at who asks
}

// Changing returns the steps that change Pods, or may: mutating webhooks and policies that
// are, or may be, asked.
func Changing(steps []Step) []Step {
	var changing []Step
	for _, s := range steps {
		if s.mutates() && s.Match != MatchesNot {
			changing = append(changing, s)
		}
	}
	return changing
}

func (s Step) mutates() bool { return s.Kind == MutatingWebhook || s.Kind == MutatingPolicy }

// ownWebhook is the configuration of the stamper, without which a Pod is injected all
// the same.
const ownWebhook = "zz-sidecar-drift/"

// Injects reports whether it is a webhook that changes Pods, other than our own.
func (s Step) Injects() bool {
	return s.Kind == MutatingWebhook && !strings.HasPrefix(s.Name, ownWebhook)
}

// versionOf tells the definitions apart that an object has had.
func versionOf(metadata metav1.ObjectMeta) string {
	return fmt.Sprintf("%s/%d", metadata.UID, metadata.Generation)
}

// Admission returns what the creation of the Pod, given as JSON, passes in the
// namespace, in the order of the API server.
func Admission(ctx context.Context, client rest.Interface, namespace string, pod []byte) ([]Step, error) {
	chain, err := ReadChain(ctx, client)
	if err != nil {
		return nil, err
	}
	return chain.Steps(ctx, namespace, pod)
}

// Chain is the webhooks and policies of a cluster. It may be used concurrently.
type Chain struct {
	client     rest.Interface
	namespaces *Namespaces
	links      []link
}

type link struct {
	step Step
	// forPods: its rules, and a policy's bindings, let it be asked about Pods
	// of some namespace.
	forPods bool
	match   func(namespace, pod labels.Set) (Match, string)
}

// ReadChain reads all webhook configurations and policies.
func ReadChain(ctx context.Context, client rest.Interface) (*Chain, error) {
	c := &Chain{client: client, namespaces: NewNamespaces(client)}
	for _, read := range []func(context.Context) error{
		func(ctx context.Context) error {
			return c.policies(ctx, MutatingPolicy, "mutatingadmissionpolicies", "v1", "v1beta1")
		},
		func(ctx context.Context) error {
			return c.webhooks(ctx, MutatingWebhook, "mutatingwebhookconfigurations")
		},
		func(ctx context.Context) error {
			return c.policies(ctx, ValidatingPolicy, "validatingadmissionpolicies", "v1")
		},
		func(ctx context.Context) error {
			return c.webhooks(ctx, ValidatingWebhook, "validatingwebhookconfigurations")
		},
	} {
		if err := read(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Steps returns what the creation of a Pod like the given JSON passes in the
// namespace, in the order of the API server: policies before webhooks, mutating
// ones before validating ones, each kind by name. The latter is so in practice,
// and no promise of the API.
func (c *Chain) Steps(ctx context.Context, namespace string, pod []byte) ([]Step, error) {
	onPod, err := labelsOf(pod)
	if err != nil {
		return nil, fmt.Errorf("Pod: %w", err)
	}
	onNamespace, err := c.namespaces.labels(ctx, namespace)
	if err != nil {
		return nil, err
	}
	steps := make([]Step, len(c.links))
	for i, l := range c.links {
		steps[i] = l.step
		steps[i].Match, steps[i].Why = l.match(onNamespace, onPod)
	}
	return steps, nil
}

// Namespace returns what a namespace says of itself, as it was when that was first
// needed, or since it was last forgotten.
func (c *Chain) Namespace(ctx context.Context, name string) (NamespaceMetadata, error) {
	return c.namespaces.Get(ctx, name)
}

// ForgetNamespace has a namespace read again that has changed.
func (c *Chain) ForgetNamespace(name string) { c.namespaces.Forget(name) }

// ForPods returns the steps that the creation of Pods may pass in some namespace,
// whatever their selectors say, in the order of the API server. Match is not set.
func (c *Chain) ForPods() []Step {
	var steps []Step
	for _, l := range c.links {
		if l.forPods {
			steps = append(steps, l.step)
		}
	}
	return steps
}

// list reads a list in the first of the versions that the API server has;
// nothing if it has none of them.
func (c *Chain) list(ctx context.Context, plural string, versions ...string) ([]byte, error) {
	for _, version := range versions {
		raw, err := c.client.Get().AbsPath("/apis/admissionregistration.k8s.io/" + version + "/" + plural).Do(ctx).Raw()
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", plural, err)
		}
		return raw, nil
	}
	return []byte(`{}`), nil
}

func (c *Chain) webhooks(ctx context.Context, kind, plural string) error {
	list, err := c.list(ctx, plural, "v1")
	if err != nil {
		return err
	}
	var configurations struct {
		Items []struct {
			Metadata metav1.ObjectMeta `json:"metadata"`
			Webhooks []definition      `json:"webhooks"`
		} `json:"items"`
	}
	if err := json.Unmarshal(list, &configurations); err != nil {
		return fmt.Errorf("list %s: %w", plural, err)
	}
	for _, configuration := range configurations.Items { // sorted by name, as etcd keeps them
		for _, w := range configuration.Webhooks {
			step := Step{
				Kind: kind, Name: configuration.Metadata.Name + "/" + w.Name,
				SideEffects: w.SideEffects, Version: versionOf(configuration.Metadata), client: &w.ClientConfig, byName: askersByName[w.Name],
				Objects: []string{kind + "Configuration/" + configuration.Metadata.Name},
			}
			if step.byName != nil {
				step.Asks = step.byName.says
			}
			step.LooksAtAsker = step.byName != nil || decider{MatchConditions: w.MatchConditions}.looksAtAsker()
			for _, policy := range []string{w.FailurePolicy, w.ReinvocationPolicy} {
				if policy != "" {
					step.Policies = append(step.Policies, policy)
				}
			}
			constraints := constraints{w.Rules, w.NamespaceSelector, w.ObjectSelector, len(w.MatchConditions)}
			c.links = append(c.links, link{step, constraints.forPods(), constraints.match})
		}
	}
	return nil
}

// constraints are what decides, CEL apart, whether something is asked.
type constraints struct {
	rules                             []admissionregistrationv1.RuleWithOperations
	namespaceSelector, objectSelector *metav1.LabelSelector
	conditions                        int
}

func (c constraints) forPods() bool { return slices.ContainsFunc(c.rules, CoversPods) }

func (c constraints) match(namespace, pod labels.Set) (Match, string) {
	switch {
	case !c.forPods():
		return MatchesNot, "its rules do not cover the creation of Pods"
	case !matches(c.namespaceSelector, namespace):
		return MatchesNot, "its namespaceSelector does not select the namespace"
	case !matches(c.objectSelector, pod):
		return MatchesNot, "its objectSelector does not select the Pod"
	case c.conditions > 0:
		return MayMatch, "its match conditions (CEL) decide"
	}
	return Matches, ""
}

// policy is a MutatingAdmissionPolicy or ValidatingAdmissionPolicy.
type policy struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     json.RawMessage   `json:"spec"`
}

type policySpec struct {
	decider
	FailurePolicy    string `json:"failurePolicy"`
	MatchConstraints struct {
		ResourceRules     []admissionregistrationv1.RuleWithOperations `json:"resourceRules"`
		NamespaceSelector *metav1.LabelSelector                        `json:"namespaceSelector"`
		ObjectSelector    *metav1.LabelSelector                        `json:"objectSelector"`
	} `json:"matchConstraints"`
}

type binding struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		PolicyName     string `json:"policyName"`
		MatchResources *struct {
			NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector"`
			ObjectSelector    *metav1.LabelSelector `json:"objectSelector"`
		} `json:"matchResources"`
	} `json:"spec"`
}

func (c *Chain) policies(ctx context.Context, kind, plural string, versions ...string) error {
	list, err := c.list(ctx, plural, versions...)
	if err != nil {
		return err
	}
	bindings, err := c.list(ctx, strings.TrimSuffix(plural, "ies")+"ybindings", versions...)
	if err != nil {
		return err
	}
	var all struct {
		Items []policy `json:"items"`
	}
	var bound struct {
		Items []binding `json:"items"`
	}
	if err := json.Unmarshal(list, &all); err != nil {
		return fmt.Errorf("list %s: %w", plural, err)
	}
	if err := json.Unmarshal(bindings, &bound); err != nil {
		return fmt.Errorf("list the bindings of %s: %w", plural, err)
	}
	for _, p := range all.Items {
		var spec policySpec
		if err := json.Unmarshal(p.Spec, &spec); err != nil {
			return fmt.Errorf("%s %s: %w", kind, p.Metadata.Name, err)
		}
		step := Step{Kind: kind, Name: p.Metadata.Name, LooksAtAsker: spec.looksAtAsker(), Version: versionOf(p.Metadata)}
		if spec.FailurePolicy != "" {
			step.Policies = []string{spec.FailurePolicy}
		}
		step.Objects = []string{kind + "/" + p.Metadata.Name}
		for _, b := range bound.Items {
			if b.Spec.PolicyName == p.Metadata.Name {
				step.Objects = append(step.Objects, kind+"Binding/"+b.Metadata.Name)
			}
		}
		m := spec.MatchConstraints
		constraints := constraints{m.ResourceRules, m.NamespaceSelector, m.ObjectSelector, len(spec.MatchConditions)}
		forPods := constraints.forPods() && slices.ContainsFunc(bound.Items, func(b binding) bool { return b.Spec.PolicyName == p.Metadata.Name })
		c.links = append(c.links, link{step, forPods, func(namespace, pod labels.Set) (Match, string) {
			match, why := constraints.match(namespace, pod)
			if match != MatchesNot && !slices.ContainsFunc(bound.Items, func(b binding) bool { return b.binds(p.Metadata.Name, namespace, pod) }) {
				return MatchesNot, "no binding selects the namespace and the Pod"
			}
			return match, why
		}})
	}
	return nil
}

func (b binding) binds(policy string, namespace, pod labels.Set) bool {
	resources := b.Spec.MatchResources
	return b.Spec.PolicyName == policy &&
		(resources == nil || matches(resources.NamespaceSelector, namespace) && matches(resources.ObjectSelector, pod))
}
