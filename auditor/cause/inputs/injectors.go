package inputs

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
)

const (
	// ours is the stamper's webhook configuration, which injects nothing.
	ours = "zz-sidecar-drift"
	// mostPods is how many of an injector's Pods are looked at.
	mostPods = 50
	// helmNamespace is the annotation by which Helm says where a release is installed.
	helmNamespace = "meta.helm.sh/release-namespace"
	revisionLabel = "istio.io/rev"
)

// injector is what a mutating webhook configuration says of one.
type injector struct {
	configuration, revision string
	namespace, service      string   // empty where it does not say
	others                  []string // further Services, of other webhooks of the configuration
	known                   cause.Known
	isKnown                 bool
	selectors               []labels.Selector // of namespaces, of its webhooks
}

// findInjectors reads the webhook configurations, of which those that are about Pods are
// injectors'.
func (l *look) findInjectors(ctx context.Context) error {
	list, err := l.client.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("find the injectors: %w", err)
	}
	l.injectors = nil
	const name = "mutatingwebhookconfigurations"
	l.seen.Lists = append(l.seen.Lists, name)
	for i := range list.Items {
		configuration := &list.Items[i]
		found, is := injectorOf(configuration)
		if is {
			l.injectors = append(l.injectors, found)
		} else if _, was := l.parsed[string(configuration.UID)]; !was { // else it is about Pods no more
			continue
		}
		kind, o := admissionregistrationv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration"), l.parse(configuration)
		l.next[o.UID] = o
		l.add(kind, o, name, cause.Reads, claim{injector: found.configuration})
	}
	return nil
}

func injectorOf(c *admissionregistrationv1.MutatingWebhookConfiguration) (injector, bool) {
	i := injector{configuration: c.Name, revision: cmp.Or(c.Labels[revisionLabel], c.Annotations[revisionLabel])}
	about := false
	for _, w := range c.Webhooks {
		if !slices.ContainsFunc(w.Rules, injection.CoversPods) {
			continue
		}
		about = true
		if known, ok := cause.KnownBy(w.Name); ok {
			i.known, i.isKnown = known, true
		}
		selector := labels.Everything()
		if w.NamespaceSelector != nil {
			if s, err := metav1.LabelSelectorAsSelector(w.NamespaceSelector); err == nil {
				selector = s
			}
		}
		i.selectors = append(i.selectors, selector)
		switch client := w.ClientConfig; {
		case client.Service != nil && i.service != "" && (i.namespace != client.Service.Namespace || i.service != client.Service.Name):
			i.others = append(i.others, client.Service.Namespace+"/"+client.Service.Name)
		case client.Service != nil:
			i.namespace, i.service = client.Service.Namespace, client.Service.Name
		case client.URL != nil && i.namespace == "":
			i.service, i.namespace = serviceOf(*client.URL)
		}
	}
	i.namespace = cmp.Or(i.namespace, c.Annotations[helmNamespace])
	return i, about && c.Name != ours
}

// serviceOf reads https://NAME.NAMESPACE.svc.
func serviceOf(address string) (name, namespace string) {
	u, err := url.Parse(address)
	if err != nil {
		return "", ""
	}
	parts := strings.Split(u.Hostname(), ".")
	if len(parts) < 3 || parts[2] != "svc" {
		return "", ""
	}
	return parts[0], parts[1]
}

// runs is what its Pods tell of an injector.
type runs struct {
	accounts, workloads []string
	configMaps, words   []string             // that they refer to; words of their arguments and variables
	mounted             []string             // of the ConfigMaps
	ready               map[string]time.Time // when the last Pod of each workload became ready
	secret              bool                 // they take something from a Secret that is no certificate
}

// reads has the lists made in which what an injector goes by is.
func (l *look) reads(ctx context.Context, i injector) {
	if i.namespace == "" {
		l.unseen(i.configuration, "what the injector of %s goes by (it is called by a URL that names no Service)", i.configuration)
		return
	}
	for _, other := range i.others {
		l.unseen(i.configuration, "what the injector behind Service %s goes by (%s names several)", other, i.configuration)
	}
	found, err := l.running(ctx, i)
	if err != nil {
		l.unseen(i.configuration, "the Pods of the injector of %s (%s)", i.configuration, reasonOf(err))
	}
	for _, resource := range []string{"deployments", "daemonsets", "statefulsets"} {
		l.want(schema.GroupResource{Group: "apps", Resource: resource}, i.namespace, claim{injector: i.configuration, settled: found.ready, take: func(_, name string) (cause.Link, bool) {
			return cause.Reads, slices.Contains(found.workloads, name)
		}})
	}
	if i.service != "" {
		l.want(schema.GroupResource{Resource: "services"}, i.namespace, claim{injector: i.configuration, take: named(i.service)})
	}
	refers := func(name string) bool {
		return slices.Contains(found.configMaps, name) || slices.Contains(found.words, name)
	}
	configMaps := schema.GroupResource{Resource: "configmaps"}
	if i.isKnown {
		l.readsAsKnown(i, found, refers)
		return
	}
	rules, err := l.rulesOf(ctx, i, found.accounts)
	if err != nil {
		l.unseen(i.configuration, "what RBAC lets the injector of %s read (%s)", i.configuration, reasonOf(err))
	}
	if found.secret || rules.secrets || err != nil || len(found.accounts) == 0 {
		l.seen.Secretive = append(l.seen.Secretive, cause.Secretive{Injector: i.configuration})
	}
	for _, kind := range rules.unlooked {
		l.unseen(i.configuration, "%s, which the injector of %s may read (they are never looked at)", kind, i.configuration)
	}
	l.want(configMaps, i.namespace, claim{injector: i.configuration, mounted: found.mounted, take: func(namespace, name string) (cause.Link, bool) {
		switch {
		case common(name):
			return 0, false
		case refers(name):
			return cause.Reads, true
		}
		link, may := rules.configMap(namespace, name)
		return link, may || err != nil || len(found.accounts) == 0
	}})
	l.readsByRules(i, rules)
}

// readsAsKnown is by what is known of the injector's code.
func (l *look) readsAsKnown(i injector, found runs, refers func(string) bool) {
	l.want(schema.GroupResource{Resource: "configmaps"}, i.namespace, claim{injector: i.configuration, mounted: found.mounted, keys: func(name string) (keys, kinds []string) { return i.known.Keys(name, i.revision) }, take: func(_, name string) (cause.Link, bool) {
		return cause.Reads, i.known.ReadsConfigMap(name, i.revision) || refers(name) && !common(name)
	}})
	if len(i.known.Sized) > 0 {
		l.want(schema.GroupResource{Group: "apps", Resource: "statefulsets"}, i.namespace, claim{injector: i.configuration, sized: true, take: func(_, name string) (cause.Link, bool) {
			return cause.Reads, i.known.ReadsSize(name)
		}})
	}
	for _, resource := range i.known.Resources {
		l.want(schema.ParseGroupResource(resource), "", claim{
			injector: i.configuration, take: all, home: i.namespace, reach: i.reach,
		})
	}
	if len(i.known.Secret) > 0 {
		l.seen.Secretive = append(l.seen.Secretive, cause.Secretive{Injector: i.configuration, Within: i.known.Secret})
	}
}

// reach is what a custom resource is about: one in the injector's own namespace, all.
func (i injector) reach(namespace, _ string) string {
	if namespace == i.namespace {
		return ""
	}
	return namespace
}

// common reports whether a ConfigMap is one that the cluster keeps in every namespace.
func common(name string) bool {
	return name == "kube-root-ca.crt" || strings.HasSuffix(name, "-ca-root-cert")
}

func named(name string) func(string, string) (cause.Link, bool) {
	return func(_, is string) (cause.Link, bool) { return cause.Reads, is == name }
}

// running looks at an injector's Pods: those behind its Service or, where that is not known,
// all in its namespace.
func (l *look) running(ctx context.Context, i injector) (runs, error) {
	options := metav1.ListOptions{Limit: mostPods}
	if i.service != "" {
		service, err := l.client.CoreV1().Services(i.namespace).Get(ctx, i.service, metav1.GetOptions{})
		if err != nil {
			return runs{}, err
		}
		if len(service.Spec.Selector) > 0 {
			options.LabelSelector = labels.SelectorFromSet(service.Spec.Selector).String()
		}
	}
	pods, err := l.client.CoreV1().Pods(i.namespace).List(ctx, options)
	if err != nil {
		return runs{}, err
	}
	if len(pods.Items) == 0 {
		return runs{}, fmt.Errorf("there are none in %s", i.namespace)
	}
	found := runs{ready: map[string]time.Time{}}
	for p := range pods.Items {
		found.take(&pods.Items[p])
	}
	return found, nil
}

func (r *runs) take(pod *corev1.Pod) {
	r.accounts = append(r.accounts, cmp.Or(pod.Spec.ServiceAccountName, "default"))
	if owner := metav1.GetControllerOf(pod); owner != nil {
		workload := strings.TrimSuffix(owner.Name, "-"+pod.Labels["pod-template-hash"])
		r.workloads = append(r.workloads, workload)
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.LastTransitionTime.After(r.ready[workload]) {
				r.ready[workload] = c.LastTransitionTime.UTC()
			}
		}
	}
	for _, v := range pod.Spec.Volumes {
		switch {
		case v.ConfigMap != nil:
			r.configMaps, r.mounted = append(r.configMaps, v.ConfigMap.Name), append(r.mounted, v.ConfigMap.Name)
		case v.Secret != nil:
			r.secret = r.secret || !certificate(v.Secret.SecretName)
		case v.Projected != nil:
			for _, source := range v.Projected.Sources {
				if source.ConfigMap != nil {
					r.configMaps, r.mounted = append(r.configMaps, source.ConfigMap.Name), append(r.mounted, source.ConfigMap.Name)
				}
				r.secret = r.secret || source.Secret != nil && !certificate(source.Secret.Name)
			}
		}
	}
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		for _, from := range c.EnvFrom {
			if from.ConfigMapRef != nil {
				r.configMaps = append(r.configMaps, from.ConfigMapRef.Name)
			}
			r.secret = r.secret || from.SecretRef != nil
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil {
				r.configMaps = append(r.configMaps, e.ValueFrom.ConfigMapKeyRef.Name)
			}
			r.secret = r.secret || e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil
			r.name(e.Value)
		}
		for _, argument := range slices.Concat(c.Command, c.Args) {
			r.name(argument)
		}
	}
}

// name takes down what an argument, or a variable's value, may name.
func (r *runs) name(text string) {
	const longest = 4 << 10 // of a longer one each word may be anything
	r.words = append(r.words, strings.FieldsFunc(text[:min(len(text), longest)], func(r rune) bool { return strings.ContainsRune("=,:/ ", r) })...)
}

// certificate reports whether a Secret's name says that it holds a webhook's certificate.
func certificate(name string) bool {
	return slices.ContainsFunc([]string{"cert", "tls", "-ca"}, func(word string) bool { return strings.Contains(name, word) })
}

func reasonOf(err error) string {
	if apierrors.IsForbidden(err) {
		return "forbidden"
	}
	return err.Error()
}

// Namespaces are those in which the injectors of webhook configurations keep what they go
// by, sorted.
func Namespaces(list *admissionregistrationv1.MutatingWebhookConfigurationList) []string {
	var all []string
	for i := range list.Items {
		if found, is := injectorOf(&list.Items[i]); is && found.namespace != "" {
			all = append(all, found.namespace)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(all)))
}
