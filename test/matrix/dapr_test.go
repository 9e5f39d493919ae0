package matrix

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// realDapr is the group of the rows for which Dapr runs.
const realDapr = "the real Dapr"

// Namespaces of these rows. Istio injects into the second, too.
const (
	daprAlone  = "matrix-dapr"
	daprMeshed = "matrix-dapr-istio"
)

// daprd is the container that Dapr injects.
const daprd = "container/daprd"

// Annotations for Dapr. An application is named after its workload.
const (
	asApp    = `dapr.io/enabled: "true", dapr.io/app-id: NAME`
	noAppID  = `dapr.io/enabled: "true"`
	withDapr = asApp + ", "
)

// inDapr is a row with the real Dapr, whose sidecars' image and trust anchors change.
func inDapr(name string, w meshed, changes ...[]string) row {
	r := row{group: realDapr, name: name, in: daprAlone, kind: w.kind, manifest: w.String(), state: verdict.InSync}
	if r.changes = slices.Concat(changes...); len(r.changes) > 0 {
		r.state = verdict.Drifted
	}
	return r
}

// daprRows are Pods that ask for Dapr by their templates' annotations, or do not. Dapr
// 1.14 has no native sidecar.
func daprRows() []row {
	return slices.Concat(daprUpgradeRows(), daprOutageRows(), daprComponentRows(), daprMeshedRows())
}

const trustAnchors = "env[DAPR_TRUST_ANCHORS].value"

// upgraded are what the change is for most sidecars.
var upgraded = under(daprd, trustAnchors, "image")

func daprUpgradeRows() []row {
	notInjected := func(name string, w meshed) row {
		r := inDapr(name, w).as(verdict.NotInjected)
		r.was = &expectation{state: verdict.NotInjected}
		return r
	}
	everyNode := inDapr("an upgrade, a DaemonSet", meshed{kind: "DaemonSet", annotations: asApp}, upgraded)
	everyNode.pods = 2
	return []row{
		inDapr("an upgrade: image and trust anchors", meshed{annotations: asApp}, upgraded),
		inDapr("an upgrade, a StatefulSet", meshed{kind: "StatefulSet", annotations: asApp}, upgraded),
		inDapr("an upgrade, a StatefulSet whose Pods' names are the applications'", meshed{kind: "StatefulSet", annotations: noAppID}, upgraded),
		everyNode,
		inDapr("an upgrade, the application's port and protocol", meshed{annotations: withDapr + appAnnotations}, upgraded),
		inDapr("an upgrade, ports, probes and resources of the sidecar", meshed{annotations: withDapr + sidecarAnnotations}, upgraded),
		inDapr("an upgrade, a socket for the application", meshed{annotations: withDapr + `dapr.io/unix-domain-socket-path: /sockets`}, upgraded),
		inDapr("an upgrade, a volume of the application's in the sidecar", meshed{
			annotations: withDapr + `dapr.io/volume-mounts: "data:/data"`, pod: `volumes: [{name: data, emptyDir: {}}]`}, upgraded),
		inDapr("an upgrade, tokens from Secrets", meshed{annotations: withDapr + `dapr.io/api-token-secret: token, dapr.io/app-token-secret: token`}, upgraded),
		inDapr("an upgrade, two containers of the application's", meshed{annotations: asApp, containers: `{name: second, image: "app:1", env: [{name: DAPR_HTTP_PORT, value: "1"}]}`}, upgraded),
		inDapr("an upgrade, a native sidecar of the application's", meshed{annotations: asApp,
			pod: `initContainers: [{name: native, image: "native:1", restartPolicy: Always}]`}, upgraded),
		inDapr("an image by annotation: the trust anchors change", meshed{annotations: withDapr + `dapr.io/sidecar-image: "mirror.test/daprd:1"`}, under(daprd, trustAnchors)),
		notInjected("not enabled", meshed{annotations: `dapr.io/enabled: "false", dapr.io/app-id: NAME`}),
		notInjected("a container daprd of the application's own", meshed{annotations: asApp, containers: `{name: daprd, image: "daprd:own"}`}),
	}
}

// daprOutageRows are Pods that were created while Dapr was down: it fails open.
func daprOutageRows() []row {
	missing := inDapr("created while Dapr was down", meshed{annotations: asApp},
		under("app/app", "env[APP_PROTOCOL]", "env[DAPR_GRPC_PORT]", "env[DAPR_HTTP_PORT]"), []string{daprd}).as(verdict.Missing)
	// Dapr needs a name, and there is none yet of a Pod that a ReplicaSet creates.
	refused := inDapr("created while Dapr was down, without a name of the application's", meshed{annotations: noAppID}).as(verdict.Blocked)
	refused.noPods, refused.stays = true, true
	rows := []row{missing, refused}
	for n := range rows {
		rows[n].was = &expectation{rows[n].state, rows[n].changes}
	}
	return rows
}

const appAnnotations = `dapr.io/app-port: "8080", dapr.io/app-protocol: grpc, dapr.io/app-max-concurrency: "4", dapr.io/enable-app-health-check: "true", ` +
	`dapr.io/app-health-check-path: /live, dapr.io/config: tracing, dapr.io/log-as-json: "true"`

const sidecarAnnotations = `dapr.io/metrics-port: "9191", dapr.io/enable-debug: "true", dapr.io/debug-port: "40001", dapr.io/env: "MODE=fast,LEVEL=2", ` +
	`dapr.io/sidecar-cpu-request: 100m, dapr.io/sidecar-cpu-limit: "1", dapr.io/sidecar-memory-limit: 1Gi, ` +
	`dapr.io/sidecar-readiness-probe-period-seconds: "9", dapr.io/sidecar-seccomp-profile-type: RuntimeDefault, dapr.io/graceful-shutdown-seconds: "20"`

// component is a Component that runs in a container, for the application alone.
const component = `
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: NAME, namespace: IN, annotations: {dapr.io/component-container: '{"name": "store", "image": "store:%s"}'}}
spec: {type: state.store, version: v1, metadata: []}
scopes: [NAME]
---`

// daprComponentRows are Pods with pluggable components: containers of the
// application's that are some, or such that Dapr injects.
func daprComponentRows() []row {
	const (
		folder   = "env[DAPR_COMPONENT_SOCKETS_FOLDER]"
		mount    = "volumeMounts[/tmp/dapr-components-sockets]"
		injected = withDapr + `dapr.io/inject-pluggable-components: "true"`
	)
	socket := slices.Concat(under(daprd, folder, mount), under("volumes", "[dapr-components-unix-domain-socket]"))
	with := func(r row) row {
		r.manifest = fmt.Sprintf(component, "1") + r.manifest
		return r
	}
	changed := with(inDapr("an injected component: its image changes", meshed{annotations: injected}, upgraded, under("container/store", "image")))
	changed.change = apply(fmt.Sprintf(component, "2"))
	anew := inDapr("an injected component comes", meshed{annotations: injected}, upgraded, []string{"container/store"}, socket)
	anew.change = apply(fmt.Sprintf(component, "1"))
	gone := with(inDapr("an injected component goes", meshed{annotations: injected}, upgraded, []string{"container/store"}, socket))
	gone.change, gone.orphaned = remove("component/NAME"), true
	others := with(inDapr("a component of another application's", meshed{annotations: strings.Replace(injected, "NAME", "other", 1)}, upgraded))
	others.change = apply(fmt.Sprintf(component, "2"))
	return []row{
		inDapr("an upgrade, a container that is a component", meshed{
			annotations: withDapr + `dapr.io/pluggable-components: store`, containers: `{name: store, image: "store:1"}`}, upgraded),
		with(inDapr("an upgrade, an injected component", meshed{annotations: injected}, upgraded)),
		changed, anew, gone, others,
	}
}

// daprMeshedRows are Pods with Dapr's sidecar and Istio's, which is upgraded, too.
func daprMeshedRows() []row {
	const image, cpu = "image", "resources.requests.cpu"
	meshed := func(name string, w meshed, changes ...[]string) row {
		r := inDapr(name, w, changes...)
		r.in = daprMeshed
		return r.spendsIstio()
	}
	return []row{
		meshed("Dapr and Istio, both are upgraded", meshedBy(asClassic), upgraded, under(istioProxy, image, cpu), under(istioInit, image, cpu)),
		meshed("Dapr and Istio, whose sidecar is a native one", meshedBy(asNative), upgraded, under(istioNative, image, cpu), under(istioInit, image, cpu)),
		meshed("Dapr and Istio, which sets its image by annotation", meshedBy(asClassic+`, sidecar.istio.io/proxyImage: "mirror.test/proxyv2:1", sidecar.istio.io/proxyCPU: 300m`), upgraded),
	}
}

// meshedBy asks for both sidecars.
func meshedBy(annotations string) meshed { return meshed{annotations: withDapr + annotations} }
