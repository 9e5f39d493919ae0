package doctor

import "strings"

// Names of the installed objects, as in manifests/.
const (
	namespace         = "sidecar-drift"
	configurationName = "zz-sidecar-drift"
	webhookName       = "stamp.sidecar-drift.io"

	stamper     = "sidecar-drift-webhook" // Deployment, Service and ServiceAccount
	auditor     = "sidecar-drift-auditor" // Deployment and ServiceAccount
	certificate = "sidecar-drift-certs"   // Deployment
	rollout     = "sidecar-drift-rollout" // ServiceAccount

	dryRunPolicy  = "sidecar-drift-dry-run-only"
	rolloutPolicy = "sidecar-drift-rollout-only"
)

// userOf is how the API server knows a ServiceAccount of the installation.
func userOf(account string) string { return "system:serviceaccount:" + namespace + ":" + account }

// list joins names as a sentence does: "a, b and c".
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
