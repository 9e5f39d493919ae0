package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/service"
)

// wavesOptions are those of "waves".
type wavesOptions struct {
	genericiooptions.IOStreams
	connection connection
	installed  string // namespace of the auditor
	format     report.Format
}

func newWavesCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := wavesOptions{IOStreams: streams, connection: newConnection(), installed: service.DefaultNamespace, format: report.Table}
	cmd := &cobra.Command{
		Use:   "waves [flags]",
		Short: "Say how far changes of the injection are, wave by wave",
		Long: `Say how far the automatic rollout of each change is in the waves of the configuration
(autoRollout.waves): which wave it is in, how many of its workloads are rolled out, and
until when it soaks. Changes that are equally far are shown as one, with the places that
differ. What is over in all waves is not shown.

Phases of a wave:
  rolling out  its workloads are rolled out as windows, budget and guards allow
  soaking      rolled out; the next wave begins when that has been so for long enough
  over         the next wave has begun
  waiting      for the waves before it

It is read from what the daemon keeps in a ConfigMap.`,
		Example: examples(name, `
# Where is the new version?
NAME waves

# For a program
NAME waves -o json`),
		Args: noArguments("waves takes flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.connection.validate(); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	group(cmd, "Selection", func(flags *pflag.FlagSet) {
		flags.StringVar(&o.installed, "installation-namespace", o.installed, "The `namespace` that the auditor is installed in.")
	})
	group(cmd, "Output", func(flags *pflag.FlagSet) {
		addOutput(flags, &o.format, report.Table, report.JSON, report.YAML)
	})
	o.connection.addFlags(cmd)
	return cmd
}

// waveReport is what is written for programs.
type waveReport struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Changes    []report.Progress `json:"changes"`
}

// Run reads what the daemon keeps.
func (o *wavesOptions) Run(ctx context.Context) error {
	config, err := o.connection.connect(ctx)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	changes, err := service.ReadProgress(ctx, client, o.installed)
	switch {
	case err != nil:
		return err
	case o.format != report.Table:
		return report.Marshal(o.Out, o.format, waveReport{report.APIVersion, "WaveReport", changes})
	case len(changes) == 0:
		fmt.Fprintln(o.ErrOut, "No change is on its way: nothing drifts that an automatic rollout would take, or the configuration has no waves (autoRollout.waves, see docs/service.md#waves).")
		return nil
	}
	return report.WriteProgress(o.Out, changes, time.Now())
}
