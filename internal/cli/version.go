package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/doctor"
	"github.com/sidecar-drift/sidecar-drift/internal/version"
)

const (
	// versionText is the format of "version" without -o.
	versionText report.Format = "text"
	// versionPatience is how long an API server may take, so that "version" answers
	// where a kubeconfig names one that is away.
	versionPatience = 5 * time.Second
)

// versionOptions are those of "version".
type versionOptions struct {
	genericiooptions.IOStreams
	connection connection
	client     bool
	format     report.Format
}

// installedVersions is what "version" tells. Installed is null where nothing is installed, or
// where Unread says why that is not known.
type installedVersions struct {
	version.Info `json:",inline"`

	Server    string            `json:"server,omitempty"`
	Installed *doctor.Installed `json:"installed,omitempty"`
	Unread    string            `json:"unread,omitempty"`
}

func newVersionCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := versionOptions{IOStreams: streams, connection: newConnection(), format: versionText}
	cmd := &cobra.Command{
		Use:   "version [flags]",
		Short: "Print the version of this program, and what is installed in the cluster",
		Long: `Print the version of this program, of what is installed in the cluster of the kubeconfig, and
whether they fit: parts of an installation are of one version, and this program is at most one
minor version away. Where the cluster cannot be asked, the answer says why; that is no error.`,
		Example: examples(name, `
# This program, and what is installed
NAME version

# This program alone; nothing is asked
NAME version --client`),
		Args: noArguments("version takes flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.connection.validate(); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	group(cmd, "Output", func(flags *pflag.FlagSet) {
		addSwitch(flags, &o.client, "client", "The version of this program alone; no cluster is asked.")
		addOutput(flags, &o.format, versionText, report.JSON, report.YAML)
	})
	o.connection.addFlags(cmd)
	return cmd
}

// Run prints the versions.
func (o *versionOptions) Run(ctx context.Context) error {
	known := installedVersions{Info: version.Get()}
	if !o.client {
		o.lookUp(ctx, &known)
	}
	if o.format != versionText {
		return report.Marshal(o.Out, o.format, known)
	}
	return known.write(o.Out, o.client)
}

// lookUp asks the cluster. What it does not answer is said, and is no error: the
// version of this program is known all the same.
func (o *versionOptions) lookUp(ctx context.Context, known *installedVersions) {
	ctx, cancel := context.WithTimeoutCause(ctx, versionPatience, fmt.Errorf("no answer within %s", versionPatience))
	defer cancel()
	config, err := o.connection.restConfig()
	if err == nil {
		known.Server, err = serverVersion(ctx, config)
	}
	if err == nil {
		known.Installed, err = doctor.LookUp(ctx, config, known.Version)
	}
	if err != nil {
		known.Unread = err.Error()
	}
}

// write renders the versions for people.
func (v installedVersions) write(w io.Writer, client bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "sidecar-drift %s (%s, %s", v.Version, v.GoVersion, v.Platform)
	if v.Commit != "" {
		b.WriteString(", commit " + v.Commit)
	}
	b.WriteString(")\n")
	if v.Server != "" {
		b.WriteString("Kubernetes " + v.Server + "\n")
	}
	switch i := v.Installed; {
	case client:
	case v.Unread != "":
		b.WriteString("What is installed is not known: " + v.Unread + "\n")
	case i == nil:
		b.WriteString("Nothing is installed in this cluster, and audit and rollout work without.\n")
	default:
		writeInstalled(&b, i)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeInstalled(b *strings.Builder, i *doctor.Installed) {
	fmt.Fprintf(b, "Installed in namespace %s", i.Namespace)
	if i.Chart != "" {
		b.WriteString(" by the chart " + i.Chart)
	}
	b.WriteString(":\n")
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, p := range i.Parts {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", p.Name, cmp.Or(p.Version, "-"), p.Image)
		for _, image := range slices.Sorted(maps.Keys(p.Pods)) {
			if image != p.Image {
				fmt.Fprintf(table, "  \t\t%s: %s, until the upgrade has ended\n", image, countOf(p.Pods[image], "Pod", "Pods"))
			}
		}
	}
	_ = table.Flush() // a Builder takes everything
	for _, why := range i.Unread {
		b.WriteString("  " + why + "\n")
	}
	for _, m := range i.Misfits {
		fmt.Fprintf(b, "Does not fit: %s\n  → %s\n", m.Message, m.Remedy)
	}
	switch {
	case len(i.Misfits) > 0:
	case i.Compared:
		b.WriteString("They fit together, and this program.\n")
	default:
		b.WriteString("Whether they fit is not known, as not all of them, and this program, have versions to compare.\n")
	}
}
