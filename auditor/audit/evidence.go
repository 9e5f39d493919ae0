package audit

import (
	"context"
	"fmt"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/apiserver"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Comparison is a live Pod beside a fresh injection of its revision. It stands
// for all Pods of the revision that are alike.
type Comparison struct {
	Workload inventory.WorkloadRef
	Revision string
	// Approximate: the fresh Pod is of a reconstructed template.
	Approximate bool
	Pods        []report.PodRef
	// Live is the zero Node where the digests say that nothing differs and the
	// Pod was not kept.
	Live, Fresh jsontree.Node
	// Template is what Fresh was made from; the zero Node if it was
	// reconstructed.
	Template jsontree.Node
	Verdict  verdict.Verdict
}

// AdmissionOf returns the webhooks and policies that the creation of a Pod like
// the named one passes, in their order, with those that cannot answer.
func AdmissionOf(ctx context.Context, cfg *rest.Config, namespace, pod string) ([]injection.Step, error) {
	client, err := apiserver.Connect(cfg)
	if err != nil {
		return nil, err
	}
	live, err := client.Get().AbsPath("/api/v1").Namespace(namespace).Resource("pods").Name(pod).Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("get Pod %s/%s: %w", namespace, pod, err)
	}
	steps, err := injection.Admission(ctx, client, namespace, live)
	if err != nil {
		return nil, err
	}
	health := injection.NewHealth(client, cfg)
	for i, step := range steps {
		if step.Match != injection.MatchesNot {
			steps[i].Down = health.Down(ctx, step)
		}
	}
	return steps, nil
}
