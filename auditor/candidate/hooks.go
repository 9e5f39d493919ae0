package candidate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
)

// hook is a mutating webhook that may be asked about the creation of Pods.
type hook struct {
	configuration, webhook string
	accessor               webhook.WebhookAccessor
	client                 admissionregistrationv1.WebhookClientConfig
	// present is who answers now; nil: cannot be reached, for the reason unreached.
	present   server
	unreached error
	candidate server // nil: present
}

// name is CONFIGURATION/WEBHOOK.
func (h *hook) name() string { return h.configuration + "/" + h.webhook }

// ownConfiguration is the stamper's, which adds nothing but annotations of ours.
const ownConfiguration = "zz-sidecar-drift"

func (h *hook) ours() bool { return h.configuration == ownConfiguration }

// reinvoked reports whether it is asked again if something has changed after it.
func (h *hook) reinvoked() bool {
	m, _ := h.accessor.GetMutatingWebhook()
	return m.ReinvocationPolicy != nil && *m.ReinvocationPolicy == admissionregistrationv1.IfNeededReinvocationPolicy
}

// failsOpen reports whether Pods are created without it where it does not answer.
func (h *hook) failsOpen() bool {
	policy := h.accessor.GetFailurePolicy()
	return policy != nil && *policy == admissionregistrationv1.Ignore
}

// readHooks reads the mutating webhooks that are asked about Pods, in the order of the API
// server: configurations by name.
func readHooks(ctx context.Context, client rest.Interface) ([]*hook, error) {
	const plural = "mutatingwebhookconfigurations"
	raw, err := client.Get().AbsPath("/apis/admissionregistration.k8s.io/v1/" + plural).Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", plural, err)
	}
	var configurations admissionregistrationv1.MutatingWebhookConfigurationList
	if err := json.Unmarshal(raw, &configurations); err != nil {
		return nil, fmt.Errorf("list %s: %w", plural, err)
	}
	slices.SortStableFunc(configurations.Items, func(a, b admissionregistrationv1.MutatingWebhookConfiguration) int {
		return cmp.Compare(a.Name, b.Name)
	})
	var hooks []*hook
	for _, c := range configurations.Items {
		for i := range c.Webhooks {
			w := &c.Webhooks[i]
			if !slices.ContainsFunc(w.Rules, injection.CoversPods) {
				continue
			}
			uid := fmt.Sprintf("%s/%s/%d", c.Name, w.Name, i)
			hooks = append(hooks, &hook{
				configuration: c.Name, webhook: w.Name, client: w.ClientConfig,
				accessor: webhook.NewMutatingWebhookAccessor(uid, c.Name, w),
			})
		}
	}
	return hooks, nil
}

// named are the webhooks that a name means: CONFIGURATION/WEBHOOK, or a part of it. Several
// are meant where all of them are of one configuration, as Istio has one for each way to ask
// for injection.
func named(hooks []*hook, name string) ([]*hook, error) {
	var found []*hook
	several := false
	for _, h := range hooks {
		if h.name() == name {
			return []*hook{h}, nil
		}
		if strings.Contains(h.name(), name) {
			several = several || len(found) > 0 && found[0].configuration != h.configuration
			found = append(found, h)
		}
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("no mutating webhook that is asked about Pods has %q in its name; there are %s", name, names(hooks))
	case several:
		return nil, fmt.Errorf("%q is in the names of webhooks of several configurations: %s; give more of the name", name, names(found))
	}
	return found, nil
}

func names(hooks []*hook) string {
	all := make([]string, len(hooks))
	for i, h := range hooks {
		all[i] = h.name()
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// asked reports whether the API server asks the webhook about a Pod, as it is then. An error
// says that nobody knows.
func (h *hook) asked(ctx context.Context, compiler cel.ConditionCompiler, namespace labels.Set, pod object, as user.Info) (bool, error) {
	inNamespace, err := selects(h.accessor.GetNamespaceSelector(), namespace)
	if err != nil || !inNamespace {
		return false, err
	}
	attr := attributes(pod, as)
	selected, err := selects(h.accessor.GetObjectSelector(), labelsOf(pod))
	if err != nil || !selected {
		return false, err
	}
	conditions := h.accessor.GetMatchConditions()
	if len(conditions) == 0 {
		return true, nil
	}
	for _, condition := range conditions {
		if strings.Contains(condition.Expression, "authorizer") {
			return false, fmt.Errorf("its match condition %s asks what who creates the Pod may do", condition.Name)
		}
	}
	result := h.accessor.GetCompiledMatcher(compiler).Match(ctx, attr, nil, nil)
	if result.Error != nil {
		return false, fmt.Errorf("its match conditions: %w", result.Error)
	}
	return result.Matches, nil
}

func selects(selector *metav1.LabelSelector, set labels.Set) (bool, error) {
	if selector == nil {
		return true, nil
	}
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(set), err
}

func labelsOf(pod object) labels.Set {
	set := labels.Set{}
	for key, value := range child(child(pod, "metadata"), "labels") {
		set[key], _ = value.(string)
	}
	return set
}
