package acceptance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/candidate/policies"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// candidatePolicy is a policy that is previewed, and then made.
type candidatePolicy struct {
	mutating bool
	spec     string // of the policy, but for what it matches; YAML in one line
	match    string // of the policy; creation of Pods if empty
	bindings []string
	params   map[string]string // data.max of ConfigMaps by name
	blocked  []string          // the workloads that it refuses
}

const creationOfPods = `{resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}`

// validation is a policy of one expression.
func validation(expression string, more ...string) candidatePolicy {
	return candidatePolicy{spec: fmt.Sprintf(`{validations: [{expression: %q}]%s}`, expression, strings.Join(append([]string{""}, more...), ", "))}
}

func (p candidatePolicy) blocks(workloads ...string) candidatePolicy { p.blocked = workloads; return p }

func (p candidatePolicy) matching(constraints string) candidatePolicy {
	p.match = constraints
	return p
}

// boundBy gives it bindings, as what is in their spec besides the namespace and the policy.
func (p candidatePolicy) boundBy(bindings ...string) candidatePolicy { p.bindings = bindings; return p }

func (p candidatePolicy) with(params map[string]string) candidatePolicy { p.params = params; return p }

// mutation is a policy that sets something.
func mutation(patch string, more ...string) candidatePolicy {
	return candidatePolicy{mutating: true, spec: fmt.Sprintf(`{reinvocationPolicy: Never, mutations: [%s]%s}`, patch, strings.Join(append([]string{""}, more...), ", "))}
}

func applying(expression string) string {
	return fmt.Sprintf(`{patchType: ApplyConfiguration, applyConfiguration: {expression: %q}}`, expression)
}

func patching(expression string) string {
	return fmt.Sprintf(`{patchType: JSONPatch, jsonPatch: {expression: %q}}`, expression)
}

const (
	addsVariable = `Object{spec: Object.spec{containers: object.spec.containers.map(c, Object.spec.containers{name: c.name, env: [Object.spec.containers.env{name: "ADDED", value: "yes"}]})}}`
	// costly evaluates an expression ten million times.
	costly   = `[0,1,2,3,4,5,6,7,8,9].all(a, [0,1,2,3,4,5,6,7,8,9].all(b, [0,1,2,3,4,5,6,7,8,9].all(c, [0,1,2,3,4,5,6,7,8,9].all(d, [0,1,2,3,4,5,6,7,8,9].all(e, [0,1,2,3,4,5,6,7,8,9].all(f, [0,1,2,3,4,5,6,7,8,9].all(g, a + b + c + d + e + f + g >= 0)))))))`
	notFound = `paramKind: {apiVersion: v1, kind: ConfigMap}`
	byLimit  = `object.spec.containers.size() <= int(params.data.max)`
)

// candidatePolicies are of all kinds.
func candidatePolicies() map[string]candidatePolicy {
	both := []string{"Deployment/web", "StatefulSet/db"}
	deny := func(more string) string { return `validationActions: [Deny]` + more }
	return map[string]candidatePolicy{
		"allow":                      validation(`true`),
		"deny":                       validation(`false`).blocks(both...),
		"limits":                     validation(`object.spec.containers.all(c, has(c.resources.limits))`).blocks("Deployment/web", "StatefulSet/db"),
		"limits-of-the-app":          validation(`object.spec.containers.all(c, c.name != "app" || has(c.resources.limits))`).blocks("StatefulSet/db"),
		"message":                    {spec: `{validations: [{expression: "false", messageExpression: "'no ' + object.spec.containers[0].name", reason: Invalid}]}`, blocked: both},
		"the-sidecar":                validation(`!object.spec.containers.exists(c, c.name == "proxy" && c.image.endsWith(":1"))`).blocks(both...),
		"variables":                  validation(`variables.apps.all(c, c.image.startsWith("app:"))`, `variables: [{name: apps, expression: "object.spec.containers.filter(c, c.name != 'proxy')"}]`),
		"variables-that-deny":        validation(`variables.count < 2`, `variables: [{name: count, expression: "object.spec.containers.size()"}]`).blocks(both...),
		"a-condition-that-fails":     validation(`false`, `matchConditions: [{name: never, expression: "false"}]`),
		"a-condition-that-holds":     validation(`false`, `matchConditions: [{name: db, expression: "object.metadata.labels['app'] == 'db'"}]`).blocks("StatefulSet/db"),
		"who-asks":                   validation(`request.userInfo.username != "system:serviceaccount:kube-system:replicaset-controller"`).blocks("Deployment/web"),
		"groups-of-who-asks":         validation(`!("system:serviceaccounts:kube-system" in request.userInfo.groups)`).blocks(both...),
		"the-namespace":              validation(`!("team" in namespaceObject.metadata.labels)`).blocks(both...),
		"selected-by-labels":         validation(`false`).matching(`{objectSelector: {matchLabels: {app: web}}, resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}`).blocks("Deployment/web"),
		"excluded":                   validation(`false`).matching(`{resourceRules: [{apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["pods"]}], excludeResourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}`),
		"updates-alone":              validation(`false`).matching(`{resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [pods]}]}`),
		"another-resource":           validation(`false`).matching(`{resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods/ephemeralcontainers]}]}`),
		"an-error":                   validation(`object.spec.containers[7].name != ""`).blocks(both...),
		"an-error-that-is-ignored":   validation(`object.spec.containers[7].name != ""`, `failurePolicy: Ignore`),
		"too-costly":                 validation(costly).blocks(both...),
		"too-costly-and-ignored":     validation(costly, `failurePolicy: Ignore`),
		"a-parameter":                validation(byLimit, notFound).with(map[string]string{"limit": "1"}).boundBy(deny(`, paramRef: {name: limit, parameterNotFoundAction: Deny}`)).blocks(both...),
		"a-parameter-that-allows":    validation(byLimit, notFound).with(map[string]string{"limit": "9"}).boundBy(deny(`, paramRef: {name: limit, parameterNotFoundAction: Deny}`)),
		"parameters-by-labels":       validation(byLimit, notFound).with(map[string]string{"one": "9", "other": "1"}).boundBy(deny(`, paramRef: {selector: {matchLabels: {for: policy}}, parameterNotFoundAction: Deny}`)).blocks(both...),
		"no-parameter":               validation(byLimit, notFound).with(map[string]string{"other": "1"}).boundBy(deny(`, paramRef: {name: limit, parameterNotFoundAction: Allow}`)),
		"no-parameter-and-denied":    validation(byLimit, notFound).with(map[string]string{"other": "1"}).boundBy(deny(`, paramRef: {name: limit, parameterNotFoundAction: Deny}`)).blocks(both...),
		"warns":                      validation(`false`).boundBy(`validationActions: [Warn]`),
		"audits":                     validation(`false`).boundBy(`validationActions: [Audit]`),
		"two-bindings":               validation(`false`).boundBy(`validationActions: [Warn]`, `validationActions: [Deny], matchResources: {objectSelector: {matchLabels: {app: db}}}`).blocks("StatefulSet/db"),
		"names":                      validation(`!object.metadata.name.startsWith("web-")`).blocks("Deployment/web"),
		"a-quantity":                 validation(`object.spec.containers.all(c, !has(c.resources.limits) || quantity(c.resources.limits["cpu"]).isLessThan(quantity("400m")))`).blocks("Deployment/web"),
		"dry-runs":                   validation(`request.dryRun`),
		"optional-fields":            validation(`object.spec.?securityContext.?runAsNonRoot.orValue(false) == true`).blocks(both...),
		"adds-a-variable":            mutation(applying(addsVariable)),
		"adds-a-sidecar":             mutation(applying(`Object{spec: Object.spec{containers: [Object.spec.containers{name: "helper", image: "helper:1"}]}}`)),
		"replaces-an-image":          mutation(patching(`[JSONPatch{op: "replace", path: "/spec/containers/0/image", value: "app:2"}]`)),
		"adds-to-one":                mutation(applying(addsVariable), `matchConditions: [{name: db, expression: "object.metadata.labels['app'] == 'db'"}]`),
		"cannot-be-applied":          mutation(patching(`[JSONPatch{op: "replace", path: "/spec/containers/7/image", value: "app:2"}]`)).blocks(both...),
		"cannot-be-applied-but-may":  mutation(patching(`[JSONPatch{op: "replace", path: "/spec/containers/7/image", value: "app:2"}]`), `failurePolicy: Ignore`),
		"makes-what-is-refused":      mutation(patching(`[JSONPatch{op: "replace", path: "/spec/containers/0/imagePullPolicy", value: "Sometimes"}]`)).blocks(both...),
		"resources-by-a-parameter":   mutation(applying(`Object{spec: Object.spec{containers: [Object.spec.containers{name: "app", env: [Object.spec.containers.env{name: "MAX", value: params.data.max}]}]}}`), notFound).with(map[string]string{"limit": "7"}).boundBy(`paramRef: {name: limit, parameterNotFoundAction: Deny}`),
		"switches-the-injection-off": mutation(applying(`Object{metadata: Object.metadata{labels: {"inject": "no"}}}`)),
	}
}

// documents are the policy and what belongs to it, for one namespace.
func (p candidatePolicy) documents(name, namespace string) string {
	kind, bindings := "ValidatingAdmissionPolicy", p.bindings
	if p.mutating {
		kind = "MutatingAdmissionPolicy"
	}
	if len(bindings) == 0 {
		bindings = []string{"validationActions: [Deny]"}
		if p.mutating {
			bindings = []string{""}
		}
	}
	match := p.match
	if match == "" {
		match = creationOfPods
	}
	only := fmt.Sprintf(`namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}`, namespace)
	spec := strings.Replace(p.spec, "{", "{matchConstraints: "+strings.Replace(match, "{", "{"+only+", ", 1)+", ", 1)
	var list []string // parameters first: the API server learns of them in its own time, too
	for param, limit := range p.params {
		list = append(list, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s, labels: {for: policy}}\ndata: {max: %q}\n", param, namespace, limit))
	}
	list = append(list, fmt.Sprintf("apiVersion: admissionregistration.k8s.io/v1\nkind: %s\nmetadata: {name: %s}\nspec: %s\n", kind, name, spec))
	for i, b := range bindings {
		if b != "" {
			b = ", " + b
		}
		list = append(list, fmt.Sprintf("apiVersion: admissionregistration.k8s.io/v1\nkind: %sBinding\nmetadata: {name: %s-%d}\nspec: {policyName: %s%s}\n", kind, name, i, name, b))
	}
	return strings.Join(list, "---\n")
}

// policiesOf reads policies and what belongs to them.
func policiesOf(t *testing.T, yamls string) *policies.Set {
	t.Helper()
	var documents [][]byte
	for document := range strings.SplitSeq(yamls, "---\n") {
		text, err := yaml.YAMLToJSON([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, text)
	}
	set, err := policies.Read(documents)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// foreseePolicies previews them in a namespace, as an identity.
func foreseePolicies(t *testing.T, config *rest.Config, namespace, yamls string) *report.Report {
	t.Helper()
	candidates, err := policies.Connect(t.Context(), config, policiesOf(t, yamls))
	if err != nil {
		t.Fatal(err)
	}
	defer candidates.Close()
	r, err := audit.Run(t.Context(), config, audit.Options{
		Selection: inventory.Selection{Namespace: namespace}, Concurrency: 4, Candidate: candidates, Log: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reasons are those of Blocked workloads, without names that are made up.
func reasons(r *report.Report) []string {
	var all []string
	for _, item := range r.Items {
		for _, revision := range item.Revisions {
			if revision.State == "Blocked" {
				all = append(all, item.Kind+"/"+item.Name+": "+revision.Reason)
			}
		}
	}
	slices.Sort(all)
	return all
}

// What is foreseen of a policy is what an audit finds once it is there: states, changes place
// by place, and the API server's own words for what it refuses.
func TestPreviewOfPolicies(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	name := namespaceWith(t, c, nil)
	running, err := injector.Start(t.Context(), c, injector.Options{Name: name, Namespaces: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Close(context.Background()) })
	running.Inject(func(r injector.Request) []injector.Operation {
		if r.Pod.Labels["inject"] == "no" {
			return nil
		}
		return []injector.Operation{injector.AddContainer(corev1.Container{Name: "proxy", Image: "proxy:1"})}
	})
	// Somebody who may look, and make dry runs; who is to create Pods is known all the same. The
	// truth afterwards is what the Pods' controllers are told.
	person := account(t, c, name, readPods, createPods, `{apiGroups: [apps], resources: [replicasets, deployments, statefulsets, controllerrevisions], verbs: [get, list]}`,
		`{apiGroups: [""], resources: [namespaces, configmaps], verbs: [get, list, watch]}`, `{apiGroups: [admissionregistration.k8s.io], resources: ["*"], verbs: [get, list]}`)
	// While a policy has ConfigMaps as parameters the API server knows of all; once none had, its
	// informer has stopped, and is not begun again (k8s.io/apiserver, policy_source.go).
	clusterWide(t, c, validation(`true`, notFound).with(map[string]string{"limit": "1"}).boundBy(`validationActions: [Deny], paramRef: {name: limit, parameterNotFoundAction: Allow}`).documents(name, name))
	for policy, p := range candidatePolicies() {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			namespace := namespaceWith(t, c, map[string]string{"team": "a"})
			label(t, c, namespace, fmt.Sprintf(`{%q:%q}`, injector.NamespaceLabel, name), isInjected)
			apply(t, c, namespace, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: "app:1", resources: {limits: {cpu: 500m}}}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec: {serviceName: db, selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: app, image: "app:1"}]}}}
`)
			rolledOut(t, c, namespace, "deployment/web", "statefulset/db")
			yamls := p.documents(namespace, namespace)
			before := foreseePolicies(t, person, namespace, yamls)

			clusterWide(t, c, yamls)
			policiesInForce(t, c, namespace, p.mutating)
			after := oncePolicyIsInForce(t, c, namespace, before)
			sameFuture(t, before, after)
			if diff := cmp.Diff(reasons(before), reasons(after)); diff != "" {
				t.Errorf("refused in other words (-previewed +came):\n%s", diff)
			}
			var blocked []string
			for _, item := range before.Items {
				if item.State == "Blocked" {
					blocked = append(blocked, item.Kind+"/"+item.Name)
				}
			}
			slices.Sort(blocked)
			if !slices.Equal(blocked, p.blocked) {
				t.Errorf("Blocked: %v, want %v: %s", blocked, p.blocked, details(before))
			}
		})
	}
}

// oncePolicyIsInForce is an audit after the API server has learnt of the policy's parameters, which
// it does in its own time, too: the first that finds what was previewed, or the last.
func oncePolicyIsInForce(t *testing.T, c *cluster.Cluster, namespace string, before *report.Report) *report.Report {
	t.Helper()
	var after *report.Report
	err := cluster.Poll(t.Context(), "what was previewed", func(ctx context.Context) error {
		found, err := audit.Run(ctx, c.RESTConfig(), audit.Options{Selection: inventory.Selection{Namespace: namespace}, Concurrency: 4, Log: logr.Discard()})
		if err != nil {
			return err
		}
		if after = found; !slices.Equal(futureOf(before), futureOf(after)) || !slices.Equal(reasons(before), reasons(after)) {
			return errors.New("something else came")
		}
		return nil
	})
	if after == nil {
		t.Fatal(err)
	}
	return after
}

// policiesInForce waits until the API server, which learns of policies in its own time, knows those
// that were made before now: of either kind it knows the last one last.
func policiesInForce(t *testing.T, c *cluster.Cluster, namespace string, mutating bool) {
	t.Helper()
	probe := validation(`object.metadata.name != "probe"`)
	if mutating {
		probe = mutation(patching(`[JSONPatch{op: "replace", path: "/spec/containers/7/image", value: "app:2"}]`), `matchConditions: [{name: probe, expression: "has(object.metadata.name) && object.metadata.name == 'probe'"}]`)
	}
	clusterWide(t, c, probe.documents(namespace+"-probe", namespace))
	err := cluster.Poll(t.Context(), "policies to be in force", func(ctx context.Context) error {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "probe", Namespace: namespace}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:1"}}}}
		_, err := c.Client().CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return errors.New("the probe is not refused yet")
		}
		if !strings.Contains(err.Error(), "'"+namespace) { // its own refusal, or that of what is tried
			return fmt.Errorf("the probe is not refused yet: %w", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
