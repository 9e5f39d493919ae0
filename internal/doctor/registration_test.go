package doctor

import (
	"os"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// manifest reads an object of manifests/base; the first one of its file.
func manifest[T any](t *testing.T, file string) *T {
	t.Helper()
	text, err := os.ReadFile("../../manifests/base/" + file)
	if err != nil {
		t.Fatal(err)
	}
	object := new(T)
	if err := yaml.Unmarshal(text, object); err != nil {
		t.Fatal(err)
	}
	return object
}

func TestWebhook(t *testing.T) {
	const file = "webhook-configuration.yaml"
	type webhook = admissionregistrationv1.MutatingWebhook
	for _, tt := range []struct {
		name   string
		change func(*webhook)
		own    labels.Set
		want   []expected
	}{
		{"as in the manifests", func(*webhook) {}, nil, []expected{{state: OK, message: "fails open after 2 s"}}},
		{"no Pods", func(w *webhook) { w.Rules[0].Resources = []string{"deployments"} }, nil, []expected{{state: Wrong, message: "do not cover the creation of Pods"}}},
		{"more than Pods", func(w *webhook) { w.Rules[0].Resources = []string{"*"} }, nil, []expected{{state: Warning, message: "more than the creation of Pods"}}},
		{"updates, too", func(w *webhook) { w.Rules[0].Operations = append(w.Rules[0].Operations, "UPDATE") }, nil, []expected{{state: Warning, message: "more than the creation of Pods"}}},
		{"fails closed", func(w *webhook) { w.FailurePolicy = new(admissionregistrationv1.Fail) }, nil, []expected{{state: Wrong, message: "fails closed"}}},
		{"slow", func(w *webhook) { w.TimeoutSeconds = new(int32(10)) }, nil, []expected{{state: Warning, message: "for 10 s"}}},
		{"no timeout of its own", func(w *webhook) { w.TimeoutSeconds = nil }, nil, []expected{{state: Warning, message: "for 10 s"}}},
		{"not asked again", func(w *webhook) { w.ReinvocationPolicy = nil }, nil, []expected{{state: Warning, message: "reinvocationPolicy"}}},
		{"selects everything", func(w *webhook) { w.NamespaceSelector = nil }, nil,
			[]expected{{state: Wrong, message: "Pods in kube-system"}, {state: Wrong, message: "Pods in sidecar-drift"}}},
		{"leaves its own namespace out by a label that is not there", func(w *webhook) {
			w.NamespaceSelector.MatchExpressions[0].Values = []string{"kube-system"}
		}, nil, []expected{{state: Wrong, message: "Pods in sidecar-drift"}}},
		{"leaves its own namespace out by a label that is there", func(w *webhook) {
			w.NamespaceSelector.MatchExpressions[0].Values = []string{"kube-system"}
		}, labels.Set{"sidecar-drift.io/stamp": "disabled"}, []expected{{state: OK}}},
		{"another name", func(w *webhook) { w.Name = "other.example.com" }, nil, []expected{{state: Wrong, message: "holds no webhook stamp.sidecar-drift.io"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			configuration := manifest[admissionregistrationv1.MutatingWebhookConfiguration](t, file)
			tt.change(&configuration.Webhooks[0])
			check(t, judgeWebhook(there(configuration), tt.own), tt.want...)
		})
	}
	check(t, judgeWebhook(notThere[admissionregistrationv1.MutatingWebhookConfiguration](), nil), expected{state: Wrong, message: "does not exist", remedy: "make deploy"})
	check(t, judgeWebhook(notAllowed[admissionregistrationv1.MutatingWebhookConfiguration](), nil), expected{state: NotChecked})
}

func TestInstallation(t *testing.T) {
	nothing := func() installation {
		i := installation{policies: map[string]read[admissionregistrationv1.ValidatingAdmissionPolicy]{
			dryRunPolicy: notThere[admissionregistrationv1.ValidatingAdmissionPolicy](), rolloutPolicy: notThere[admissionregistrationv1.ValidatingAdmissionPolicy](),
		}}
		i.namespace, i.configuration = notThere[corev1.Namespace](), notThere[admissionregistrationv1.MutatingWebhookConfiguration]()
		i.rollout = notThere[corev1.ServiceAccount]()
		return i
	}
	with := func(change func(*installation)) Finding {
		i := nothing()
		i.namespace = there(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
		change(&i)
		return judgeInstallation(i)
	}
	check(t, []Finding{
		judgeInstallation(nothing()),
		with(func(*installation) {}),
		with(func(i *installation) { i.rollout = there(&corev1.ServiceAccount{}) }),
		with(func(i *installation) { i.rollout = notAllowed[corev1.ServiceAccount]() }),
		with(func(i *installation) { i.namespace = notAllowed[corev1.Namespace]() }),
		with(func(i *installation) {
			i.namespace = notThere[corev1.Namespace]()
			i.configuration = there(&admissionregistrationv1.MutatingWebhookConfiguration{})
		}),
	},
		expected{NotChecked, "", "audit and rollout work without", "docs/install.md"},
		expected{state: OK, message: "no identity that may roll out"},
		expected{state: OK, message: "with an identity that may roll out"},
		expected{state: OK, message: "cannot be read"},
		expected{state: NotChecked, message: "you may not"},
		expected{Wrong, "", "the namespace is gone", "make undeploy"},
	)
}
