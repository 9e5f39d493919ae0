package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/apiserver"
	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/versions"
)

// versionsOptions are those of "versions".
type versionsOptions struct {
	genericiooptions.IOStreams
	connection connection
	selection  selection
	podsOnly   bool
	format     report.Format
	secrets    secrets
}

func newVersionsCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := versionsOptions{IOStreams: streams, connection: newConnection(), format: report.Table}
	o.selection.namespace = o.connection.flags.Namespace
	cmd := &cobra.Command{
		Use:   "versions [flags]",
		Short: "Say which versions of which sidecars run where",
		Long: `Say which specs of injected containers run: how many Pods, workloads and namespaces have each,
how old its oldest Pod is, and what it would become if its Pods were re-created.

Injectors write the Pod's own names, ports, labels and annotations into what they inject.
Workloads have the same version where their injected containers differ in nothing but these.
The ID is of the content: the same version has it tomorrow, and in another cluster.

What Pods would become is asked by dry runs, as audit does. Who may not create Pods in a dry
run, or gives --pods-only, is told all that the Pods say themselves, and how each version
differs from the newest one of the same injector and revision.`,
		Example: examples(name, `
# Which versions run, and what are they to become?
NAME versions

# In my namespace, where I may read Pods and nothing else
NAME versions --namespace shop --pods-only

# For a program
NAME versions --output json`),
		Args: noArguments("versions takes flags only; audit KIND/NAME says what one workload differs in"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(cmd, args); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	group(cmd, "Selection", func(flags *pflag.FlagSet) {
		o.selection.addScopeFlags(flags)
		o.selection.addSidecarNames(flags)
		o.selection.dryRunAs = injection.Auto
		addDryRunAs(flags, &o.selection.dryRunAs)
		addCount(flags, &o.selection.concurrency, "concurrency", defaultConcurrency, "Number of dry runs under way at once, at most.")
		addSwitch(flags, &o.podsOnly, "pods-only", "Read Pods alone: ask nobody what they would become.")
	})
	group(cmd, "Output", func(flags *pflag.FlagSet) {
		addOutput(flags, &o.format, report.Table, report.JSON, report.YAML)
		o.secrets.addFlag(flags)
	})
	o.connection.addFlags(cmd)
	return cmd
}

func (o *versionsOptions) complete(cmd *cobra.Command, args []string) error {
	if err := o.selection.complete(cmd, args); err != nil {
		return err
	}
	if err := o.connection.validate(); err != nil {
		return err
	}
	if err := o.selection.validateAsker(o.connection); err != nil {
		return err
	}
	return o.selection.validate()
}

// Run counts and prints.
func (o *versionsOptions) Run(ctx context.Context) error {
	config, err := o.connection.connect(ctx)
	if err != nil {
		return err
	}
	selected, err := o.selection.resolve(o.connection)
	if err != nil {
		return err
	}
	fresh, notes, err := o.ask(ctx, config, selected)
	if err != nil {
		return err
	}
	found, err := o.count(ctx, config, selected, fresh)
	if err != nil {
		return err
	}
	found.Cluster = new(o.connection.identity(config))
	found.Notes = append(found.Notes, notes...)
	if o.format != report.Table {
		return report.Marshal(o.Out, o.format, found)
	}
	return found.WriteTable(o.Out, time.Now(), textOptions(o.Out))
}

// ask finds out what re-created Pods would get, by the UIDs of those that run; nil where
// nobody is to be asked, or nobody may ask, which the notes say.
func (o *versionsOptions) ask(ctx context.Context, config *rest.Config, selected inventory.Selection) (fresh map[string][]versions.Spec, notes []string, err error) {
	if o.podsOnly {
		return nil, nil, nil
	}
	fresh = map[string][]versions.Spec{}
	var unread error
	bar := newProgress(o.ErrOut)
	defer bar.erase()
	_, err = audit.Run(ctx, config, audit.Options{
		Selection: selected, Concurrency: o.selection.concurrency, DryRunAs: o.selection.dryRunAs,
		DeclaredSidecars: o.selection.sidecarNames, Progress: bar.count, Log: logr.Discard(),
		Compared: func(c audit.Comparison) {
			specs, err := versions.OfSidecars(c.Fresh, c.Verdict.Sidecars)
			if err != nil {
				unread = err
				return
			}
			for _, pod := range c.Pods {
				fresh[pod.UID] = specs
			}
		},
	})
	if apierrors.IsForbidden(err) {
		return nil, []string{"what re-created Pods would get is not known: " + err.Error()}, nil
	}
	if err == nil {
		err = unread
	}
	return fresh, nil, err
}

// count reads the Pods that run now.
func (o *versionsOptions) count(ctx context.Context, config *rest.Config, selected inventory.Selection, fresh map[string][]versions.Spec) (*report.Versions, error) {
	client, err := apiserver.Connect(config)
	if err != nil {
		return nil, err
	}
	var census *versions.Census
	pods := 0
	unread, err := inventory.Each(ctx, client, selected, func() func(inventory.Seen) {
		census, pods = new(versions.Census), 0
		return func(pod inventory.Seen) {
			pods++
			specs, err := versions.Of(pod.Node, o.selection.sidecarNames...)
			if err != nil {
				return // as of a Pod that has no spec, which no API server has
			}
			expected, asked := fresh[pod.UID]
			census.Add(workloadOf(pod.Workload), runningOnce(specs, pod.Created), expected, asked)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("versions: %w", err)
	}
	found := report.NewVersions(census, pods, fresh != nil, o.secrets.masker())
	if unread > 0 {
		found.Notes = append(found.Notes, countOf(unread, "Pod could not be read", "Pods could not be read"))
	}
	return found, nil
}

func workloadOf(w inventory.WorkloadRef) versions.Workload {
	return versions.Workload{Namespace: w.Namespace, Kind: w.Kind, Name: w.Name}
}

// runningOnce is one Pod of each spec, created at a second of the Unix epoch; 0: not known.
func runningOnce(specs []versions.Spec, created int64) []versions.Running {
	running := make([]versions.Running, len(specs))
	for i, spec := range specs {
		running[i] = versions.Running{Spec: spec, Pods: 1}
		if created > 0 {
			at := time.Unix(created, 0)
			running[i].Oldest, running[i].Youngest = at, at
		}
	}
	return running
}
