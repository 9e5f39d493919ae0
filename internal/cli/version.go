package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/version"
)

// versionText is the format of "version" without -o.
const versionText report.Format = "text"

// versionOptions are those of "version".
type versionOptions struct {
	genericiooptions.IOStreams
	format report.Format
}

func newVersionCommand(streams genericiooptions.IOStreams) *cobra.Command {
	o := versionOptions{IOStreams: streams, format: versionText}
	cmd := &cobra.Command{
		Use:   "version [flags]",
		Short: "Print the version of this program",
		Args:  noArguments("version takes flags only"),
		RunE:  func(*cobra.Command, []string) error { return o.Run() },
	}
	group(cmd, "Output", func(flags *pflag.FlagSet) {
		addOutput(flags, &o.format, versionText, report.JSON, report.YAML)
	})
	return cmd
}

// Run prints the version.
func (o *versionOptions) Run() error {
	info := version.Get()
	if o.format != versionText {
		return report.Marshal(o.Out, o.format, info)
	}
	line := fmt.Sprintf("sidecar-drift %s (%s, %s", info.Version, info.GoVersion, info.Platform)
	if info.Commit != "" {
		line += ", commit " + info.Commit
	}
	_, err := fmt.Fprintln(o.Out, line+")")
	return err
}
