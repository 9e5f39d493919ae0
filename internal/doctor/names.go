package doctor

import (
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/fence"
)

// Names of the installed objects, as in manifests/.
const (
	namespace         = "sidecar-drift" // of the manifests, if no kustomization says otherwise
	configurationName = "zz-sidecar-drift"
	webhookName       = "stamp.sidecar-drift.io"

	stamper     = "sidecar-drift-webhook" // Deployment, Service and ServiceAccount
	auditor     = "sidecar-drift-auditor" // Deployment and ServiceAccount
	certificate = "sidecar-drift-certs"   // Deployment
	rollout     = "sidecar-drift-rollout" // ServiceAccount

	dryRunPolicy  = fence.DryRunOnly
	rolloutPolicy = fence.RolloutOnly

	auditRole   = "sidecar-drift-audit"   // ClusterRole
	rolloutRole = "sidecar-drift-rollout" // ClusterRole
	resizeRole  = "sidecar-drift-resize"  // ClusterRole
)

// userOf is how the API server knows a ServiceAccount.
func userOf(namespace, account string) string {
	return "system:serviceaccount:" + namespace + ":" + account
}

// list joins names as a sentence does: "a, b and c".
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
