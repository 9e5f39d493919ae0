package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/dapr"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// What a candidate, or the API server after it, would refuse is Blocked, and just that is once
// it is there.
func TestPreviewOfRefusals(t *testing.T) {
	c := testCluster(t)
	config := c.RESTConfig()
	all := startChain(t, c, "refuse")
	adds := func(container any) injector.Answer {
		return func(injector.Request) []injector.Operation {
			return []injector.Operation{injector.AddContainer(container)}
		}
	}
	before := adds(corev1.Container{Name: "proxy", Image: "proxy:1"})
	all.links[1].Inject(before)
	namespace := namespaceWith(t, c, map[string]string{injector.NamespaceLabel: "refuse"})
	waitInjected(t, c, namespace, "proxy")
	ofAllOwners(t, c, namespace)
	for name, after := range map[string]injector.Answer{
		"by itself":            injector.Refuses("not today"),
		"a name":               adds(corev1.Container{Name: "Not A Name", Image: "proxy:1"}),
		"no image":             adds(corev1.Container{Name: "proxy"}),
		"a mount of no volume": adds(corev1.Container{Name: "proxy", Image: "proxy:1", VolumeMounts: []corev1.VolumeMount{{Name: "none", MountPath: "/none"}}}),
		"two of a name":        adds(corev1.Container{Name: "app", Image: "proxy:1"}),
	} {
		t.Run(name, func(t *testing.T) {
			preview := foresee(t, config, namespace, instead(t, all.of(1), standIn(t, c, "refuse-next", after)))
			all.links[1].Inject(after)
			defer all.links[1].Inject(before)
			came := auditOf(t, c, inventory.Selection{Namespace: namespace})
			if diff := cmp.Diff(refusalsIn(came), refusalsIn(preview)); diff != "" {
				t.Errorf("refusals (-came +previewed):\n%s", diff)
			}
			for _, item := range preview.Items {
				if item.State != verdict.Blocked || item.Revisions[0].Candidate.State != verdict.Blocked {
					t.Errorf("%s/%s is %s, of the candidate's making %s", item.Kind, item.Name, item.State, item.Revisions[0].Candidate.State)
				}
			}
		})
	}
}

// refusalsIn are the states and reasons of a report's workloads.
func refusalsIn(r *report.Report) map[string]string {
	all := map[string]string{}
	for _, item := range r.Items {
		reason, _, _ := strings.Cut(item.Revisions[0].Reason, "; ")
		all[item.Kind+"/"+item.Name] = fmt.Sprintf("%s %s", item.State, quotedPod.ReplaceAllString(reason, `Pod "…"`))
	}
	return all
}

// A namespace's PodSecurity refuses what Istio's init container may do, until a CNI plugin does
// it: a preview says so in both directions, of Pods that are refused today, too.
func TestPreviewOfPodSecurity(t *testing.T) {
	c := testCluster(t)
	present := testIstio(t)
	config := auditorConfig(t, c)
	next, err := istio.Start(t.Context(), c, istio.Options{Set: istio.Values("1.27.0", "100m"), Unregistered: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Stop() })
	namespace := namespaceWith(t, c, injected)
	deployWeb(t, c, namespace, 1, "web")
	if _, err := c.Kubectl(t.Context(), "", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=baseline"); err != nil {
		t.Fatal(err)
	}
	classic, plugin := istio.Values("1.27.0", "100m"), istio.Values("1.27.0", "100m", "components.cni.enabled=true", "values.pilot.cni.enabled=true")
	for _, step := range []struct {
		name         string
		now, then    []string
		state        verdict.State
		ofItsMaking  verdict.State
		mentionsInit bool
	}{
		{"refused before and after", classic, classic, verdict.Blocked, verdict.InSync, true},
		{"refused no more", classic, plugin, verdict.Drifted, verdict.InSync, false},
		{"refused from then on", plugin, classic, verdict.Blocked, verdict.Blocked, true},
	} {
		if err := present.Update(t.Context(), step.now...); err != nil {
			t.Fatal(err)
		}
		if err := next.Update(t.Context(), step.then...); err != nil {
			t.Fatal(err)
		}
		preview := foresee(t, config, namespace, instead(t, webhookOfIstio, next))
		web := itemOf(t, preview, "Deployment", "web")
		if web.State != step.state || web.Revisions[0].Candidate.State != step.ofItsMaking || strings.Contains(web.Revisions[0].Reason, "istio-init") != step.mentionsInit {
			t.Errorf("%s: %s, of the candidate's making %+v:\n%s", step.name, web.State, web.Revisions[0].Candidate, details(preview))
		}
		if err := present.Update(t.Context(), step.then...); err != nil {
			t.Fatal(err)
		}
		sameFuture(t, preview, auditOf(t, c, inventory.Selection{Namespace: namespace}))
	}
}

// The real Dapr tells controllers by their UIDs, which a preview has, too.
func TestPreviewOfDapr(t *testing.T) {
	c := testCluster(t)
	present, err := dapr.Start(t.Context(), c, dapr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := present.Uninstall(context.Background()); err != nil {
			t.Error(err)
		}
	})
	anchors, err := os.ReadFile(present.CAFile()) // which are the default
	if err != nil {
		t.Fatal(err)
	}
	then := dapr.Options{SidecarImage: "daprio/daprd:1.15.0", TrustAnchors: string(anchors)}
	unregistered := then
	unregistered.Unregistered = true
	next, err := dapr.Start(t.Context(), c, unregistered)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Stop() })
	namespace := namespaceWith(t, c, nil)
	ofAllOwners(t, c, namespace)

	preview := foresee(t, c.RESTConfig(), namespace, instead(t, dapr.Configuration, next))
	if err := present.Configure(t.Context(), then); err != nil {
		t.Fatal(err)
	}
	after := foresee(t, c.RESTConfig(), namespace, instead(t, dapr.Configuration, next))
	came, err := audit.Run(t.Context(), c.RESTConfig(), audit.Options{Selection: inventory.Selection{Namespace: namespace}, Concurrency: 4})
	if err != nil {
		t.Fatal(err)
	}
	sameFuture(t, preview, came)
	web := itemOf(t, preview, "Deployment", "web")
	if want := `container/daprd image: "daprio/daprd:1.14.0" → "daprio/daprd:1.15.0"`; !strings.Contains(strings.Join(changeLines(web.Revisions[0].Changes), "\n"), want) {
		t.Errorf("%s, without %q:\n%s", web.State, want, details(preview))
	}
	if len(after.Preview.Changes) != 0 {
		t.Errorf("of what is there the candidate changes %+v", after.Preview.Changes)
	}
}

// The command, as a pipeline has it: a program answers, drift of today fails nothing.
func TestPreviewCommand(t *testing.T) {
	c := testCluster(t)
	testProduct(t)
	all := startChain(t, c, "command")
	proxy := func(image string) injector.Answer {
		return func(injector.Request) []injector.Operation {
			return []injector.Operation{injector.AddContainer(corev1.Container{Name: "proxy", Image: image})}
		}
	}
	all.links[0].Inject(proxy("proxy:0"))
	namespace := namespaceWith(t, c, map[string]string{injector.NamespaceLabel: "command"})
	waitInjected(t, c, namespace, "proxy")
	deployWeb(t, c, namespace, 2, "web")
	all.links[0].Inject(proxy("proxy:1"))
	next := standIn(t, c, "command-next", proxy("proxy:1"))
	command := func(args ...string) (out, errOut string, code int) {
		t.Helper()
		args = append([]string{"preview", "--kubeconfig", c.Kubeconfig(), "-n", namespace}, args...)
		cmd := exec.CommandContext(t.Context(), testProduct(t).CLI, args...)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
	}
	server := []string{"--webhook", all.of(0) + "=" + next.URL(), "--webhook-ca", next.CAFile()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := []string{"--webhook", fmt.Sprintf("%s=exec:%s='%s %s' '%s'", all.of(0), answererVariable, next.URL(), next.CAFile(), self)}
	for name, how := range map[string][]string{"a server": server, "a program": program} {
		out, errOut, code := command(append(how, "--exit-code")...)
		if code != 0 || !strings.Contains(out, "proxy image 0 → 1 (drift of today)") || !strings.Contains(out, "The candidate changes nothing that is injected.") {
			t.Errorf("%s that is as the present one: exit code %d\n%s%s", name, code, out, errOut)
		}
	}
	next.Inject(func(injector.Request) []injector.Operation {
		return []injector.Operation{injector.AddContainer(corev1.Container{Name: "proxy", Image: "proxy:1", Args: []string{"--new"}})}
	})
	out, errOut, code := command(append(server, "--fail-on", "behaviour", "-o", "markdown")...)
	for _, want := range []string{"### Preview", ": 1 workload would change", "#### What the candidate changes", "| proxy args", "**behaviour**", "(in part drift of today)"} {
		if code != 1 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, without %q:\n%s%s", code, want, out, errOut)
		}
	}
	out, _, _ = command(append(server, "-o", "json")...)
	var r report.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if p := r.Preview; p == nil || p.Previewed != 1 || len(p.Webhooks) != 1 || p.Webhooks[0].Webhook != "preview-command-0/"+all.of(0) || p.Webhooks[0].Candidate != next.URL() {
		t.Errorf("preview: %+v", r.Preview)
	}
	if web := itemOf(t, &r, "Deployment", "web"); !web.Rollout.Eligible {
		t.Errorf("a rollout would not take it then: %+v", web.Rollout)
	}
	next.Inject(injector.Fails)
	if out, _, code := command(append(server, "--exit-code")...); code != 2 || !strings.Contains(out, "the candidate for preview-command-0/") {
		t.Errorf("a candidate that is down: exit code %d\n%s", code, out)
	}
}
