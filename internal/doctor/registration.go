package doctor

import (
	"cmp"
	"context"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
)

// slowTimeout is the longest, in seconds, that a stamper which is down should
// hold up the creation of a Pod.
const slowTimeout = 5

const applyAgain = "install it again, as it was: helm upgrade, kubectl apply -k, or make deploy"

func (e *examiner) webhook(context.Context) {
	var own labels.Set
	if e.installed.namespace.err == nil {
		own = e.installed.namespace.value.Labels
	}
	e.add(judgeWebhook(e.installed.configuration, withName(own, e.home()))...)
}

// stampWebhook is our webhook in its configuration; nil if it is not in it.
func stampWebhook(configuration *admissionregistrationv1.MutatingWebhookConfiguration) *admissionregistrationv1.MutatingWebhook {
	at := slices.IndexFunc(configuration.Webhooks, func(w admissionregistrationv1.MutatingWebhook) bool { return w.Name == webhookName })
	if at < 0 {
		return nil
	}
	return &configuration.Webhooks[at]
}

// judgeWebhook compares our webhook with what the product relies on. ownLabels
// are those of our own namespace.
func judgeWebhook(configuration read[admissionregistrationv1.MutatingWebhookConfiguration], ownLabels labels.Set) []Finding {
	t := topic{checkWebhook, configurationName}
	switch {
	case configuration.missing():
		return []Finding{t.wrong(applyAgain, "does not exist: new Pods are not stamped")}
	case configuration.err != nil:
		return []Finding{t.unread(configuration.err)}
	}
	w := stampWebhook(configuration.value)
	if w == nil {
		return []Finding{t.wrong(applyAgain, "holds no webhook %s: new Pods are not stamped", webhookName)}
	}
	t.subject += "/" + w.Name
	problems := slices.Concat(judgeRules(t, w), judgeFailure(t, w), judgeSelector(t, w, ownLabels))
	if w.ReinvocationPolicy == nil || *w.ReinvocationPolicy != admissionregistrationv1.IfNeededReinvocationPolicy {
		problems = append(problems, t.warning(applyAgain, "is not asked again after a later webhook has changed a Pod: reinvocationPolicy is not IfNeeded"))
	}
	return t.orOK(problems, "is asked for new Pods, and again after later changes; fails open after %d s; leaves out kube-system and its own namespace", seconds(w))
}

func judgeRules(t topic, w *admissionregistrationv1.MutatingWebhook) []Finding {
	if !slices.ContainsFunc(w.Rules, injection.CoversPods) {
		return []Finding{t.wrong(applyAgain, "its rules do not cover the creation of Pods: new Pods are not stamped")}
	}
	for _, rule := range w.Rules {
		if !slices.Equal(rule.Resources, []string{"pods"}) ||
			!slices.Equal(rule.Operations, []admissionregistrationv1.OperationType{admissionregistrationv1.Create}) {
			return []Finding{t.warning(applyAgain, "is asked about more than the creation of Pods (%v of %v): each such request waits for it in vain", rule.Operations, rule.Resources)}
		}
	}
	return nil
}

func judgeFailure(t topic, w *admissionregistrationv1.MutatingWebhook) []Finding {
	var problems []Finding
	if w.FailurePolicy == nil || *w.FailurePolicy != admissionregistrationv1.Ignore {
		problems = append(problems, t.wrong(applyAgain, "fails closed: a stamper that is down keeps every Pod from being created; failurePolicy must be Ignore"))
	}
	if s := seconds(w); s > slowTimeout {
		problems = append(problems, t.warning(applyAgain, "a stamper that is down holds up the creation of each Pod for %d s (timeoutSeconds)", s))
	}
	return problems
}

// seconds is the webhook's timeout; 10 is the API's default.
func seconds(w *admissionregistrationv1.MutatingWebhook) int32 {
	if w.TimeoutSeconds == nil {
		return 10
	}
	return *w.TimeoutSeconds
}

// judgeSelector: a webhook that is asked about the Pods that serve it, or about
// those that the cluster itself consists of, delays them when it is down.
func judgeSelector(t topic, w *admissionregistrationv1.MutatingWebhook, ownLabels labels.Set) []Finding {
	var problems []Finding
	for _, left := range []labels.Set{withName(nil, metav1.NamespaceSystem), withName(ownLabels, cmp.Or(ownLabels[corev1.LabelMetadataName], namespace))} {
		if selects(w.NamespaceSelector, left) {
			problems = append(problems, t.wrong(applyAgain, "is asked about Pods in %s, which its namespaceSelector must leave out", left[corev1.LabelMetadataName]))
		}
	}
	return problems
}

// selects reports whether a selector of webhooks or policies selects the labels;
// none selects everything.
func selects(selector *metav1.LabelSelector, set labels.Set) bool {
	if selector == nil {
		return true
	}
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(set)
}
