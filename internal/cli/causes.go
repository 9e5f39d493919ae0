package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
	"github.com/sidecar-drift/sidecar-drift/auditor/cause/inputs"
	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/service"
)

// lookForCauses says in a report that is grouped whose its changes are, as far as one look
// tells: each began after the last Pod was created that differs in it. The intervals are
// those.
func lookForCauses(ctx context.Context, config *rest.Config, found *report.Report) (map[string]journal.Interval, error) {
	questions := found.Questions()
	if len(questions) == 0 {
		return nil, nil
	}
	reader, err := inputs.New(config)
	if err != nil {
		return nil, err
	}
	seen, err := reader.Look(ctx)
	if err != nil {
		return nil, err
	}
	var ledger cause.Ledger
	ledger.Observe(seen)
	var namespaces []string
	for _, q := range questions {
		namespaces = append(namespaces, q.Namespaces...)
	}
	born, err := reader.Births(ctx, slices.Compact(slices.Sorted(slices.Values(namespaces))))
	if err != nil {
		return nil, fmt.Errorf("find out when Pods were created: %w", err)
	}
	began, whose := map[string]journal.Interval{}, map[string]cause.Verdict{}
	for _, q := range questions {
		q.After, q.By = q.LastBorn(born), time.Now()
		q.Injectors, q.Beside = reader.Makers(q.Change, q.Webhook, q.Mutators)
		began[q.ID], whose[q.ID] = journal.Interval{After: q.After, By: q.By}, ledger.Judge(q.Change)
	}
	found.Caused(whose)
	return began, nil
}

// journalled are the changes that the daemon knows which a workload's differences consist of,
// the last that began first; none where there is no daemon, or its journal may not be read.
func journalled(ctx context.Context, config *rest.Config, found *report.Report) []journal.Entry {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil
	}
	entries, _, err := service.ReadHistory(ctx, client, service.DefaultNamespace)
	if err != nil {
		return nil
	}
	return found.Known(entries)
}
