package acceptance

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// chain is three injectors of a namespace, of which each sees what those before it have added.
type chain struct {
	namespaces string
	links      [3]*injector.Injector
}

// of names a webhook of the chain.
func (c chain) of(i int) string { return fmt.Sprintf("%s-%d.injector.test", c.namespaces, i) }

func startChain(t *testing.T, c *cluster.Cluster, name string, reinvoke ...int) chain {
	t.Helper()
	all := chain{namespaces: name}
	for i := range all.links {
		opts := injector.Options{
			Name: fmt.Sprintf("%s-%d", name, i), Namespaces: name,
			Webhook: all.of(i), Configuration: fmt.Sprintf("preview-%s-%d", name, i),
		}
		for _, r := range reinvoke {
			opts.Reinvoke = opts.Reinvoke || r == i
		}
		link, err := injector.Start(t.Context(), c, opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := link.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		all.links[i] = link
	}
	return all
}

// standIn is an injector that the API server does not know.
func standIn(t *testing.T, c *cluster.Cluster, name string, answer injector.Answer) *injector.Injector {
	t.Helper()
	i, err := injector.Start(t.Context(), c, injector.Options{Name: name, Unregistered: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Stop() })
	i.Inject(answer)
	return i
}

// knows adds a container whose variable has the names of all other containers that it sees,
// and brings it up to date when it is asked again.
func knows(name, image string) injector.Answer {
	return func(r injector.Request) []injector.Operation {
		var seen []string
		at := -1
		for i, container := range r.Pod.Spec.Containers {
			if container.Name == name {
				at = i
				continue
			}
			seen = append(seen, container.Name+" "+container.Image)
		}
		sidecar := corev1.Container{Name: name, Image: image, Env: []corev1.EnvVar{{Name: "SEEN", Value: strings.Join(seen, ",")}}}
		if at < 0 {
			return []injector.Operation{injector.AddContainer(sidecar)}
		}
		if r.Pod.Spec.Containers[at].Env[0].Value == sidecar.Env[0].Value {
			return nil
		}
		return []injector.Operation{{Op: "replace", Path: fmt.Sprintf("/spec/containers/%d/env/0/value", at), Value: sidecar.Env[0].Value}}
	}
}

// Each of a chain of injectors is previewed where it is in it, what is asked again included,
// and two of them at once.
func TestPreviewOfAChain(t *testing.T) {
	c := testCluster(t)
	config := c.RESTConfig()
	all := startChain(t, c, "chain", 0, 1)
	before := [3]injector.Answer{knows("one", "one:1"), knows("two", "two:1"), knows("three", "three:1")}
	put := func(answers [3]injector.Answer) {
		for i, answer := range answers {
			all.links[i].Inject(answer)
		}
	}
	put(before)
	namespace := namespaceWith(t, c, map[string]string{injector.NamespaceLabel: "chain"})
	waitInjected(t, c, namespace, "three")
	populate(t, c, namespace, population(14, 60))

	for name, after := range map[string]map[int]injector.Answer{
		"the first":          {0: knows("one", "one:2")},
		"the one in between": {1: knows("two", "two:2")},
		"the last":           {2: knows("three", "three:2")},
		"two at once":        {0: knows("one", "one:3"), 2: knows("three", "three:3")},
		"another container":  {1: knows("second", "two:1")},
		"no container":       {0: injector.Nothing},
		"variables":          {2: injector.Each(knows("three", "three:1"), injector.Variables(corev1.EnvVar{Name: "ADDED", Value: "yes"}))},
	} {
		t.Run(name, func(t *testing.T) {
			opts := instead(t, "", standIn(t, c, "chain-none", injector.Nothing))
			opts.Candidates = nil
			answers := before
			for i, answer := range after {
				opts = both(opts, instead(t, all.of(i), standIn(t, c, fmt.Sprintf("chain-next-%d", i), answer)))
				answers[i] = answer
			}
			preview := foresee(t, config, namespace, opts)
			put(answers)
			defer put(before)
			sameFuture(t, preview, auditOf(t, c, inventory.Selection{Namespace: namespace}))
			if p := preview.Preview; p.Previewed != len(preview.Items) || len(p.Changes) == 0 {
				t.Errorf("%d of %d workloads previewed, %d changes", p.Previewed, len(preview.Items), len(p.Changes))
			}
		})
	}
}

// waitInjected waits until Pods of the namespace get the container.
func waitInjected(t *testing.T, c *cluster.Cluster, namespace, container string) {
	t.Helper()
	err := cluster.Poll(t.Context(), "injection", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "", "-n", namespace, "run", "probe", "--image", "app:1", "--dry-run=server", "-o", "jsonpath={.spec.containers[*].name}")
		if err == nil && !strings.Contains(out, container) {
			err = fmt.Errorf("no %s in %s", container, out)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An injector that goes by what cannot be reconstructed is found out, and only where it does.
func TestPreviewChecksItself(t *testing.T) {
	c := testCluster(t)
	config := c.RESTConfig()
	all := startChain(t, c, "check")
	proxy := func(value func(injector.Request) string) injector.Answer {
		return func(r injector.Request) []injector.Operation {
			return []injector.Operation{injector.AddContainer(corev1.Container{
				Name: "proxy", Image: "proxy:1", Env: []corev1.EnvVar{{Name: "VALUE", Value: value(r)}},
			})}
		}
	}
	plain := proxy(func(injector.Request) string { return "plain" })
	all.links[0].Inject(plain)
	next := standIn(t, c, "check-next", proxy(func(injector.Request) string { return "next" }))
	opts := instead(t, all.of(0), next)
	namespace := namespaceWith(t, c, map[string]string{injector.NamespaceLabel: "check"})
	waitInjected(t, c, namespace, "proxy")
	deployWeb(t, c, namespace, 1, "web")
	defer all.links[0].Inject(plain)

	var asked int
	for name, looks := range map[string]func(injector.Request) string{
		"at the time":   func(injector.Request) string { return time.Now().Format(time.RFC3339Nano) },
		"at the caller": func(r injector.Request) string { return fmt.Sprint(len(r.User.Extra), r.User.Groups, r.User.UID) },
		"at another object": func(injector.Request) string {
			asked++ // as if somebody changed it all the time
			return fmt.Sprint("generation ", asked)
		},
	} {
		t.Run(name, func(t *testing.T) {
			all.links[0].Inject(proxy(looks))
			as := injection.Auto
			if name == "at the caller" {
				as = injection.Self // and a review is as from the controller
			}
			web := itemOf(t, foreseeAs(t, config, as, namespace, opts), "Deployment", "web")
			reason := web.Revisions[0].Reason
			if web.State != verdict.Unknown || !strings.Contains(reason, "cannot be reconstructed") || !strings.Contains(reason, "container/proxy:env[VALUE].value") {
				t.Errorf("%s: %s", web.State, reason)
			}
		})
	}
	all.links[0].Inject(plain)
	web := itemOf(t, foresee(t, config, namespace, opts), "Deployment", "web")
	if web.State != verdict.Drifted {
		t.Errorf("one that goes by the Pod alone: %s, %s", web.State, web.Revisions[0].Reason)
	}
}

// Another injector that answers differently each time is no reason to say nothing of this one.
func TestPreviewBesideARestlessInjector(t *testing.T) {
	c := testCluster(t)
	all := startChain(t, c, "beside")
	container := func(name, image string) injector.Answer {
		return func(injector.Request) []injector.Operation {
			return []injector.Operation{injector.AddContainer(corev1.Container{Name: name, Image: image})}
		}
	}
	asked := 0
	all.links[0].Inject(func(r injector.Request) []injector.Operation {
		asked++
		return container("restless", fmt.Sprint("restless:", asked))(r)
	})
	all.links[1].Inject(container("proxy", "proxy:1"))
	namespace := namespaceWith(t, c, map[string]string{injector.NamespaceLabel: "beside"})
	waitInjected(t, c, namespace, "proxy")
	deployWeb(t, c, namespace, 1, "web")
	next := standIn(t, c, "beside-next", container("proxy", "proxy:2"))
	web := itemOf(t, foresee(t, c.RESTConfig(), namespace, instead(t, all.of(1), next)), "Deployment", "web")
	if lines := strings.Join(changeLines(web.Revisions[0].Changes), "\n"); web.State != verdict.Drifted || !strings.Contains(lines, `"proxy:1" → "proxy:2"`) {
		t.Errorf("%s, %s:\n%s", web.State, web.Revisions[0].Reason, lines)
	}
	web = itemOf(t, foresee(t, c.RESTConfig(), namespace, instead(t, all.of(0), next)), "Deployment", "web")
	if web.State != verdict.Unknown {
		t.Errorf("a candidate for the restless one itself: %s, want Unknown", web.State)
	}
}

// What a MutatingAdmissionPolicy adds, which cannot be asked, is taken from the dry run: the
// webhooks are given it, and it stays.
func TestPreviewBesideAPolicy(t *testing.T) {
	c := testCluster(t)
	all := startChain(t, c, "policed")
	counts := func(image string) injector.Answer {
		return func(r injector.Request) []injector.Operation {
			seen := fmt.Sprint(len(r.Pod.Spec.Containers[0].Env), r.Pod.Annotations["policed"])
			return []injector.Operation{injector.AddContainer(corev1.Container{Name: "proxy", Image: image, Args: []string{seen}})}
		}
	}
	all.links[0].Inject(counts("proxy:1"))
	namespace := namespaceWith(t, c, map[string]string{injector.NamespaceLabel: "policed"})
	clusterWide(t, c, strings.ReplaceAll(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: preview-NAMESPACE}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  reinvocationPolicy: Never
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: >-
        Object{metadata: Object.metadata{annotations: {"policed": "yes"}},
          spec: Object.spec{containers: object.spec.containers.map(c, Object.spec.containers{name: c.name,
            env: [Object.spec.containers.env{name: "POLICED", value: "yes"}]})}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: preview-NAMESPACE}
spec: {policyName: preview-NAMESPACE}
`, "NAMESPACE", namespace))
	err := cluster.Poll(t.Context(), "the policy and the injector", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "", "-n", namespace, "run", "probe", "--image", "app:1", "--dry-run=server", "-o", "jsonpath={.spec.containers[*].args}")
		if err == nil && !strings.Contains(out, "1 yes") && !strings.Contains(out, "1yes") {
			err = fmt.Errorf("%q", out)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ofAllOwners(t, c, namespace)
	next := standIn(t, c, "policed-next", counts("proxy:2"))
	preview := foresee(t, c.RESTConfig(), namespace, instead(t, all.of(0), next))
	all.links[0].Inject(counts("proxy:2"))
	sameFuture(t, preview, auditOf(t, c, inventory.Selection{Namespace: namespace}))
	if reason := reasonOf(t, preview, "Deployment", "web"); preview.Preview.Previewed != len(preview.Items) || !strings.Contains(reason, "preview-"+namespace) {
		t.Errorf("%d of %d previewed; %q", preview.Preview.Previewed, len(preview.Items), reason)
	}
}
