package matrix

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Parts of a Pod that Istio injects: its proxy, which is a native sidecar or is
// none, and what redirects the traffic to it.
const (
	istioProxy  = "container/istio-proxy"
	istioNative = "initContainer/istio-proxy"
	istioInit   = "initContainer/istio-init"
)

const (
	asNative  = `sidecar.istio.io/nativeSidecar: "true"`
	asClassic = `sidecar.istio.io/nativeSidecar: "false"`
)

// meshed is a workload in the mesh: what its Pod template has beside a container
// app, in YAML's flow style.
type meshed struct {
	kind                string // empty is a Deployment
	labels, annotations string
	app                 string // fields of the app's container
	containers          string
	pod                 string // fields of the Pod's spec
}

func (w meshed) String() string {
	if w.kind == "Pod" {
		return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: IN, labels: {matrix-row: "ROW", %s}, annotations: {%s}}
spec: {containers: [{name: app, image: "app:1", %s}, %s], %s}
`, w.labels, w.annotations, w.app, w.containers, w.pod)
	}
	service := ""
	if w.kind == "StatefulSet" {
		service = "serviceName: NAME\n  "
	}
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: %s
metadata: {name: NAME, namespace: IN}
spec:
  %sselector: {matchLabels: {matrix-row: "ROW"}}
  template:
    metadata: {labels: {matrix-row: "ROW", %s}, annotations: {%s}}
    spec: {containers: [{name: app, image: "app:1", %s}, %s], %s}
`, cmp.Or(w.kind, "Deployment"), service, w.labels, w.annotations, w.app, w.containers, w.pod)
}

func istioRows() []row {
	return slices.Concat(upgradeRows(), overrideRows(), bareRows(), canaryRows(), settingsRows(), cniRows(), pullRows(), revisionRows())
}

// inIstio is a row with the real Istio, which drifts if there are changes.
func inIstio(name, namespace string, w meshed, changes ...[]string) row {
	r := row{group: realIstio, name: name, in: namespace, kind: w.kind, manifest: w.String(), state: verdict.InSync}
	if r.changes = slices.Concat(changes...); len(r.changes) > 0 {
		r.state = verdict.Drifted
	}
	r.approximate, r.stays = w.kind == "Pod", w.kind == "Pod"
	return r.spendsIstio()
}

// spendsIstio is the row, of which the amounts are spent that Istio's init container had
// to set up what stays.
func (r row) spendsIstio() row {
	for _, place := range r.changes {
		if strings.HasPrefix(place, istioInit+" resources.") {
			r.spent = append(r.spent, place)
		}
	}
	return r
}

// under are paths of a part of a Pod.
func under(part string, paths ...string) []string { return within(part, paths) }

// upgradeRows are Pods of the default revision, of which the image and the CPU
// request change.
func upgradeRows() []row {
	const image, cpu = "image", "resources.requests.cpu"
	upgrade := func(name string, w meshed, proxy string) row {
		return inIstio(name, istioUpgraded, w, under(proxy, image, cpu), under(istioInit, image, cpu))
	}
	notInjected := func(name string, w meshed) row {
		r := inIstio(name, istioUpgraded, w).as(verdict.NotInjected)
		r.was = &expectation{state: verdict.NotInjected}
		return r
	}
	byLabel := upgrade("an upgrade, injected by the Pod's label alone", meshed{labels: `sidecar.istio.io/inject: "true"`}, istioProxy)
	byLabel.in = plain
	everyNode := upgrade("an upgrade, a DaemonSet", meshed{kind: "DaemonSet"}, istioProxy)
	everyNode.pods = 2
	gateway := inIstio("an upgrade, a gateway", istioUpgraded, meshed{annotations: "inject.istio.io/templates: gateway"}, under(istioProxy, image))
	gateway.manifest = strings.Replace(gateway.manifest, `{name: app, image: "app:1", }`, "{name: istio-proxy, image: auto}", 1)
	return []row{
		upgrade("an upgrade: image and CPU request", meshed{}, istioProxy),
		upgrade("an upgrade, a native sidecar", meshed{annotations: asNative}, istioNative),
		upgrade("an upgrade, a StatefulSet", meshed{kind: "StatefulSet"}, istioProxy),
		everyNode, gateway,
		inIstio("an upgrade, gRPC without a proxy", istioUpgraded, meshed{annotations: "inject.istio.io/templates: grpc-agent"}, under(istioProxy, image, cpu)),
		upgrade("an upgrade, traffic annotations", meshed{annotations: trafficAnnotations}, istioProxy),
		upgrade("an upgrade, a custom template that stays", meshed{annotations: asNative + `, inject.istio.io/templates: "sidecar,custom"`}, istioNative),
		byLabel,
		notInjected(`label sidecar.istio.io/inject: "false"`, meshed{labels: `sidecar.istio.io/inject: "false"`}),
		notInjected(`annotation sidecar.istio.io/inject: "false"`, meshed{annotations: `sidecar.istio.io/inject: "false"`}),
		notInjected("host network", meshed{pod: "hostNetwork: true"}),
	}
}

// overrideRows are such Pods that set for themselves what changes, or some of it.
func overrideRows() []row {
	const (
		image, cpu = "image", "resources.requests.cpu"
		ownImage   = `sidecar.istio.io/proxyImage: "mirror.test/proxyv2:1"`
		ownCPU     = `sidecar.istio.io/proxyCPU: 300m`
		proxy      = `{name: istio-proxy, image: %s, %s}`
	)
	override := func(name string, w meshed, changes ...[]string) row {
		return inIstio(name, istioUpgraded, w, changes...)
	}
	return []row{
		override("an image by annotation: the CPU request changes", meshed{annotations: ownImage}, under(istioProxy, cpu), under(istioInit, cpu)),
		override("a CPU request by annotation: the image changes", meshed{annotations: ownCPU}, under(istioProxy, image), under(istioInit, image)),
		override("a memory request by annotation: no CPU request any more", meshed{annotations: `sidecar.istio.io/proxyMemory: 300Mi`},
			under(istioProxy, image), under(istioInit, image)),
		override("limits by annotation: no requests of Istio's", meshed{annotations: `sidecar.istio.io/proxyCPULimit: "1", sidecar.istio.io/proxyMemoryLimit: 1Gi`},
			under(istioProxy, image), under(istioInit, image)),
		override("image and CPU request by annotation", meshed{annotations: ownImage + ", " + ownCPU}),
		override("a container istio-proxy of the user's, with a CPU request", meshed{containers: fmt.Sprintf(proxy, "auto", "resources: {requests: {cpu: 300m}}")},
			under(istioProxy, image), under(istioInit, image, cpu)),
		override("a container istio-proxy of the user's, with an image", meshed{containers: fmt.Sprintf(proxy, `"mirror.test/proxyv2:1"`, "")},
			under(istioProxy, cpu), under(istioInit, image, cpu)),
		override("a container istio-proxy of the user's, with a variable", meshed{containers: fmt.Sprintf(proxy, "auto", `env: [{name: MODE, value: fast}]`)},
			under(istioProxy, image, cpu), under(istioInit, image, cpu)),
		override("a container istio-proxy of the user's that becomes a native sidecar", meshed{annotations: asNative, containers: fmt.Sprintf(proxy, "auto", "resources: {requests: {cpu: 300m}}")},
			under(istioNative, image), under(istioInit, image, cpu)),
	}
}

// bareRows are Pods without a template, of which the injector has rewritten what it keeps.
func bareRows() []row {
	const image, cpu = "image", "resources.requests.cpu"
	bare := func(name string, w meshed, changes ...[]string) row {
		w.kind = "Pod"
		return inIstio("an upgrade, a bare Pod with "+name, istioUpgraded, w, changes...)
	}
	upgraded := [][]string{under(istioProxy, image, cpu), under(istioInit, image, cpu)}
	return []row{
		bare("an HTTP probe of a named port", meshed{app: `ports: [{name: web, containerPort: 80}], livenessProbe: {httpGet: {path: /live, port: web, httpHeaders: [{name: X, value: "1"}]}, periodSeconds: 7}`}, upgraded...),
		bare("an HTTPS probe and a hook", meshed{app: `readinessProbe: {httpGet: {path: /, port: 443, scheme: HTTPS}, timeoutSeconds: 3}, lifecycle: {preStop: {httpGet: {path: /bye, port: 80}}, postStart: {exec: {command: [hello]}}}`}, upgraded...),
		bare("TCP and gRPC probes", meshed{app: `livenessProbe: {tcpSocket: {port: 8080}}, startupProbe: {grpc: {port: 9090, service: s}}`,
			containers: `{name: other, image: "other:1", readinessProbe: {exec: {command: [ok]}}}`, pod: `initContainers: [{name: native, image: "native:1", restartPolicy: Always, readinessProbe: {tcpSocket: {port: 9091}}}]`}, upgraded...),
		bare("a probe that is not rewritten", meshed{annotations: `sidecar.istio.io/rewriteAppHTTPProbers: "false"`, app: `livenessProbe: {tcpSocket: {port: 8080}}`}, upgraded...),
		bare("metrics", meshed{annotations: `prometheus.io/scrape: "true", prometheus.io/port: "9090"`}, upgraded...),
		bare("metrics of several ports", meshed{annotations: `prometheus.istio.io/scrape-targets: "9090:/a,9091"`}, upgraded...),
		bare("a container istio-proxy", meshed{containers: `{name: istio-proxy, image: auto, resources: {requests: {cpu: 300m}}}`}, under(istioProxy, image), under(istioInit, image, cpu)),
		bare("a container istio-proxy that becomes a native sidecar", meshed{annotations: asNative, containers: `{name: istio-proxy, image: auto, env: [{name: MODE, value: fast}]}`},
			under(istioNative, image, cpu), under(istioInit, image, cpu)),
	}
}

const trafficAnnotations = `traffic.sidecar.istio.io/includeOutboundPorts: "80,443", traffic.sidecar.istio.io/excludeOutboundIPRanges: 10.0.0.0/8, ` +
	`traffic.sidecar.istio.io/excludeInboundPorts: "8081"`

// canaryRows are Pods of a revision with native sidecars of which only what a row
// asks for changes.
func canaryRows() []row {
	const (
		config    = "env[PROXY_CONFIG].value"
		flag      = "env[FLAG].value"
		httpProbe = `livenessProbe: {httpGet: {path: /live, port: 8080}}`
	)
	inCanary := func(name string, w meshed, changes ...[]string) row { return inIstio(name, istioCanary, w, changes...) }
	byLabel := inCanary("a revision by the Pod's label: another one's upgrade", meshed{labels: "istio.io/rev: canary"})
	byLabel.in = plain
	forAll := inIstio("a ProxyConfig of the namespace comes", istioConfigured, meshed{},
		under(istioNative, "env[FLAG]", config), under(istioInit, "env[FLAG]"))
	own := inIstio("a ProxyConfig of the namespace comes, its variable is set by annotation", istioConfigured,
		meshed{annotations: `proxy.istio.io/config: '{"proxyMetadata": {"FLAG": "own"}}'`})
	earlier := inCanary("another injector begins before Istio", meshed{}, []string{"container/agent"}, under(istioNative, "env[ISTIO_META_APP_CONTAINERS].value"))
	earlier.then = always(containers(`{"name":"agent","image":"agent:1"}`)...)
	later := inCanary("another injector after Istio, which is asked again", meshed{}, []string{"container/agent image"})
	later.before = answers{late: same(containers(`{"name":"agent","image":"agent:1"}`)...)}
	later.then = answers{late: same(containers(`{"name":"agent","image":"agent:2"}`)...)}
	edited := inCanary("a template for the app, whose image is edited in its Pod", meshed{annotations: "inject.istio.io/templates: grpc-simple"})
	edited.change = editPods("app=app:2")
	return []row{
		inCanary("a revision by the namespace's label: another one's upgrade, its own access log and outbound policy", meshed{}),
		byLabel,
		inCanary("traffic annotations", meshed{annotations: trafficAnnotations}),
		inCanary("a custom template", meshed{annotations: `inject.istio.io/templates: "sidecar,custom"`},
			[]string{"container/agent image"}, under(istioNative, "env[CUSTOM].value")),
		inCanary("a custom template for the app", meshed{annotations: `inject.istio.io/templates: "sidecar,app"`}, under("app/app", "env[CUSTOM].value")),
		takesAway(inCanary("a custom template for the app ends", meshed{annotations: `inject.istio.io/templates: "sidecar,ends"`}, under("app/app", "env[CUSTOM]"))),
		takesAway(inCanary("metrics are merged no more", meshed{annotations: `prometheus.io/port: "9090"`}, under(istioNative, "env[ISTIO_PROMETHEUS_ANNOTATIONS]"))),
		inCanary("probes begin to be rewritten", meshed{app: httpProbe},
			under("app/app", "livenessProbe.httpGet.path", "livenessProbe.httpGet.port"), under(istioNative, "env[ISTIO_KUBE_APP_PROBERS]")),
		inCanary("probes begin to be rewritten: TCP and gRPC", meshed{app: `readinessProbe: {tcpSocket: {port: 8080}}, startupProbe: {grpc: {port: 9090}}`},
			under("app/app", "readinessProbe.httpGet.path", "readinessProbe.httpGet.port", "readinessProbe.tcpSocket.port",
				"startupProbe.grpc.port", "startupProbe.httpGet.path", "startupProbe.httpGet.port"),
			under(istioNative, "env[ISTIO_KUBE_APP_PROBERS]")),
		inCanary("probes begin to be rewritten, not by annotation", meshed{app: httpProbe, annotations: `sidecar.istio.io/rewriteAppHTTPProbers: "false"`}),
		inCanary("the application is held until the proxy starts, by values", meshed{annotations: asClassic},
			under(istioProxy, "lifecycle.postStart.exec.command"), []string{"order"}),
		inCanary("a variable of a ProxyConfig", meshed{labels: "proxyconfig: variables"}, under(istioNative, config, flag), under(istioInit, flag)),
		inCanary("the concurrency of a ProxyConfig", meshed{labels: "proxyconfig: concurrency"}, under(istioNative, config)),
		inCanary("the image type of a ProxyConfig", meshed{labels: "proxyconfig: image"}, under(istioNative, "image", config)),
		forAll, own, earlier, later, edited,
	}
}

// pullRows are Pods of a revision whose image pull secret becomes another one.
func pullRows() []row {
	pulls := func(name string, w meshed) row {
		return inIstio(name, istioPull, w, under("pod", "imagePullSecrets[mirror]", "imagePullSecrets[registry]"))
	}
	return []row{
		pulls("another image pull secret of the mesh", meshed{}),
		pulls("another image pull secret of the mesh, beside the Pod's own", meshed{pod: "imagePullSecrets: [{name: own}]"}),
	}
}

// settingsRows are Pods of a revision whose mesh configuration changes and whose
// sidecars become native ones.
func settingsRows() []row {
	const (
		config    = "env[PROXY_CONFIG].value"
		ownConfig = `, proxy.istio.io/config: '{"holdApplicationUntilProxyStarts": true, "concurrency": 2, "terminationDrainDuration": "30s",
			"tracing": {"sampling": 50}, "proxyMetadata": {"FLAG": "own", "LEVEL": "own", "GONE": "own"}}'`
		ownFlag  = `, proxy.istio.io/config: '{"holdApplicationUntilProxyStarts": true, "proxyMetadata": {"FLAG": "own", "LEVEL": "own", "GONE": "own"}}'`
		ownLevel = `, proxy.istio.io/config: '{"proxyMetadata": {"LEVEL": "own"}}'`
		ownPorts = `, traffic.sidecar.istio.io/excludeInboundPorts: "8081"`
	)
	// What comes, goes and changes of the mesh's proxyMetadata.
	metadata := func(more ...string) []string { return append(more, "env[FLAG]", "env[GONE]", "env[LEVEL].value") }
	set := func(name string, w meshed, changes ...[]string) row { return inIstio(name, istioMesh, w, changes...) }
	return []row{
		set("the mesh's sidecars become native ones", meshed{}, []string{istioProxy, istioNative}, under(istioInit, metadata("args")...)),
		set("the mesh's sidecars become native ones, a container istio-proxy of the user's",
			meshed{containers: `{name: istio-proxy, image: auto, resources: {requests: {cpu: 300m}}}`},
			[]string{istioProxy, istioNative}, under(istioInit, metadata("args")...)),
		set("the mesh's proxy configuration, the application held", meshed{annotations: asClassic},
			under(istioProxy, metadata(config, "lifecycle.postStart.exec.command")...), under(istioInit, metadata("args")...), []string{"order"}),
		set("the mesh's proxy configuration, a native sidecar", meshed{annotations: asNative}, under(istioNative, metadata(config)...), under(istioInit, metadata("args")...)),
		set("the mesh's proxy configuration, some of it set by annotation", meshed{annotations: asClassic + ownFlag},
			under(istioProxy, config), under(istioInit, "args")),
		set("the mesh's proxy configuration, one of its variables set by annotation", meshed{annotations: asNative + ownLevel},
			under(istioNative, config, "env[FLAG]", "env[GONE]"), under(istioInit, "args", "env[FLAG]", "env[GONE]")),
		set("the mesh's proxy configuration, all of it set by annotation", meshed{annotations: asClassic + ownConfig + ownPorts}),
		set("probes are rewritten no more", meshed{annotations: asClassic + ownConfig + ownPorts, app: `readinessProbe: {httpGet: {path: /ready, port: 8080}}`},
			under("app/app", "readinessProbe.httpGet.path", "readinessProbe.httpGet.port"), under(istioProxy, "env[ISTIO_KUBE_APP_PROBERS]")),
	}
}

// cniRows are Pods of a revision whose traffic a CNI plugin begins to redirect: no init
// container does so any more, and another one waits until that is done. What is to be
// redirected stands in annotations, of which the plugin refuses NONE.
func cniRows() []row {
	const validation = "initContainer/istio-validation"
	ranges := under("metadata", "annotations[traffic.sidecar.istio.io/excludeInboundPorts]",
		"annotations[traffic.sidecar.istio.io/includeInboundPorts]", "annotations[traffic.sidecar.istio.io/includeOutboundIPRanges]")
	mode := under("metadata", "annotations[sidecar.istio.io/interceptionMode]")
	cni := func(name string, w meshed) row {
		return inIstio(name, istioCNI, w, []string{istioInit, validation}, mode, ranges)
	}
	return []row{
		cni("a CNI plugin redirects traffic", meshed{annotations: asClassic}),
		cni("a CNI plugin redirects traffic, a native sidecar", meshed{annotations: asNative}),
		cni("a CNI plugin redirects traffic, traffic annotations", meshed{annotations: asNative + ", " + trafficAnnotations}),
		cni("a CNI plugin redirects traffic, a StatefulSet", meshed{kind: "StatefulSet", annotations: asClassic}),
		inIstio("a CNI plugin redirects traffic, which is intercepted in no way", istioCNI, meshed{annotations: `sidecar.istio.io/interceptionMode: NONE`}, ranges),
	}
}

// revisionRows are Pods whose namespace's labels change.
func revisionRows() []row {
	injected := slices.Concat([]string{istioProxy, istioInit}, under("volumes", "[credential-socket]", "[istio-ca-crl]", "[istio-data]", "[istio-envoy]",
		"[istio-podinfo]", "[istio-token]", "[istiod-ca-cert]", "[workload-certs]", "[workload-socket]"))
	anew := inIstio("a namespace is labelled for injection", istioBegins, meshed{}, injected).as(verdict.Missing)
	anew.change = relabel("default", "istio-injection=enabled")
	gone := inIstio("a namespace is no more labelled for injection", istioEnds, meshed{}, injected).as(verdict.Orphaned)
	gone.change, gone.orphaned = relabel("", "istio-injection-"), true
	other := inIstio("a namespace moves to another revision", istioMoved, meshed{},
		under(istioNative, "env[CA_ADDR].value", "env[FLAG]", "env[LEVEL]", "env[PROXY_CONFIG].value"), under(istioInit, "args", "env[FLAG]", "env[LEVEL]"))
	other.change = relabel("mesh", "istio.io/rev=mesh")
	return []row{anew, gone, other}
}
