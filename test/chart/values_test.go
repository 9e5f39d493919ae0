package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

func TestChartPassesLint(t *testing.T) {
	_, all := together(components...)
	for _, h := range helms(t) {
		t.Run(h.name, func(t *testing.T) {
			h.must(t, "lint", "--strict", dir)
			args := []string{"lint", "--strict", dir}
			for _, value := range all {
				args = append(args, "--set-json", value)
			}
			h.must(t, args...)
		})
	}
}

// What cannot be installed is refused with what to do, before anything is changed.
func TestValuesAreChecked(t *testing.T) {
	for _, tt := range []struct {
		name, values, want string
		// byBoth: by Helm 3, too. A schema, a template and what null does are enough of it.
		byBoth bool
	}{
		{name: "an unknown key", values: "stampr: {}", want: "stampr", byBoth: true},
		{name: "an unknown key of a component", values: "auditor: {replica: 3}", want: "replica"},
		{name: "an unknown mode", values: "certificates: {mode: vault}", want: "selfManaged"},
		{name: "a key that the configuration does not know", values: "configuration: {intervall: 30s}", want: "intervall"},
		{name: "a value that the configuration refuses", values: "configuration: {dryRunAs: root}", want: "dryRunAs"},
		{name: "a timeout that API servers refuse", values: "webhook: {timeoutSeconds: 60}", want: "timeoutSeconds"},
		{name: "a group that would end the policy's string", values: `people: {group: "a' || true || '"}`, want: "group"},
		{name: "an annotation prefix of an injector", values: "rollout: {annotationPrefixes: [sidecar.istio.io/x]}", want: "annotationPrefixes"},
		{name: "a digest that is none", values: "image: {digest: latest}", want: "digest"},
		{name: "rollouts by nobody", values: "autoRollout: {enabled: true}\nconfiguration: {autoRollout: {enabled: true}}", want: "autoRollout.enabled needs rollout.enabled=true", byBoth: true},
		{name: "rollouts without a policy", values: "rollout: {enabled: true}\nautoRollout: {enabled: true}", want: "configuration.autoRollout with enabled: true"},
		{name: "a policy without rollouts", values: "configuration: {autoRollout: {enabled: true}}", want: "needs autoRollout.enabled=true"},
		{name: "rollouts at any time", values: "rollout: {enabled: true}\nautoRollout: {enabled: true}\nconfiguration: {autoRollout: {enabled: true}}", want: "configuration.autoRollout.windows"},
		{name: "causes without the right", values: "configuration: {causes: true}", want: "causes.enabled=true"},
		{name: "reports without the right", values: "configuration: {policyReports: true}", want: "policyReports.enabled=true"},
		{name: "URLs of a Secret that is not mounted", values: "configuration: {notify: [{name: chat, kind: slack, urlFile: /etc/sidecar-drift-notify/chat}]}", want: "the sink chat of configuration.notify needs notifications.enabled=true"},
		{name: "scrapes without a token", values: "authorization: {enabled: true}\nmonitoring: {enabled: true}", want: "needs monitoring.authorization"},
		{name: "a component that is null", values: "stamper: null", want: "stamper", byBoth: true},
		{name: "a map that is null", values: "auditor: {podLabels: null}", want: "podLabels", byBoth: true},
		{name: "a fence that is null", values: "rollout: {annotationPrefixes: null}", want: "annotationPrefixes", byBoth: true},
		{name: "an image that is YAML", values: "image: {repository: 'a: b'}", want: "repository"},
		{name: "a resize by nobody", values: "resize: {enabled: true}", want: "resize.enabled needs rollout.enabled=true"},
		{name: "one port for two", values: "stamper: {ports: {https: 8080}}", want: "three different ports"},
		{name: "a port that is none", values: "stamper: {ports: {https: 70000}}", want: "https"},
		{name: "a port that is root's", values: "stamper: {ports: {https: 443}}", want: "https"},
		{name: "a Secret without a name", values: "certificates: {mode: existingSecret}", want: "certificates.existingSecret.name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "values.yaml")
			if err := os.WriteFile(file, []byte(tt.values), 0o644); err != nil {
				t.Fatal(err)
			}
			for _, h := range helms(t) {
				if h.name == "Helm 3" && !tt.byBoth {
					continue
				}
				out, err := h.run(t.Context(), "template", release, dir, "-f", file)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s says %v, want %q:\n%s", h.name, err, tt.want, out)
				}
			}
		})
	}
}

// What others are selected by is ours, whatever a user labels; and strings stay strings.
func TestValuesTakeNothingAway(t *testing.T) {
	files, err := Render(t.Context(), dir, `commonLabels={"app.kubernetes.io/name":"x","app.kubernetes.io/component":"mine","app.kubernetes.io/part-of":"platform"}`,
		`stamper={"podLabels":{"app.kubernetes.io/component":"mine"},"replicas":null,"priorityClassName":"true"}`, "people={\"enabled\":true,\"group\":\"123\"}",
		"monitoring.enabled=true", `monitoring.labels={"app.kubernetes.io/instance":"kube-prometheus-stack"}`, `certificates.mode="certManager"`,
		`webhook.annotations={"cert-manager.io/inject-ca-from":"other/x","note":"mine"}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text := strings.Join(file.Documents, "---\n")
		objects, err := cluster.Objects(text)
		if err != nil {
			t.Fatalf("%s: %v", file.Template, err)
		}
		for _, object := range objects {
			labels := object.GetLabels()
			selected := object.GetKind() == "Deployment" || object.GetKind() == "Service"
			if labels["app.kubernetes.io/name"] != "sidecar-drift" || labels["app.kubernetes.io/part-of"] != "sidecar-drift" || selected && labels["app.kubernetes.io/component"] == "mine" {
				t.Errorf("%s %s has the labels %v", object.GetKind(), object.GetName(), labels)
			}
		}
		for _, wrong := range []string{"replicas: null", "replicas: \n", "priorityClassName: true", "name: 123", "inject-ca-from: other/x"} {
			if strings.Contains(text, wrong) {
				t.Errorf("%s holds %q:\n%s", file.Template, wrong, text)
			}
		}
	}
}

// Every value reaches the objects that it is for.
func TestValuesReachTheObjects(t *testing.T) {
	pods := `{"replicas":3,"nodeSelector":{"pool":"platform"},"tolerations":[{"key":"infra"}],"affinity":{"nodeAffinity":{}},
		"topologySpreadConstraints":[{"topologyKey":"rack"}],"priorityClassName":"critical","podLabels":{"team":"mesh"},"podAnnotations":{"note":"x"},
		"extraArgs":["--v=1"],"extraEnv":[{"name":"HTTPS_PROXY","value":"p"}],"extraVolumes":[{"name":"ca","emptyDir":{}}],
		"extraVolumeMounts":[{"name":"ca","mountPath":"/ca"}],"resources":{"limits":{"memory":"1Gi"}},
		"securityContext":{"runAsUser":1234},"podSecurityContext":{"fsGroup":1234},
		"terminationGracePeriodSeconds":90,"strategy":{"type":"Recreate"},"serviceAccountAnnotations":{"role":"mine"}}`
	files, err := Render(t.Context(), dir,
		"stamper="+pods, "auditor="+pods, "certificates="+pods,
		`image={"repository":"registry.example.com/tools/sd","tag":"v9","pullPolicy":"Always","pullSecrets":[{"name":"pull"}]}`,
		`commonLabels={"cost-center":"42"}`, `commonAnnotations={"owner":"platform"}`)
	if err != nil {
		t.Fatal(err)
	}
	deployments, accounts := 0, 0
	for _, file := range files {
		for _, text := range file.Documents {
			if !strings.Contains(text, "cost-center: \"42\"") && !strings.Contains(text, "cost-center: 42") {
				t.Errorf("%s: an object has no common label:\n%s", file.Template, text)
			}
			if !strings.Contains(text, "owner: platform") {
				t.Errorf("%s: an object has no common annotation:\n%s", file.Template, text)
			}
			if strings.Contains(text, "kind: ServiceAccount\nmetadata") && strings.Contains(text, "role: mine") {
				accounts++
			}
			if !strings.Contains(text, "kind: Deployment") {
				continue
			}
			deployments++
			for _, want := range []string{
				"replicas: 3", "pool: platform", "key: infra", "nodeAffinity: {}", "topologyKey: rack", `priorityClassName: "critical"`,
				"team: mesh", "note: x", "- --v=1", "name: HTTPS_PROXY", "emptyDir: {}", "mountPath: /ca", "memory: 1Gi", "runAsUser: 1234",
				"fsGroup: 1234", `image: "registry.example.com/tools/sd:v9"`, "imagePullPolicy: Always", "- name: pull",
				"terminationGracePeriodSeconds: 90", "type: Recreate",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("%s: no %q in:\n%s", file.Template, want, text)
				}
			}
		}
	}
	if deployments != 3 || accounts != 3 {
		t.Errorf("%d Deployments and %d ServiceAccounts, want 3 and 3", deployments, accounts)
	}
	digest := "sha256:" + strings.Repeat("0a", 32)
	files, err = Render(t.Context(), dir, `image.digest="`+digest+`"`)
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, file := range files {
		named += strings.Count(strings.Join(file.Documents, ""), `image: "sidecar-drift/sidecar-drift@`+digest)
	}
	if named != 3 {
		t.Errorf("%d images by their digest, want 3", named)
	}
}

// The stamper in the network of the nodes listens where it is told, the probes and
// monitors follow, and policies let in and out whom they name.
func TestNetworkValues(t *testing.T) {
	files, err := Render(t.Context(), dir, "stamper.hostNetwork=true", `stamper.ports={"https":10443,"metrics":10080,"health":10081}`, `stamper.extraArgs=["--log-format=json"]`,
		`networkPolicy.webhookFrom=[{"ipBlock":{"cidr":"10.1.0.0/28"}}]`, `networkPolicy.metricsFrom=[{"namespaceSelector":{"matchLabels":{"name":"monitoring"}}}]`,
		`networkPolicy.egress=[{"to":[{"ipBlock":{"cidr":"10.2.0.0/28"}}]}]`, "namespace.create=true",
		"monitoring.enabled=true", `monitoring.relabelings=[{"targetLabel":"cluster","replacement":"prod"}]`, `monitoring.metricRelabelings=[{"action":"labeldrop","regex":"pod"}]`)
	if err != nil {
		t.Fatal(err)
	}
	text := map[string]string{}
	for _, file := range files {
		for _, document := range file.Documents {
			objects, err := cluster.Objects(document)
			if err != nil {
				t.Fatalf("%s: %v", file.Template, err)
			}
			for _, object := range objects {
				text[object.GetKind()+"/"+object.GetName()] = document
			}
		}
	}
	for name, want := range map[string][]string{
		"Deployment/sidecar-drift-webhook": {
			"hostNetwork: true", "maxUnavailable: 1", "--bind-address=:10443", "--metrics-bind-address=:10080", "--health-probe-bind-address=:10081", "--log-format=json",
			"containerPort: 10443", "containerPort: 10080", "containerPort: 10081",
		},
		"NetworkPolicy/sidecar-drift-webhook":  {"cidr: 10.1.0.0/28", "name: monitoring"},
		"NetworkPolicy/sidecar-drift-auditor":  {"cidr: 10.2.0.0/28", "name: monitoring"},
		"NetworkPolicy/sidecar-drift-certs":    {"cidr: 10.2.0.0/28", "name: monitoring"},
		"PodMonitor/sidecar-drift-webhook":     {"replacement: prod", "action: labeldrop"},
		"PodMonitor/sidecar-drift-certs":       {"replacement: prod", "action: labeldrop"},
		"ServiceMonitor/sidecar-drift-auditor": {"replacement: prod", "action: labeldrop"},
		"Namespace/sidecar-drift":              {"enforce: privileged"},
	} {
		for _, part := range want {
			if !strings.Contains(text[name], part) {
				t.Errorf("%s: no %q in:\n%s", name, part, text[name])
			}
		}
	}
	// Egress to everywhere is what the default has, and nothing else.
	if strings.Contains(text["NetworkPolicy/sidecar-drift-auditor"], "- {}") {
		t.Error("the auditor may still reach everything")
	}
	if strings.Contains(text["Deployment/sidecar-drift-auditor"], "hostNetwork") {
		t.Error("the auditor is in the network of the nodes, too")
	}
}

// A number of --set is of another type than one of a file.
func TestPortsOfTheCommandLineAreChecked(t *testing.T) {
	for _, h := range helms(t) {
		out, err := h.run(t.Context(), "template", release, dir, "--set", "stamper.ports.https=8080")
		if err == nil || !strings.Contains(err.Error(), "three different ports") {
			t.Errorf("%s says %v:\n%s", h.name, err, out)
		}
	}
}
