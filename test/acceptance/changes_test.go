package acceptance

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// One change of an injector is one change of the report, however many workloads have it, and
// a rollout takes what has no other.
func TestChangesAreChosen(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	adds := func(image string, portOf string) injector.Answer {
		return func(r injector.Request) []injector.Operation {
			proxy := corev1.Container{Name: "proxy", Image: image}
			if r.Pod.Labels["app"] == portOf {
				proxy.Ports = []corev1.ContainerPort{{ContainerPort: 15021}}
			}
			return []injector.Operation{injector.AddContainer(proxy)}
		}
	}
	namespace, running := startOwnInjector(t, c, adds("mesh/proxy:1.28.0", ""))
	deployWeb(t, c, namespace, 1, "web", "api")
	running.Inject(adds("mesh/proxy:1.29.0", "api"))

	var found report.Report
	if err := json.Unmarshal([]byte(auditAs(t, c, namespace, "json", 1)), &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Changes) != 2 {
		t.Fatalf("changes %+v, want an image and a port", found.Changes)
	}
	image, port := found.Changes[0], found.Changes[1]
	if image.Summary != "proxy image 1.28.0 → 1.29.0" || image.Risk != change.Version || image.Workloads != 2 || image.Pods != 2 || image.Namespaces != 1 {
		t.Errorf("image: %+v", image)
	}
	if port.Kind != change.Network || port.Risk != change.Behaviour || port.Workloads != 1 {
		t.Errorf("port: %+v", port)
	}

	// Nothing else changes Pods there, but for the stamper.
	for _, c := range found.Changes {
		if configuration, _, _ := strings.Cut(c.Webhook, "/"); configuration != "test-injector-"+namespace {
			t.Errorf("change %s is %q's, want the injector %s", c.ID, c.Webhook, namespace)
		}
	}

	for by, want := range map[string]string{
		"change":    "    " + namespace + ": Deployment api, web\n",
		"label=app": "APP  WORKLOADS  PODS  DRIFT    STATES     CHANGES\napi  1          1     100.0 %  1 Drifted  #1 and 1 of their own\nweb  1          1     100.0 %  1 Drifted  #1\n",
	} {
		out, err := exec.CommandContext(t.Context(), testProduct(t).CLI, "audit", "--kubeconfig", c.Kubeconfig(), "-n", namespace, "--group-by", by).Output()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("--group-by %s: %v: no %q in\n%s", by, err, want, out)
		}
	}

	// Alone, all that it differs in is one change.
	left := map[string]string{"Deployment/api": " (container/proxy:image and 1 more), which --change does not name"}
	checkReasons(t, "the image alone, of what has more", rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "--change", image.ID, "deploy/api"), left)
	checkReasons(t, "no more than versions", rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "--max-risk", "version", "deploy/api"),
		map[string]string{"Deployment/api": "what would change is behaviour (ports: proxy:ports["})
	checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "--change", image.ID), map[string]report.Result{"Deployment/web": report.RolledOut, "Deployment/api": report.Skipped})
	checkResults(t, rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "--change", image.ID, "--change", port.ID, "deploy/api"), map[string]report.Result{"Deployment/api": report.RolledOut})
	auditNamespace(t, c, namespace, "Deployment/api InSync 1", "Deployment/web InSync 1")
}
