package month

import (
	"fmt"

	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// mesh is how both of Istio's revisions are set.
type mesh struct {
	// Of the default revision: the patch version of the proxy, its CPU request in
	// millicores, its log level, whether HTTP probes are rewritten, the version of a
	// template that some Pods ask for and of one that none does, the number in a
	// comment, and of the ProxyConfig of one namespace.
	proxy, cpu, custom, unused, comment, config int
	debug, rewrite                              bool
	// other is the patch version of the other revision's proxy.
	other int
}

func firstMesh() mesh { return mesh{cpu: 100} }

// options are those of the default revision, then of the other one.
func (m mesh) options() [2]istio.Options {
	const templates = "values.sidecarInjectorWebhook.templates."
	custom := func(version, comment int) string {
		return fmt.Sprintf(templates+`custom={"spec":{"containers":[{"name":"agent","image":"agent:%d"}]}} # %d`, version, comment)
	}
	level := "warning"
	if m.debug {
		level = "debug"
	}
	return [2]istio.Options{
		{
			Set: istio.Values(fmt.Sprintf("1.27.%d", m.proxy), fmt.Sprintf("%dm", m.cpu),
				custom(m.custom, m.comment),
				fmt.Sprintf(templates+`unused={"spec":{"containers":[{"name":"unused","image":"unused:%d"}]}}`, m.unused),
				"values.global.proxy.logLevel="+level,
				fmt.Sprintf("values.sidecarInjectorWebhook.rewriteAppHTTPProbe=%t", m.rewrite)),
			ProxyConfigs: fmt.Sprintf(`
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: all, namespace: %s}
spec: {environmentVariables: {FLAG: "%d"}}
`, configured, m.config),
		},
		{
			Revision: "other", NativeSidecars: true,
			Set: istio.Values(fmt.Sprintf("1.28.%d", m.other), "100m", custom(0, 0)),
		},
	}
}

// change is a change of what is injected.
type change struct {
	// reach says what it changes, and which Pods.
	reach string
	apply func(*mesh)
	// concerns: whoever makes the change knows that it is about this workload's
	// revision, or namespace.
	concerns func(workload) bool
}

func ofDefault(w workload) bool { return revisions[w.namespace] == defaultRevision }

var (
	newProxy    = change{"a new proxy version: Pods without an image of their own", func(m *mesh) { m.proxy++ }, ofDefault}
	defaultCPU  = change{"the default CPU request: Pods without one of their own", func(m *mesh) { m.cpu += 50 }, ofDefault}
	aComment    = change{nothing, func(m *mesh) { m.comment++ }, ofDefault}
	aTemplate   = change{nothing, func(m *mesh) { m.unused++ }, ofDefault}
	logLevel    = change{"the log level, rolled back two days later: Pods without one of their own", func(m *mesh) { m.debug = !m.debug }, ofDefault}
	probes      = change{"HTTP probes are rewritten: Pods that have one", func(m *mesh) { m.rewrite = true }, ofDefault}
	aCustom     = change{"a custom template: Pods that ask for it", func(m *mesh) { m.custom++ }, ofDefault}
	otherProxy  = change{"a new proxy version of the other revision: its Pods", func(m *mesh) { m.other++ }, func(w workload) bool { return revisions[w.namespace] == otherRevision }}
	proxyConfig = change{"a ProxyConfig of one namespace: its Pods", func(m *mesh) { m.config++ }, func(w workload) bool { return w.namespace == configured }}
)

const nothing = "a comment, or a template that no Pod asks for: none"

// changes of a whole month. Those of the log level are two days apart, the others
// at days of the seed's choice.
var changes = []change{newProxy, newProxy, defaultCPU, aComment, aTemplate, probes, aCustom, otherProxy, proxyConfig}
