package cli

import (
	"context"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
)

// advised audits, and says of every workload whether a rollout that includes its kind
// would take it.
func advised(ctx context.Context, config *rest.Config, options audit.Options) (*report.Report, error) {
	found, err := audit.Run(ctx, config, options)
	if err != nil {
		return nil, err
	}
	var adviser rollout.Adviser
	return found, adviser.Advise(ctx, config, found, rollout.Options{Select: rollout.AnyKind(options.DeclaredSidecars...)})
}
