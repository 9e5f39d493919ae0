package cli

import (
	"context"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// inspection is what commands share that look closely at named workloads.
type inspection struct {
	genericiooptions.IOStreams
	connection connection
	selection  selection
}

func newInspection(streams genericiooptions.IOStreams) inspection {
	i := inspection{IOStreams: streams, connection: newConnection()}
	i.selection.namespace = i.connection.flags.Namespace
	i.selection.concurrency = defaultConcurrency
	return i
}

func (i *inspection) addSelectionFlags(cmd *cobra.Command) {
	group(cmd, "Selection", func(flags *pflag.FlagSet) {
		flags.StringVarP(i.selection.namespace, "namespace", "n", "", "The namespace of the workload.")
		i.selection.addComparisonFlags(flags)
	})
}

// complete reads the arguments and checks what was given, without a look at any
// cluster.
func (i *inspection) complete(cmd *cobra.Command, args []string) error {
	if err := i.selection.complete(cmd, args); err != nil {
		return err
	}
	if err := i.connection.validate(); err != nil {
		return err
	}
	if err := i.selection.validateAsker(i.connection); err != nil {
		return err
	}
	return i.selection.validate()
}

// audit audits the workloads and returns each comparison that was made, too.
func (i *inspection) audit(ctx context.Context) (*rest.Config, *report.Report, []audit.Comparison, error) {
	config, err := i.connection.connect(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	selected, err := i.selection.resolve(i.connection)
	if err != nil {
		return nil, nil, nil, err
	}
	var compared []audit.Comparison
	options := i.options(selected)
	options.Compared = func(c audit.Comparison) { compared = append(compared, c) }
	found, err := advised(ctx, config, options)
	return config, found, compared, err
}

// options are how workloads are audited.
func (i *inspection) options(selected inventory.Selection) audit.Options {
	return audit.Options{
		Selection:          selected,
		Concurrency:        i.selection.concurrency,
		DryRunAs:           i.selection.dryRunAs,
		DeclaredSidecars:   i.selection.sidecarNames,
		IgnorePaths:        i.selection.ignorePaths,
		IncludeAutoscaled:  i.selection.includeAutoscaled,
		Autoscalers:        i.selection.autoscalerRules(),
		CompareAnnotations: i.selection.annotations,
		Log:                logr.Discard(),
	}
}
