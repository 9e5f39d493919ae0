package inputs

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
)

// configuration is one whose webhook is about Pods, or about something else.
func configuration(name, webhook, resource string, client admissionregistrationv1.WebhookClientConfig) *admissionregistrationv1.MutatingWebhookConfiguration {
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: webhook, ClientConfig: client,
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"inject": "yes"}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{"CREATE"},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource}},
			}},
		}},
	}
}

func inService(namespace string) admissionregistrationv1.WebhookClientConfig {
	return admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: namespace, Name: "injector"}}
}

func atURL(url string) admissionregistrationv1.WebhookClientConfig {
	return admissionregistrationv1.WebhookClientConfig{URL: &url}
}

func TestWhereInjectorsAre(t *testing.T) {
	byHelm := configuration("external", "sidecar-injector.istio.io", "pods", atURL("https://istiod.example.com/inject"))
	byHelm.Annotations, byHelm.Labels = map[string]string{helmNamespace: "istio-system"}, map[string]string{revisionLabel: "1-29"}
	for name, test := range map[string]struct {
		of                           *admissionregistrationv1.MutatingWebhookConfiguration
		is, known                    bool
		namespace, service, revision string
	}{
		"a Service":            {configuration("a", "own.example.com", "pods", inService("own")), true, false, "own", "injector", ""},
		"a URL of a Service":   {configuration("a", "own.example.com", "pods", atURL("https://istiod.istio-system.svc:15017/inject")), true, false, "istio-system", "istiod", ""},
		"a URL":                {configuration("a", "own.example.com", "pods", atURL("https://192.0.2.1/inject")), true, false, "", "", ""},
		"a URL, by Helm":       {byHelm, true, true, "istio-system", "", "1-29"},
		"about something else": {configuration("a", "own.example.com", "services", inService("own")), false, false, "own", "injector", ""},
		"ours":                 {configuration(ours, "stamp.sidecar-drift.io", "pods", inService("sidecar-drift")), false, false, "sidecar-drift", "injector", ""},
	} {
		i, is := injectorOf(test.of)
		if is != test.is || is && (i.isKnown != test.known || i.namespace != test.namespace || i.service != test.service || i.revision != test.revision) {
			t.Errorf("%s: %t %+v", name, is, i)
		}
	}
	two := configuration("two", "own.example.com", "pods", inService("own"))
	two.Webhooks = append(two.Webhooks, configuration("two", "other.example.com", "pods", inService("elsewhere")).Webhooks[0], two.Webhooks[0])
	if i, _ := injectorOf(two); i.namespace != "own" || !slices.Equal(i.others, []string{"elsewhere/injector"}) {
		t.Errorf("of two Services: %+v", i)
	}
	list := &admissionregistrationv1.MutatingWebhookConfigurationList{Items: []admissionregistrationv1.MutatingWebhookConfiguration{
		*byHelm, *configuration("b", "x", "pods", inService("b")), *configuration("c", "x", "pods", inService("b")), *configuration("d", "x", "services", inService("d")), *configuration("e", "x", "pods", atURL("https://192.0.2.1")),
	}}
	if diff := cmp.Diff([]string{"b", "istio-system"}, Namespaces(list)); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
}

// Which injectors may make a change follows from who is told, from the names of containers,
// and from the namespaces that are selected, unless what was injected goes.
func TestMakers(t *testing.T) {
	istio, _ := injectorOf(configuration("istio", "sidecar-injector.istio.io", "pods", inService("istio-system")))
	dapr, _ := injectorOf(configuration("dapr", "sidecar-injector.dapr.io", "pods", inService("dapr-system")))
	own, _ := injectorOf(configuration("own", "own.example.com", "pods", inService("own")))
	elsewhere, _ := injectorOf(configuration("elsewhere", "own.example.com", "pods", inService("own")))
	elsewhere.selectors = nil
	r := &Reader{injectors: []injector{istio, dapr, own, elsewhere}, labels: map[string]labelsOf{"shop": {"inject": "yes"}, "plain": {}}}
	for name, test := range map[string]struct {
		change  cause.Change
		webhook string
		want    []string
		sees    []string
		beside  []string
	}{
		"told":                     {cause.Change{Parts: []string{"container/istio-proxy"}}, "dapr/x", []string{"dapr"}, nil, []string{"own", "elsewhere"}},
		"by a container":           {cause.Change{Parts: []string{"container/istio-proxy"}, Namespaces: []string{"shop"}}, "", []string{"istio"}, nil, []string{"own"}},
		"whom nobody rewrites":     {cause.Change{Parts: []string{"container/istio-proxy"}, Namespaces: []string{"shop"}}, "", []string{"istio"}, []string{"istio/x", "dapr/x"}, nil},
		"another container":        {cause.Change{Parts: []string{"container/agent"}, Namespaces: []string{"shop"}}, "", []string{"istio", "dapr", "own"}, nil, nil},
		"not that of a known one":  {cause.Change{Parts: []string{"pod"}, Namespaces: []string{"shop"}}, "", []string{"istio", "dapr", "own"}, nil, nil},
		"what goes":                {cause.Change{Parts: []string{"container/agent"}, Kind: removed, Namespaces: []string{"shop"}}, "", []string{"istio", "dapr", "own", "elsewhere"}, nil, nil},
		"none selects it any more": {cause.Change{Parts: []string{"container/daprd"}, Namespaces: []string{"plain"}}, "", []string{"dapr"}, nil, nil},
		"a policy's alone":         {cause.Change{Parts: []string{"container/agent"}, Namespaces: []string{"shop"}}, "", []string{"a-policy"}, []string{"a-policy"}, nil},
		"whom others do not see":   {cause.Change{Parts: []string{"container/agent"}, Namespaces: []string{"shop"}}, "", []string{"own"}, []string{"own/x", "a-policy"}, nil},
	} {
		makers, beside := r.Makers(test.change, test.webhook, test.sees)
		if diff := cmp.Diff(test.want, makers); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(test.beside, beside); diff != "" {
			t.Errorf("%s, beside (-want +got):\n%s", name, diff)
		}
	}
}

func TestWhatRBACLetsRead(t *testing.T) {
	var r rules
	take := func(namespace string, of ...rbacv1.PolicyRule) {
		if err := r.take(of, namespace, nil); err != nil {
			t.Fatal(err)
		}
	}
	rule := func(verb, group, resource string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names}
	}
	take("own", rule("get", "", "configmaps", "template"), rule("update", "", "secrets"), rule("watch", "own.example.com", "agents"), rule("list", "", "pods"), rule("get", "own.example.com", "agents/status"))
	take("shop", rule("list", "", "configmaps"))
	take("", rule("*", "other.example.com", "*"))
	for name, want := range map[[2]string]string{
		{"own", "template"}: "reads", {"own", "other"}: "", {"shop", "any"}: "may", {"pay", "any"}: "",
	} {
		link, may := r.configMap(name[0], name[1])
		got := map[bool]string{false: "", true: "may"}[may]
		if link == cause.Reads {
			got = "reads"
		}
		if got != want {
			t.Errorf("%v: %q, want %q", name, got, want)
		}
	}
	if r.secrets {
		t.Error("who may update Secrets is taken to read them")
	}
	l := &look{wants: map[want][]claim{}, Reader: &Reader{discovery: func() ([]served, error) {
		return []served{{schema.GroupResource{Group: "other.example.com", Resource: "things"}}, {schema.GroupResource{Group: "apps", Resource: "deployments"}}}, nil
	}}}
	l.readsByRules(injector{configuration: "own", namespace: "own"}, r)
	var wanted []string
	for w := range l.wants {
		wanted = append(wanted, w.String()+" in "+w.namespace)
	}
	slices.Sort(wanted)
	if diff := cmp.Diff([]string{"agents.own.example.com in own", "configmaps in shop", "things.other.example.com in "}, wanted); diff != "" {
		t.Errorf("lists (-want +got):\n%s", diff)
	}
	l.Reader.discovery = func() ([]served, error) {
		return nil, &discovery.ErrGroupDiscoveryFailed{Groups: map[schema.GroupVersion]error{{Group: "other.example.com", Version: "v1"}: errors.New("away"), {Group: "metrics.k8s.io", Version: "v1"}: errors.New("away")}}
	}
	if l.readsByRules(injector{configuration: "own", namespace: "own"}, r); len(l.seen.Unseen) != 1 || !strings.Contains(l.seen.Unseen[0].What, "the kinds of other.example.com") {
		t.Errorf("of an API that is away is said: %v", l.seen.Unseen)
	}
	take("", rule("get", "", "serviceaccounts", "one"), rule("watch", "", "serviceaccounts"), rule("list", "", "pods", "events"))
	if !slices.Equal(r.unlooked, []string{"serviceaccounts"}) {
		t.Errorf("what is never looked at: %v", r.unlooked)
	}
	take("own", rule("get", "", "secrets"))
	if !r.secrets {
		t.Error("Secrets are not noticed")
	}
	if err := r.take(nil, "", apierrors.NewNotFound(schema.GroupResource{}, "gone")); err != nil {
		t.Errorf("a role that is gone: %v", err)
	}
	if err := r.take(nil, "", errors.New("away")); err == nil {
		t.Error("what cannot be read is taken for nothing")
	}
}

func TestWhatPodsTell(t *testing.T) {
	controller := true
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"pod-template-hash": "abc"}, OwnerReferences: []metav1.OwnerReference{{Name: "injector-abc", Controller: &controller}}},
		Spec: corev1.PodSpec{
			Volumes: []corev1.Volume{
				{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "mounted"}}}},
				{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "injector-tls"}}},
			},
			Containers: []corev1.Container{{
				Args:    []string{"--template=named", "-v"},
				Env:     []corev1.EnvVar{{Name: "SHARED_MESH_CONFIG", Value: "shared"}},
				EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "variables"}}}},
			}},
		},
	}
	var r runs
	r.take(pod)
	if !slices.Equal(r.workloads, []string{"injector"}) || !slices.Equal(r.accounts, []string{"default"}) || !slices.Equal(r.configMaps, []string{"mounted", "variables"}) || !slices.Equal(r.mounted, []string{"mounted"}) || !slices.Contains(r.words, "named") || !slices.Contains(r.words, "shared") || r.secret {
		t.Errorf("%+v", r)
	}
	pod.Spec.Volumes[1].Secret.SecretName = "sidecar-injector-webhook-template"
	if r.take(pod); !r.secret {
		t.Error("a template in a Secret is taken for a webhook's certificate")
	}
	r = runs{}
	pod.Spec.Volumes[1].Secret.SecretName = "injector-tls"
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{}}}}
	if r.take(pod); !r.secret {
		t.Error("a Secret's key is not noticed")
	}
}

func TestWhatCouldNotBeReadIsSaid(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{}, "", nil)
	resource := schema.GroupResource{Group: "x.example.com", Resource: "things"}
	for said, got := range map[string]string{
		"things.x.example.com in own (forbidden)":          incomplete(want{resource, "own"}, claim{}, forbidden),
		"things.x.example.com outside own (forbidden)":     incomplete(want{resource, ""}, claim{home: "own"}, forbidden),
		"things.x.example.com (there are too many)":        incomplete(want{resource, ""}, claim{}, nil),
		"things.x.example.com in own (no such connection)": incomplete(want{resource, "own"}, claim{}, errors.New("no such connection")),
	} {
		if got != said {
			t.Errorf("got %s, want %s", got, said)
		}
	}
}

func TestWhoIsBound(t *testing.T) {
	account := func(namespace string) []rbacv1.Subject {
		return []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "default"}}
	}
	for name, test := range map[string]struct {
		subjects []rbacv1.Subject
		in       string
		want     bool
	}{
		"by its namespace":     {account("own"), "shop", true},
		"of another namespace": {account("shop"), "own", false},
		"of the binding's":     {account(""), "own", true},
		"of another binding's": {account(""), "shop", false},
		"of none":              {account(""), "", false},
		"all of a namespace":   {[]rbacv1.Subject{{Kind: rbacv1.GroupKind, Name: "system:serviceaccounts:own"}}, "", true},
		"a person":             {[]rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "default"}}, "own", false},
		"by its user's name":   {[]rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "system:serviceaccount:own:default"}}, "", true},
		"another user":         {[]rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "system:serviceaccount:shop:default"}}, "", false},
		"everybody":            {[]rbacv1.Subject{{Kind: rbacv1.GroupKind, Name: "system:authenticated"}}, "", true},
	} {
		if got := binds(test.subjects, test.in, "own", []string{"default"}); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
