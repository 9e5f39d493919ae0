package change

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func TestAssess(t *testing.T) {
	type side = string
	for _, test := range []struct {
		part, path string
		from, to   side
		lost       bool
		kind       Kind
		risk       Risk
		reason     string
	}{
		{"container/p", "", `{"name":"p"}`, "", true, ContainerRemoved, Loss, "what was injected is lost"},
		{"container/app", "env[A]", `{"name":"A"}`, "", true, Other, Loss, "what was injected is only taken away"},
		{"initContainer/p-init", "", `{"name":"p-init"}`, "", false, ContainerRemoved, Behaviour, "a container goes"},
		{"container/p", "", "", `{"name":"p"}`, false, ContainerAdded, Behaviour, "a container comes"},
		{"initContainer/p", BecomesNative, "", "", false, ContainerAdded, Behaviour, "a container becomes a native sidecar"},
		{"container/p", "image", `"p:1.2.3"`, `"p:1.2.4"`, false, Image, Version, imagePatch},
		{"app/web", "image", `"web:1"`, `"web@sha256:ab"`, false, Image, Version, imageDigest},
		{"container/p", "resources.requests.cpu", `"1"`, `"2"`, false, Resources, Tuning, "CPU and memory"},
		{"container/p", "resources.limits", "", `{"cpu":"1"}`, false, Resources, Tuning, "CPU and memory"},
		{"container/p", "resources.limits", `{"cpu":"1"}`, `{"nvidia.com/gpu":"1"}`, false, Resources, Behaviour, "other resources than CPU and memory"},
		{"container/p", "resources.limits.nvidia.com/gpu", "", `"1"`, false, Resources, Behaviour, "other resources than CPU and memory"},
		{"container/p", "resources.requests.hugepages-2Mi", "", `"1Gi"`, false, Resources, Behaviour, "other resources than CPU and memory"},
		{"container/p", "resources.limits.ephemeral-storage", `"1Gi"`, `"1Mi"`, false, Resources, Behaviour, "other resources than CPU and memory"},
		{"container/p", "resources.limits.cpu.later", `"1"`, `"2"`, false, Resources, Behaviour, "other resources than CPU and memory"},
		{"container/p", "resources.requests", `{"cpu":"1","ephemeral-storage":"1Gi"}`, "", false, Resources, Behaviour, "other resources than CPU and memory"},
		{"container/p", "resources.requests", `"{\"cpu\": … (9000 bytes)"`, "", false, Resources, Behaviour, "other resources than CPU and memory"},
		{"container/p", "resources", `{"limits":{"memory":"1Gi"},"requests":{"cpu":"1"}}`, "", false, Resources, Tuning, "CPU and memory"},
		{"container/p", "resources", "", `{"limits":{"memory":"1Gi","nvidia.com/gpu":"1"}}`, false, Resources, Behaviour, "other resources than CPU and memory"},
		{"container/p", "resources", "", `{"claims":[{"name":"gpu"}],"limits":{"memory":"1Gi"}}`, false, Resources, Behaviour, "claimed devices"},
		{"container/p", "resources", `{"limits":{"cpu":"1"}}`, `{"claims":[{"name":"gpu"}]}`, false, Resources, Behaviour, "claimed devices"},
		{"pod", "resources.limits.memory", `"1Gi"`, `"2Gi"`, false, Resources, Tuning, "CPU and memory"},
		{"container/p", "resizePolicy[cpu].restartPolicy", `"NotRequired"`, `"RestartContainer"`, false, Resources, Tuning, "CPU and memory"},
		{"container/p", "resources.claims[gpu]", "", `{"name":"gpu"}`, false, Resources, Behaviour, "claimed devices"},
		{"container/p", "env[LOG_LEVEL].value", `"info"`, `"debug"`, false, Env, Tuning, "a log level"},
		{"container/p", "env[LINKERD2_PROXY_LOG].value", `"warn"`, `"info"`, false, Env, Tuning, "a log level"},
		{"container/p", "env[LOGIN_URL].value", `"a"`, `"b"`, false, Env, Behaviour, "a variable"},
		{"container/p", "env[CATALOG].value", `"a"`, `"b"`, false, Env, Behaviour, "a variable"},
		{"container/p", "env[DIALOG_LEVELS]", "", `{"name":"DIALOG_LEVELS"}`, false, Env, Behaviour, "a variable"},
		{"container/p", "args", `["--log-level=info","--port=80"]`, `["--log-level=debug","--port=80"]`, false, Args, Tuning, "a log level"},
		{"container/p", "args", `["--log-level=info","--port=8080"]`, `["--log-level=debug","--port=8081"]`, false, Args, Behaviour, "arguments"},
		{"container/p", "env[LOG_LEVEL]", "", `{"name":"LOG_LEVEL","value":"debug"}`, false, Env, Tuning, "a log level"},
		{"container/p", "env[LOG_LEVEL]", "", `{"name":"LOG_LEVEL","valueFrom":{"secretKeyRef":{"name":"x","key":"y"}}}`, false, Env, Behaviour, "a variable"},
		{"container/p", "env[LOG_LEVEL].valueFrom", "", `{"secretKeyRef":{"name":"x","key":"y"}}`, false, Env, Behaviour, "a variable"},
		{"container/p", "env[LOG_LEVEL].valueFrom.secretKeyRef.name", `"x"`, `"y"`, false, Env, Behaviour, "a variable"},
		{"container/p", "env[LOG_LEVEL].value", `"{\"level\":\"info\",\"mode\":\"strict\"}"`, `"{\"level\":\"info\",\"mode\":\"permissive\"}"`, false, Env, Behaviour, "a variable"},
		{"container/p", "env[LOG_LEVEL].value", `"***masked***"`, `"***masked***"`, false, Env, Behaviour, "a variable"},
		{"container/p", "env[LOG_LEVEL].value", `"info"`, `"` + strings.Repeat("x", 300) + `"`, false, Env, Behaviour, "a variable"},
		{"container/p", "env[LOG_LEVEL_TOKEN].value", `"a"`, `"b"`, false, Env, Behaviour, "a variable"},
		{"container/p", "env[LOG_LEVEL]x].value", `"a"`, `"b"`, false, Env, Behaviour, "a variable"},
		{"container/p", "env[GOMAXPROCS].valueFrom.resourceFieldRef.resource", `"limits.cpu"`, `"requests.cpu"`, false, Env, Behaviour, "a variable"},
		{"container/p", "args", `["proxy","sidecar","--log-level-token=a"]`, `["proxy","sidecar","--log-level-token=b"]`, false, Args, Behaviour, "arguments"},
		{"container/p", "args", `["proxy","--log-level=info","--log-level=a:info"]`, `["proxy","--log-level=info","--log-level=a:debug"]`, false, Args, Tuning, "a log level"},
		{"container/p", "args", `["proxy","--proxyComponentLogLevel","misc:error"]`, `["proxy","--proxyComponentLogLevel","misc:info"]`, false, Args, Tuning, "a log level"},
		{"metadata", "annotations[dapr.io/log-level-sink]", `"a"`, `"b"`, false, Annotation, Behaviour, "an annotation that configures"},
		{"metadata", "annotations[sidecar.istio.io/logLevel]", "", `"debug"`, false, Annotation, Tuning, "a log level"},
		{"metadata", "annotations[dapr.io/log-level]", `"info"`, `"debug"`, false, Annotation, Tuning, "a log level"},
		{"container/p", "env[GOMAXPROCS].value", `"1"`, `"2"`, false, Env, Tuning, "how much of CPU and memory it uses"},
		{"container/p", "args", `["proxy","sidecar","--concurrency=2"]`, `["proxy","sidecar","--concurrency=4"]`, false, Args, Tuning, "how much of CPU and memory it uses"},
		{"container/p", "imagePullPolicy", `"Always"`, `"IfNotPresent"`, false, Other, Tuning, "when images are pulled"},
		{"volumes", "[tmp].emptyDir.sizeLimit", `"1Gi"`, `"2Gi"`, false, Volume, Tuning, "the size of a volume"},
		{"container/p", "terminationMessagePolicy", `"File"`, `"FallbackToLogsOnError"`, false, Other, Cosmetic, "where its last message goes"},
		{"metadata", "labels[version]", `"1"`, `"2"`, false, Other, Cosmetic, "a label"},
		{"container/p", "securityContext.capabilities.add", "", `["NET_ADMIN"]`, false, Security, Behaviour, "capabilities"},
		{"container/p", "securityContext.privileged", "", "true", false, Security, Behaviour, "a privileged container"},
		{"container/p", "securityContext.runAsUser", "1337", "0", false, Security, Behaviour, "the security context"},
		{"pod", "securityContext.fsGroup", "1337", "0", false, Security, Behaviour, "the security context"},
		{"pod", "serviceAccountName", `"a"`, `"b"`, false, Security, Behaviour, "in whose name the Pod acts"},
		{"pod", "hostNetwork", "", "true", false, Security, Behaviour, "the node's namespaces"},
		{"volumes", "[root]", "", `{"name":"root","hostPath":{"path":"/"}}`, false, Security, Behaviour, "a path of the node"},
		{"volumes", "[root].hostPath.path", `"/a"`, `"/b"`, false, Security, Behaviour, "a path of the node"},
		{"app/web", "livenessProbe.httpGet.port", "1", "2", false, Probe, Behaviour, "a probe"},
		{"container/p", "lifecycle.preStop", "", `{}`, false, Probe, Behaviour, "how it starts and ends"},
		{"pod", "terminationGracePeriodSeconds", "30", "60", false, Probe, Behaviour, "how it starts and ends"},
		{"container/p", "ports[15021]", "", `{"containerPort":15021}`, false, Network, Behaviour, "ports"},
		{"pod", "dnsConfig.options", "", `[]`, false, Network, Behaviour, "names and addresses"},
		{"container/p", "env[A → b].value", `"1"`, `"2"`, false, Env, Behaviour, "a variable"},
		{"container/p", "volumeMounts[/etc]", "", `{}`, false, Volume, Behaviour, "a volume"},
		{"pod", "nodeSelector.zone", "", `"a"`, false, Placement, Behaviour, "where it runs"},
		{"metadata", "annotations[traffic.sidecar.istio.io/x]", "", `"a"`, false, Annotation, Behaviour, "an annotation that configures"},
		{"order", "", `["a","b"]`, `["b","a"]`, false, Order, Behaviour, "the order of containers"},
		{"container/p", "later", `1`, `2`, false, Other, Behaviour, "another field"},
		{"FromTheFuture", "later", `1`, `2`, false, Other, Behaviour, "another field"},
	} {
		c := verdict.Change{Part: test.part, Path: test.path}
		if test.from != "" {
			c.From = json.RawMessage(test.from)
		}
		if test.to != "" {
			c.To = json.RawMessage(test.to)
		}
		got, _ := assess(inside(c), test.lost)
		if got.kind != test.kind || got.risk != test.risk || got.reason != test.reason {
			t.Errorf("%s %s → %s: %s, %s: %s; want %s, %s: %s", c.Place(), test.from, test.to, got.kind, got.risk, got.reason, test.kind, test.risk, test.reason)
		}
	}
}

func TestImageRisk(t *testing.T) {
	for _, test := range []struct {
		from, to string
		risk     Risk
		reason   string
	}{
		{"istio/proxyv2:1.28.0", "istio/proxyv2:1.28.1", Version, imagePatch},
		{"istio/proxyv2:1.28.1", "istio/proxyv2:1.28.0", Version, imagePatch},
		{"istio/proxyv2:1.28.0", "istio/proxyv2:1.29.0-distroless", Version, imageMinor},
		{"istio/proxyv2:1.28.0", "istio/proxyv2:1.28.0-distroless", Version, imageBuild},
		{"istio/proxyv2:v1.28.0", "istio/proxyv2:v2.0.0", Version, imageMajor},
		{"l5d/proxy:edge-24.1.1", "l5d/proxy:edge-24.2.3", Version, imageMinor},
		{"l5d/proxy:stable-2.14.0", "l5d/proxy:edge-24.2.3", Version, imageTag},
		{"istio/proxyv2:latest", "istio/proxyv2:nightly", Version, imageTag},
		{"istio/proxyv2", "istio/proxyv2:1.2", Version, imageTag},
		{"istio/proxyv2:1.28.0", "gcr.io/istio-release/proxyv2:1.28.0", Version, imageRegistry},
		{"istio/proxyv2:1.28.0", "gcr.io:443/istio-release/proxyv2:1.29.0", Version, imageMinor},
		{"istio/proxyv2@sha256:ab", "istio/proxyv2@sha256:cd", Version, imageDigest},
		{"istio/proxyv2:1.28.0@sha256:ab", "istio/proxyv2:1.28.0@sha256:cd", Version, imageDigest},
		{"istio/proxyv2:1.28.0@sha256:ab", "istio/proxyv2:1.28.1@sha256:cd", Version, imagePatch},
		{"istio/proxyv2:1.28.0", "istio/ztunnel:1.28.0", Behaviour, imageName},
		{"", "istio/ztunnel:1.28.0", Behaviour, imageName},
		{"", "", Behaviour, imageName},
	} {
		risk, reason := imageRisk(test.from, test.to)
		if risk != test.risk || reason != test.reason {
			t.Errorf("%s → %s: %s, %s; want %s, %s", test.from, test.to, risk, reason, test.risk, test.reason)
		}
	}
}

// What is lost makes a change a loss, and the worst of a workload's places counts.
func TestAssessWorkload(t *testing.T) {
	difference := func(part, path, from, to string) verdict.Change {
		c := verdict.Change{Part: part, Path: path, From: json.RawMessage(from)}
		if to != "" {
			c.To = json.RawMessage(to)
		}
		return c
	}
	cpu := difference("container/p", "resources.requests.cpu", `"1"`, `"2"`)
	probe := difference("container/p", "readinessProbe.periodSeconds", `1`, `2`)
	gone := difference("container/p", "", `{"name":"p"}`, "")
	varies := func(c verdict.Change) verdict.Change {
		c.Unstable = true
		return c
	}
	unstable := varies(difference("container/p", "image", `"p:1.28.0"`, `"p:1.29.0"`))
	for name, test := range map[string]struct {
		revision Revision
		risk     Risk
		reason   string
	}{
		"the worst":       {Revision{Changes: []verdict.Change{cpu, probe}}, Behaviour, "a probe: p:readinessProbe.periodSeconds"},
		"a loss":          {Revision{Changes: []verdict.Change{cpu, gone}, Loses: []string{"p"}}, Loss, "what was injected is lost: p"},
		"only taken away": {Revision{Changes: []verdict.Change{difference("app/web", "env[A]", `{"name":"A"}`, "")}}, Loss, "what was injected is only taken away: app:env[A]"},
		"not known whole": {Revision{Changes: []verdict.Change{cpu}, More: 1}, Loss, "it differs in more places than are known"},
		"unstable":        {Revision{Changes: []verdict.Change{unstable}}, Version, "another minor version: p:image"},
		"partly unstable": {Revision{Changes: []verdict.Change{cpu, unstable}}, Version, "another minor version: p:image"},
		"lost by chance":  {Revision{Changes: []verdict.Change{cpu, varies(gone)}, Loses: []string{"p"}}, Loss, "what was injected is lost: p"},
		"not known":       {Revision{}, Loss, "it is not known in what it differs"},
	} {
		risk, reason := Assess(Workload{Namespace: "shop", Name: "checkout", Revisions: []Revision{test.revision}})
		if risk != test.risk || reason != test.reason {
			t.Errorf("%s: %s, %s; want %s, %s", name, risk, reason, test.risk, test.reason)
		}
	}
}

func TestRiskExceeds(t *testing.T) {
	for i, a := range Risks() {
		for j, b := range Risks() {
			if got := a.Exceeds(b); got != (i > j) {
				t.Errorf("%s exceeds %s: %v", a, b, got)
			}
		}
	}
}

// The documentation has each rule, in their order, and no other.
func TestRulesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/changes.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented, want []string
	for _, row := range regexp.MustCompile(`(?m)^\| ([a-zA-Z]+) \| \*([a-z]+)\* \| ([^|]+) \|`).FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, strings.Join(row[1:], " | "))
	}
	add := func(kind Kind, risk Risk, reason string) {
		if line := strings.Join([]string{string(kind), string(risk), reason}, " | "); !slices.Contains(want, line) {
			want = append(want, line)
		}
	}
	for _, r := range rules {
		add(r.kind, r.risk, r.reason)
	}
	for _, reason := range []string{imageDigest, imageRegistry, imageBuild, imagePatch, imageMinor, imageMajor, imageTag} {
		add(Image, Version, reason)
	}
	add(Image, Behaviour, imageName)
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("docs/changes.md (-want +got):\n%s", diff)
	}
}
