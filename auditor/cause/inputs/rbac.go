package inputs

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/discovery"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
)

// mostKinds bounds how many kinds of custom resources one injector is taken to go by.
const mostKinds = 40

// grant is a rule that lets an injector read something.
type grant struct {
	schema.GroupResource
	namespace string   // empty: all
	names     []string // none: all
}

// rules are what RBAC lets an injector read.
type rules struct {
	grants  []grant
	secrets bool
	// unlooked are the kinds among them that injectors go by now and then, and nobody looks at.
	unlooked []string
}

// unlooked are kinds of Kubernetes' own whose annotations or fields injectors are known to go by:
// a cloud's roles are annotations of ServiceAccounts, and volumes' sidecars follow from claims.
var unlooked = []schema.GroupResource{
	{Resource: "serviceaccounts"}, {Resource: "services"}, {Resource: "nodes"}, {Resource: "persistentvolumeclaims"}, {Resource: "persistentvolumes"},
	{Group: "apps", Resource: "deployments"}, {Group: "apps", Resource: "replicasets"}, {Group: "apps", Resource: "statefulsets"}, {Group: "apps", Resource: "daemonsets"},
	{Group: "batch", Resource: "jobs"}, {Group: "batch", Resource: "cronjobs"}, {Group: "storage.k8s.io", Resource: "storageclasses"},
}

type knownRules struct {
	rules
	accounts []string
	until    time.Time
}

// served is a kind that the API server has.
type served struct{ schema.GroupResource }

// preferred are those of the preferred versions. One aggregated API that is away hides no others:
// the error names it then.
func preferred(client discovery.DiscoveryInterface) ([]served, error) {
	lists, err := discovery.ServerPreferredResources(client)
	var all []served
	for _, list := range lists {
		version, parseErr := schema.ParseGroupVersion(list.GroupVersion)
		if parseErr != nil {
			continue
		}
		for _, r := range list.APIResources {
			if slices.Contains(r.Verbs, "list") {
				all = append(all, served{schema.GroupResource{Group: version.Group, Resource: r.Name}})
			}
		}
	}
	return all, err
}

// away reports whether the API of a group could not be asked what it has.
func (r *Reader) away(group string) bool {
	_, err := r.discovery()
	failed, _ := discovery.GroupDiscoveryFailedErrorGroups(err)
	for of := range failed {
		if of.Group == group {
			return true
		}
	}
	return false
}

// rulesOf are the rules of an injector's ServiceAccounts.
func (l *look) rulesOf(ctx context.Context, i injector, accounts []string) (rules, error) {
	accounts = slices.Compact(slices.Sorted(slices.Values(accounts)))
	if known, ok := l.rules[i.configuration]; ok && slices.Equal(known.accounts, accounts) && l.now().Before(known.until) {
		return known.rules, nil
	}
	if len(accounts) == 0 {
		return rules{}, nil
	}
	bound := func(subjects []rbacv1.Subject, in string) bool { return binds(subjects, in, i.namespace, accounts) }
	rbac := l.client.RbacV1()
	everywhere, err := rbac.ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		return rules{}, err
	}
	within, err := rbac.RoleBindings(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return rules{}, err
	}
	var found rules
	for _, b := range everywhere.Items {
		if bound(b.Subjects, "") {
			role, err := rbac.ClusterRoles().Get(ctx, b.RoleRef.Name, metav1.GetOptions{})
			if err = found.take(roleRules(role, err), "", err); err != nil {
				return rules{}, err
			}
		}
	}
	for _, b := range within.Items {
		if !bound(b.Subjects, b.Namespace) {
			continue
		}
		if b.RoleRef.Kind == "ClusterRole" {
			role, err := rbac.ClusterRoles().Get(ctx, b.RoleRef.Name, metav1.GetOptions{})
			if err = found.take(roleRules(role, err), b.Namespace, err); err != nil {
				return rules{}, err
			}
			continue
		}
		role, err := rbac.Roles(b.Namespace).Get(ctx, b.RoleRef.Name, metav1.GetOptions{})
		var of []rbacv1.PolicyRule
		if err == nil {
			of = role.Rules
		}
		if err = found.take(of, b.Namespace, err); err != nil {
			return rules{}, err
		}
	}
	l.rules[i.configuration] = knownRules{found, accounts, l.now().Add(rulesAge)}
	return found, nil
}

// binds reports whether a binding, which is in a namespace or in none, is to one of the
// ServiceAccounts of a namespace. In a RoleBinding an account without one is of the binding's.
func binds(subjects []rbacv1.Subject, in, namespace string, accounts []string) bool {
	return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		switch s.Kind {
		case rbacv1.ServiceAccountKind:
			return cmp.Or(s.Namespace, in) == namespace && slices.Contains(accounts, s.Name)
		case rbacv1.UserKind:
			of, name, err := serviceaccount.SplitUsername(s.Name)
			return err == nil && of == namespace && slices.Contains(accounts, name)
		case rbacv1.GroupKind:
			return slices.Contains(append(serviceaccount.MakeGroupNames(namespace), user.AllAuthenticated), s.Name)
		}
		return false
	})
}

func roleRules(role *rbacv1.ClusterRole, err error) []rbacv1.PolicyRule {
	if err != nil {
		return nil
	}
	return role.Rules
}

// take adds the rules of a role. A role that does not exist grants nothing.
func (r *rules) take(of []rbacv1.PolicyRule, namespace string, err error) error {
	if err != nil {
		return ignoreNotFound(err)
	}
	for _, rule := range of {
		if !slices.ContainsFunc(rule.Verbs, func(v string) bool { return slices.Contains([]string{"get", "list", "watch", "*"}, v) }) {
			continue
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				if (group == "" || group == "*") && (resource == "secrets" || resource == "*") {
					r.secrets = true
				}
				if of := (schema.GroupResource{Group: group, Resource: resource}); slices.Contains(unlooked, of) && !slices.Contains(r.unlooked, of.String()) {
					r.unlooked = append(r.unlooked, of.String())
				}
				r.grants = append(r.grants, grant{schema.GroupResource{Group: group, Resource: resource}, namespace, rule.ResourceNames})
			}
		}
	}
	return nil
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// configMap reports whether a ConfigMap may be read, and whether a rule names it.
func (r rules) configMap(namespace, name string) (link cause.Link, may bool) {
	for _, g := range r.grants {
		if g.Group != "" && g.Group != "*" || g.Resource != "configmaps" && g.Resource != "*" || g.namespace != "" && g.namespace != namespace {
			continue
		}
		switch {
		case len(g.names) == 0:
			may = true
		case slices.Contains(g.names, name):
			link, may = cause.Reads, true
		}
	}
	return link, may
}

// custom reports whether kinds of a group may be an injector's configuration: Kubernetes' own
// are not, but for those that are looked at anyway.
func custom(group string) bool {
	return strings.Contains(group, ".") && !strings.HasSuffix(group, ".k8s.io")
}

// readsByRules has the lists made of the custom resources that the injector may read, and of
// ConfigMaps in other namespaces that a Role lets it.
func (l *look) readsByRules(i injector, r rules) {
	kinds := 0
	for _, g := range l.expanded(i, r) {
		c := claim{injector: i.configuration, home: i.namespace, reach: i.reach, take: func(_, name string) (cause.Link, bool) {
			if slices.Contains(g.names, name) {
				return cause.Reads, true
			}
			return cause.MayRead, len(g.names) == 0
		}}
		switch {
		case g.GroupResource == schema.GroupResource{Resource: "configmaps"}:
			if g.namespace != "" && g.namespace != i.namespace {
				l.want(g.GroupResource, g.namespace, c)
			}
		case kinds == mostKinds:
			l.unseen(i.configuration, "kinds that the injector of %s may read, beyond %d", i.configuration, mostKinds)
			return
		default:
			kinds++
			l.want(g.GroupResource, g.namespace, c)
		}
	}
}

// expanded are the grants of ConfigMaps and custom resources, wildcards spelled out.
func (l *look) expanded(i injector, r rules) []grant {
	var all []grant
	add := func(g grant) {
		wanted := custom(g.Group) || g.Group == "" && g.Resource == "configmaps"
		same := func(other grant) bool {
			return other.GroupResource == g.GroupResource && other.namespace == g.namespace && slices.Equal(other.names, g.names)
		}
		if wanted && !strings.Contains(g.Resource, "/") && !slices.ContainsFunc(all, same) {
			all = append(all, g)
		}
	}
	var kinds []served
	var away map[schema.GroupVersion]error
	for _, g := range r.grants {
		if g.Group != "*" && g.Resource != "*" {
			add(g)
			continue
		}
		if kinds == nil {
			var err error
			var partly bool
			kinds, err = l.discovery()
			if away, partly = discovery.GroupDiscoveryFailedErrorGroups(err); err != nil && !partly {
				l.unseen(i.configuration, "the kinds that the injector of %s may read (%s)", i.configuration, reasonOf(err))
				continue
			}
		}
		for of := range away {
			if custom(of.Group) && (g.Group == "*" || g.Group == of.Group) {
				l.unseen(i.configuration, "the kinds of %s that the injector of %s may read (its API does not answer)", of.Group, i.configuration)
			}
		}
		for _, k := range kinds {
			if (g.Group == "*" || g.Group == k.Group) && (g.Resource == "*" || g.Resource == k.Resource) {
				add(grant{k.GroupResource, g.namespace, g.names})
			}
		}
	}
	return all
}
