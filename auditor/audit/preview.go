package audit

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// markPreview says in the report that it is one: nothing of it may be rolled
// out, and some of it may depend on what was not previewed.
func (a *Audit) markPreview(ctx context.Context, found *report.Report) error {
	found.Preview = &report.Preview{Labels: a.opts.Preview.Labels, Annotations: a.opts.Preview.Annotations}
	webhooks, err := a.opts.Preview.NamespaceSelected(ctx, a.client)
	switch {
	case apierrors.IsForbidden(err):
		found.Notes = append(found.Notes, "Whether injectors select namespaces by these labels could not be read: "+err.Error())
	case err != nil:
		return err
	case len(webhooks) > 0:
		found.Notes = append(found.Notes, fmt.Sprintf("Webhooks that also select namespaces by a previewed label (%s): what only a namespace's own labels change is not in this preview.",
			strings.Join(webhooks, ", ")))
	}
	return nil
}
