package doctor

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// questions at a time, of some sixty.
const questions = 8

// rights are the verbs, separated by spaces, on resources of one API group.
func rights(group, verbs string, resources ...string) []authorizationv1.ResourceAttributes {
	var all []authorizationv1.ResourceAttributes
	for _, resource := range resources {
		resource, subresource, _ := strings.Cut(resource, "/")
		for _, verb := range strings.Fields(verbs) {
			all = append(all, authorizationv1.ResourceAttributes{Group: group, Verb: verb, Resource: resource, Subresource: subresource})
		}
	}
	return all
}

// within limits rights to a namespace and, if there are any, to a name.
func within(home, name string, all []authorizationv1.ResourceAttributes) []authorizationv1.ResourceAttributes {
	for i := range all {
		all[i].Namespace, all[i].Name = home, name
	}
	return all
}

// auditRights are those that an audit needs, in all namespaces: the ClusterRole
// sidecar-drift-audit.
func auditRights() []authorizationv1.ResourceAttributes {
	const read = "get list watch"
	return slices.Concat(
		rights("", "create "+read, "pods"),
		rights("", read, "namespaces"),
		rights("apps", read, "deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"),
		rights("batch", read, "jobs", "cronjobs"),
		rights("argoproj.io", read, "rollouts"),
		rights("autoscaling.k8s.io", "list", "verticalpodautoscalers"),
		rights("datadoghq.com", "list", "datadogpodautoscalers"),
		rights("admissionregistration.k8s.io", read,
			"mutatingwebhookconfigurations", "validatingwebhookconfigurations",
			"mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
			"validatingadmissionpolicies", "validatingadmissionpolicybindings"),
		rights("discovery.k8s.io", "list", "endpointslices"),
		rights("", "get", "services", "serviceaccounts"),
		rights("policy", read, "poddisruptionbudgets"),
		rights("", "list", "nodes"),
		rights("", "get", "persistentvolumeclaims"),
	)
}

// serviceRights are those that the auditor as a service needs beside: the Role
// sidecar-drift-auditor.
func serviceRights(home string) []authorizationv1.ResourceAttributes {
	return slices.Concat(
		within(home, "", rights("coordination.k8s.io", "create", "leases")),
		within(home, auditor, rights("coordination.k8s.io", "get update", "leases")),
		within(home, "", rights("", "create", "configmaps")),
		within(home, auditor, rights("", "get update", "configmaps")),
		within(home, auditor+"-report", rights("", "get update", "configmaps")),
		within(home, auditor+"-journal", rights("", "get update", "configmaps")),
		within(home, "", rights("", "create", "events")),
		within(home, "", rights("events.k8s.io", "create", "events")),
	)
}

// rolloutRights are those that a rollout needs beside an audit's: the ClusterRole
// and the Role sidecar-drift-rollout.
func rolloutRights(home string) []authorizationv1.ResourceAttributes {
	return slices.Concat(
		rights("apps", "patch", "deployments", "statefulsets", "daemonsets", "replicasets"),
		rights("argoproj.io", "patch", "rollouts"),
		rights("", "create", "pods/eviction"),
		rights("", "create", "events"),
		rights("events.k8s.io", "create", "events"),
		within(home, "", rights("coordination.k8s.io", "create", "leases")),
		within(home, rollout, rights("coordination.k8s.io", "get update patch delete", "leases")),
	)
}

// powers are rights that make a thief of an identity of ours the master of the
// cluster, and that none of them has.
func powers() []authorizationv1.ResourceAttributes {
	return slices.Concat(
		rights("*", "*", "*"),
		rights("", "get", "secrets"),
		rights("", "create", "pods/exec", "serviceaccounts/token"),
		rights("", "impersonate", "users", "groups", "serviceaccounts"),
		rights("", "delete", "pods"),
		rights("", "patch update", "events"),
		rights("apps", "update", "deployments"),
		rights("admissionregistration.k8s.io", "patch", "mutatingwebhookconfigurations", "validatingadmissionpolicies"),
		rights("rbac.authorization.k8s.io", "create", "clusterrolebindings"),
		rights("rbac.authorization.k8s.io", "escalate", "clusterroles"),
	)
}

// identity is an account of the installation, with what it must and must not be
// able to do.
type identity struct {
	account        string
	needs, mustNot []authorizationv1.ResourceAttributes
}

func (e *examiner) access(ctx context.Context) {
	e.ownAccess(ctx)
	restarts := rights("apps", "patch", "deployments")
	identities := []identity{
		{auditor, slices.Concat(auditRights(), serviceRights(e.home())), slices.Concat(powers(), restarts)},
		{stamper, nil, slices.Concat(powers(), restarts, rights("", "list create", "pods"))},
	}
	if e.installed.rollout.err == nil {
		identities = append(identities, identity{rollout, slices.Concat(auditRights(), rolloutRights(e.home())), powers()})
	}
	for _, i := range identities {
		allowed, err := e.ask(ctx, slices.Concat(i.needs, i.mustNot), func(ctx context.Context, r authorizationv1.ResourceAttributes) (bool, error) {
			return e.accountMay(ctx, i.account, r)
		})
		if err != nil {
			e.add(topic{checkAccess, i.account}.unread(e.note(err)))
			continue
		}
		e.add(judgeIdentity(i, allowed)...)
	}
}

// accountMay asks whether a ServiceAccount of the installation has a right.
func (e *examiner) accountMay(ctx context.Context, account string, right authorizationv1.ResourceAttributes) (bool, error) {
	review, err := e.objects.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: userOf(e.home(), account), ResourceAttributes: &right,
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + e.home(), "system:authenticated"},
		},
	}, metav1.CreateOptions{})
	return err == nil && review.Status.Allowed, err
}

// ownAccess judges what the person who runs this may do.
func (e *examiner) ownAccess(ctx context.Context) {
	needed := slices.DeleteFunc(auditRights(), func(r authorizationv1.ResourceAttributes) bool { return r.Verb == "watch" })
	inNamespace := slices.DeleteFunc(slices.Clone(needed), clusterScoped)
	self := func(in string) func(context.Context, authorizationv1.ResourceAttributes) (bool, error) {
		return func(ctx context.Context, r authorizationv1.ResourceAttributes) (bool, error) {
			r.Namespace = in
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &r}}
			review, err := e.objects.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			return err == nil && review.Status.Allowed, err
		}
	}
	everywhere, err := e.ask(ctx, needed, self(metav1.NamespaceAll))
	if err != nil {
		e.add(topic{checkAccess, "you"}.unread(e.note(err)))
		return
	}
	here, err := e.ask(ctx, inNamespace, self(e.options.Namespace))
	if err != nil {
		e.add(topic{checkAccess, "you"}.unread(e.note(err)))
		return
	}
	e.add(judgeOwnAccess(e.options.Namespace, missing(needed, everywhere), missing(inNamespace, here)))
}

// clusterScoped are rights that a binding within a namespace does not give; an
// audit of one namespace does without.
func clusterScoped(r authorizationv1.ResourceAttributes) bool {
	return r.Group == "admissionregistration.k8s.io" || r.Resource == "namespaces"
}

// ask asks about each right; the answers are in the same order.
func (e *examiner) ask(ctx context.Context, about []authorizationv1.ResourceAttributes, may func(context.Context, authorizationv1.ResourceAttributes) (bool, error)) ([]bool, error) {
	answers := make([]bool, len(about))
	var err error
	// Who may not ask at all learns it from the first answer.
	if answers[0], err = may(ctx, about[0]); err != nil {
		return nil, err
	}
	var group errgroup.Group
	group.SetLimit(questions)
	for i, right := range about[1:] {
		group.Go(func() (err error) {
			answers[i+1], err = may(ctx, right)
			return err
		})
	}
	return answers, group.Wait()
}

// missing are the rights that were not granted.
func missing(about []authorizationv1.ResourceAttributes, allowed []bool) []authorizationv1.ResourceAttributes {
	var rest []authorizationv1.ResourceAttributes
	for i, right := range about {
		if !allowed[i] {
			rest = append(rest, right)
		}
	}
	return rest
}

// judgeIdentity judges the answers about needs, and mustNot after them.
func judgeIdentity(i identity, allowed []bool) []Finding {
	t := topic{checkAccess, i.account}
	var problems []Finding
	if lacks := missing(i.needs, allowed); len(lacks) > 0 {
		problems = append(problems, t.wrong(applyAgain, "may not do what it must: %s", inWords(lacks)))
	}
	var excess []authorizationv1.ResourceAttributes
	for at, right := range i.mustNot {
		if allowed[len(i.needs)+at] {
			excess = append(excess, right)
		}
	}
	if len(excess) > 0 {
		problems = append(problems, t.wrong("see who grants it: kubectl get clusterrolebindings,rolebindings -A -o wide | grep -E '"+i.account+"|system:(serviceaccounts|authenticated)'",
			"may do more than it should: %s", inWords(excess)))
	}
	if len(i.needs) == 0 {
		return t.orOK(problems, "may do nothing of note, as it should")
	}
	return t.orOK(problems, "may do what it must, and nothing more of note")
}

// judgeOwnAccess judges what the person who runs this lacks for an audit, in all
// namespaces and in one.
func judgeOwnAccess(in string, everywhere, here []authorizationv1.ResourceAttributes) Finding {
	t := topic{checkAccess, "you"}
	const remedy = inventory.AskAsAuditor + "; or audit where you may: --namespace"
	switch {
	case len(everywhere) == 0:
		return t.ok("may audit all namespaces")
	case len(here) == 0:
		return t.ok("may audit the namespace %s, and not all: %s", in, inWords(everywhere))
	}
	return t.warning(remedy, "may not audit fully: %s", inWords(here))
}

// inWords lists rights: "create pods; get and list jobs.batch, cronjobs.batch".
func inWords(all []authorizationv1.ResourceAttributes) string {
	var order []string
	verbs := map[string][]string{}
	for _, r := range all {
		what := r.Resource
		if r.Subresource != "" {
			what += "/" + r.Subresource
		}
		if r.Group != "" && r.Group != "*" {
			what += "." + r.Group
		}
		if r.Name != "" {
			what += " " + r.Name
		}
		if verbs[what] == nil {
			order = append(order, what)
		}
		verbs[what] = append(verbs[what], r.Verb)
	}
	var phrases []string
	last := ""
	for _, what := range order {
		may := list(verbs[what])
		if may == last {
			phrases[len(phrases)-1] += ", " + what
			continue
		}
		phrases, last = append(phrases, may+" "+what), may
	}
	return strings.Join(phrases, "; ")
}
