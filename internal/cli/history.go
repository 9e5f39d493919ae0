package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"

	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/service"
)

// historyOptions are those of "history" and "history show".
type historyOptions struct {
	genericiooptions.IOStreams
	connection connection
	cluster    *report.ClusterIdentity // once it is connected to
	installed  string                  // namespace of the auditor
	since      since
	format     report.Format
}

func newHistoryOptions(streams genericiooptions.IOStreams) *historyOptions {
	return &historyOptions{IOStreams: streams, connection: newConnection(), installed: service.DefaultNamespace, format: report.Table}
}

func newHistoryCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := newHistoryOptions(streams)
	cmd := &cobra.Command{
		Use:   "history [flags]",
		Short: "Say what changed in the injection, since when, and how far it is healed",
		Long: `Say which changes of the injection the daemon has seen: when each began, how many workloads
it reached at most, how many of them still run without it, and how it ended.

A change began between the last round that asked and did not find it, and the first that
found it: "history show" says when these were. It ends when no workload has it any more:
rolled out; taken back (they are in sync with the same Pods); changed again (they differ in
something else now); or gone, with its workloads.

It is read from what the daemon keeps in a ConfigMap.`,
		Example: examples(name, `
# What happened in the last week?
NAME history --since 7d

# All that is known of one change
NAME history show 3f0c29d1aa

# For a program
NAME history -o json`),
		Args: noArguments("history takes flags only; history show ID shows one change"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.connection.validate(); err != nil {
				return err
			}
			return o.list(cmd.Context())
		},
	}
	group(cmd, "Selection", func(flags *pflag.FlagSet) {
		o.addInstalled(flags)
		flags.Var(&o.since, "since", "Only changes that began, or were still open, within this `time`: 90m, 36h, 7d, 2w.")
	})
	o.addOutput(cmd)
	o.connection.addFlags(cmd)
	cmd.AddCommand(newHistoryShowCommand(name, streams))
	return cmd
}

func newHistoryShowCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := newHistoryOptions(streams)
	cmd := &cobra.Command{
		Use:   "show ID [flags]",
		Short: "Say all that is known of one change",
		Long: `Say all that is known of one change: what differs, since when, whom it reached, how far it is
healed, and which workloads have it. The ID is that of "history" and of "audit"; its first
characters suffice where only one change has them. Where a change came back after it had
ended, each time is shown.`,
		Example: examples(name, `
NAME history show 3f0c29d1aa`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give the ID of one change, as history shows it, not %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.connection.validate(); err != nil {
				return err
			}
			return o.show(cmd.Context(), args[0])
		},
	}
	group(cmd, "Selection", o.addInstalled)
	o.addOutput(cmd)
	o.connection.addFlags(cmd)
	return cmd
}

func (o *historyOptions) addInstalled(flags *pflag.FlagSet) {
	flags.StringVar(&o.installed, "installation-namespace", o.installed, "The `namespace` that the auditor is installed in.")
}

func (o *historyOptions) addOutput(cmd *cobra.Command) {
	group(cmd, "Output", func(flags *pflag.FlagSet) {
		addOutput(flags, &o.format, report.Table, report.JSON, report.YAML)
	})
}

func (o *historyOptions) read(ctx context.Context) ([]journal.Entry, journal.Earlier, error) {
	config, err := o.connection.connect(ctx)
	if err != nil {
		return nil, journal.Earlier{}, err
	}
	o.cluster = new(o.connection.identity(config))
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, journal.Earlier{}, err
	}
	return service.ReadHistory(ctx, client, o.installed)
}

func (o *historyOptions) list(ctx context.Context) error {
	entries, earlier, err := o.read(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	found := report.NewHistory(o.since.of(entries, now), earlier)
	found.Cluster = o.cluster
	switch {
	case o.format != report.Table:
		return report.Marshal(o.Out, o.format, found)
	case len(entries) == 0:
		fmt.Fprintln(o.ErrOut, "No change of the injection has been seen since the daemon keeps a journal.")
		return nil
	case len(found.Changes) == 0:
		fmt.Fprintf(o.ErrOut, "No change began or was open in the last %s; without --since there are %d.\n", &o.since, len(entries))
		return nil
	}
	return found.WriteTable(o.Out, textOptions(o.Out))
}

func (o *historyOptions) show(ctx context.Context, id string) error {
	entries, earlier, err := o.read(ctx)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e journal.Entry) bool { return !strings.HasPrefix(e.ID, strings.TrimPrefix(id, "#")) })
	ids := map[string]bool{}
	for _, e := range entries {
		ids[e.ID] = true
	}
	switch {
	case len(entries) == 0:
		return fmt.Errorf("the journal has no change %s: history lists those that it has", report.Printable(id))
	case len(ids) > 1:
		return fmt.Errorf("%d changes have IDs that begin with %s: give more of it", len(ids), report.Printable(id))
	case o.format != report.Table:
		found := report.NewHistory(entries, earlier)
		found.Cluster = o.cluster
		return report.Marshal(o.Out, o.format, found)
	}
	for i, e := range entries {
		if i > 0 {
			fmt.Fprintln(o.Out)
		}
		if err := report.WriteChange(o.Out, e, time.Now(), textOptions(o.Out)); err != nil {
			return err
		}
	}
	return nil
}

// since is a flag: how long ago; 0 is ever.
type since model.Duration

func (s *since) String() string {
	if *s == 0 {
		return ""
	}
	return model.Duration(*s).String()
}

func (s *since) Set(text string) error {
	d, err := model.ParseDuration(text)
	if err != nil || d == 0 {
		return fmt.Errorf("%q is no time: give a number with a unit, as in 90m, 36h, 7d or 2w", text)
	}
	*s = since(d)
	return nil
}

func (s *since) Type() string { return "time" }

// of are the changes that began since, or were open.
func (s *since) of(entries []journal.Entry, now time.Time) []journal.Entry {
	if *s == 0 {
		return entries
	}
	from := now.Add(-time.Duration(*s))
	return slices.DeleteFunc(slices.Clone(entries), func(e journal.Entry) bool {
		return e.Ended != nil && e.Ended.At.Before(from) && e.Began.By.Before(from)
	})
}
