package acceptance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// changing returns a variable with another value at each call, from values, or
// counted where there are none.
func changing(name string, values ...string) func() []corev1.EnvVar {
	n := 0
	return func() []corev1.EnvVar {
		n++
		value := fmt.Sprint("nonce-", n)
		if len(values) > 0 {
			value = values[n%len(values)]
		}
		return []corev1.EnvVar{{Name: name, Value: value}, {Name: "MODE", Value: "strict"}}
	}
}

// auditIgnoring audits a namespace without the differences at these paths.
func auditIgnoring(t *testing.T, c *cluster.Cluster, namespace string, paths ...string) *report.Report {
	t.Helper()
	opts := audit.Options{Selection: inventory.Selection{Namespace: namespace}, Concurrency: 1}
	for _, path := range paths {
		pattern, err := verdict.ParsePathPattern(path)
		if err != nil {
			t.Fatal(err)
		}
		opts.IgnorePaths = append(opts.IgnorePaths, pattern)
	}
	r, err := audit.Run(t.Context(), auditorConfig(t, c), opts)
	if err != nil {
		t.Fatal(err)
	}
	return advise(t, auditorConfig(t, c), r)
}

// What an injector answers differently each time cannot be judged: workloads that differ
// in nothing else are Unstable, with the field named, and never rolled out. What else
// differs is judged as ever, with the field or without it.
func TestAuditOfAnUnstableInjection(t *testing.T) {
	c := fenced(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	for name, env := range map[string]func() []corev1.EnvVar{
		"another value each time": changing("NONCE"),
		"one of two values":       changing("NONCE", "heads", "tails"),
		"seldom another value":    changing("NONCE", "a", "a", "a", "b"),
	} {
		t.Run(name, func(t *testing.T) {
			proxy.setImage("proxy:1")
			proxy.setEnv(env)
			app := strings.ReplaceAll(name, " ", "-")
			deployWeb(t, c, namespace, 3, app)
			item := itemOf(t, auditIgnoring(t, c, namespace), "Deployment", app)
			if item.State != verdict.Unstable || item.Pods[verdict.Unstable] != 3 || item.Rollout.Eligible {
				t.Errorf("%+v, want it Unstable and not eligible", item)
			}
			if reason := item.Revisions[0].Reason; !strings.Contains(reason, "container/proxy:env[NONCE].value") {
				t.Errorf("reason %q, want the field", reason)
			}
			before := versionsIn(t, c, namespace)
			for _, all := range []string{"--all=false", "--all"} {
				checkReasons(t, "rollout", rolloutCommand(t, c, 0, "-n", namespace, "--confirm", all, "deploy/"+app),
					map[string]string{"Deployment/" + app: "Unstable and never rolled out: fresh injections of the same Pod differ"})
			}
			if diff := cmp.Diff(before, versionsIn(t, c, namespace)); diff != "" {
				t.Errorf("something has changed (-before +after):\n%s", diff)
			}

			const ignored = "container/proxy:env[NONCE]"
			calm := auditIgnoring(t, c, namespace, ignored)
			if item := itemOf(t, calm, "Deployment", app); item.State != verdict.InSync || item.Revisions[0].Ignored == 0 {
				t.Errorf("without the field: %+v", item)
			}
			if diff := cmp.Diff([]string{ignored}, calm.IgnoredPaths); diff != "" {
				t.Errorf("ignored paths (-want +got):\n%s", diff)
			}
			proxy.setImage("proxy:2")
			const image = `container/proxy image: "proxy:1" → "proxy:2"`
			whole := itemOf(t, auditIgnoring(t, c, namespace), "Deployment", app)
			if diff := cmp.Diff([]string{image}, changeLines(verdict.Stable(whole.Revisions[0].Changes))); diff != "" || whole.State != verdict.Drifted || !whole.Rollout.Eligible {
				t.Errorf("%s, eligible %t, changes beside the field (-want +got):\n%s", whole.State, whole.Rollout.Eligible, diff)
			}
			if places := whole.Revisions[0].Varies; !slices.Contains(places, "container/proxy:env[NONCE].value") {
				t.Errorf("varies at %q, want the field", places)
			}
			drifted := itemOf(t, auditIgnoring(t, c, namespace, ignored), "Deployment", app)
			if diff := cmp.Diff([]string{image}, changeLines(drifted.Revisions[0].Changes)); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "deploy/"+app),
				map[string]report.Result{"Deployment/" + app: report.RolledOut})
			if item := itemOf(t, auditIgnoring(t, c, namespace, ignored), "Deployment", app); item.State != verdict.InSync {
				t.Errorf("after the rollout, without the field: %+v", item)
			}
			if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "delete", "deployment", app); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A changed template makes many workloads differ in the same way: a few of them
// are asked about again, and stand for all.
func TestAuditAsksAgainAFewTimes(t *testing.T) {
	c := testCluster(t)
	testProduct(t)
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	asked := 0
	names := []string{"a", "b", "c", "d", "e", "f"}
	deployWeb(t, c, namespace, 1, names...)
	proxy.setImage("proxy:2")
	proxy.setEnv(func() []corev1.EnvVar {
		asked++
		return nil
	})
	var want []string
	for _, name := range names {
		want = append(want, "Deployment/"+name+" Drifted 1")
	}
	checkStates(t, auditIgnoring(t, c, namespace), want...)
	// Once each, and three of them four times more.
	if asked != len(names)+3*4 {
		t.Errorf("the injector was asked %d times, want %d", asked, len(names)+3*4)
	}
}
