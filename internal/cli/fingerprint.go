package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
)

// fingerprintOptions are those of "fingerprint".
type fingerprintOptions struct {
	genericiooptions.IOStreams
	files        []string
	template     string // a file; empty: managedFields tell
	sidecarNames []string
	format       report.Format
}

// printedFingerprint is a Pod's fingerprint in the command's JSON.
type printedFingerprint struct {
	Name      string          `json:"name"`
	Namespace string          `json:"namespace"`
	Stamp     string          `json:"stamp"`
	Parts     json.RawMessage `json:"parts"`
}

func newFingerprintCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := fingerprintOptions{IOStreams: streams, format: report.Table}
	cmd := &cobra.Command{
		Use:   "fingerprint [flags]",
		Short: "Print the stamp and parts of Pods in files, as the stamper would write them",
		Long: `Compute the fingerprint of what admission injected into Pods. They are read as JSON or
YAML: objects, Lists, or several of them. No cluster is needed.

What was injected follows from managedFields, which kubectl hides unless it is called with
--show-managed-fields. A workload (--template) tells it in their place: all that is in its Pods and not
in its template. Without either only the containers that the injector itself lists, and those of
--sidecar-container-name, are known.`,
		Example: examples(name, `
# The Pods of a cluster
kubectl get pods -o json --show-managed-fields | NAME fingerprint

# Pods that were stored without managedFields, all of one workload
NAME fingerprint -f pods.yaml --template web.yaml

# Pods in files, as JSON
NAME fingerprint -f live.yaml -f fresh.yaml -o json`),
		Args: noArguments("files are given with --filename (-f)"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := completeList(cmd, sidecarNamesFlag); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return o.Run()
		},
	}
	group(cmd, "Input", func(flags *pflag.FlagSet) {
		flags.StringArrayVarP(&o.files, "filename", "f", []string{standardInput}, "`File` with Pods; - is standard input. Repeatable.")
		addTemplate(flags, &o.template)
		addSidecarNames(flags, &o.sidecarNames)
	})
	group(cmd, "Output", func(flags *pflag.FlagSet) {
		addOutput(flags, &o.format, report.Table, report.JSON)
	})
	return cmd
}

// Validate refuses two inputs from one stream, and impossible names.
func (o *fingerprintOptions) Validate() error {
	if o.template == standardInput && slices.Contains(o.files, standardInput) {
		return misuse("--template and Pods cannot both be standard input: name one with --filename (-f)")
	}
	return validateSidecarNames(o.sidecarNames)
}

// Run reads and prints.
func (o *fingerprintOptions) Run() error {
	var pods []pod
	for _, file := range o.files {
		read, err := readPods(file, o.In)
		if err != nil {
			return err
		}
		pods = append(pods, read...)
	}
	template, err := readTemplate(o.template, o.In)
	if err != nil {
		return err
	}
	prints := make([]fingerprint.Fingerprint, len(pods))
	for i, p := range pods {
		if template.Exists() {
			prints[i], err = fingerprint.OfSubmitted(p.root, template, o.sidecarNames...)
		} else {
			warnOfNoManagers(o.ErrOut, p)
			prints[i], err = fingerprint.Of(p.root, o.sidecarNames...)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	if o.format == report.JSON {
		return o.writeJSON(pods, prints)
	}
	return o.writeTable(pods, prints)
}

func (o *fingerprintOptions) writeJSON(pods []pod, prints []fingerprint.Fingerprint) error {
	printed := make([]printedFingerprint, len(pods))
	for i, p := range pods {
		printed[i] = printedFingerprint{p.name(), p.namespace(), prints[i].Stamp, prints[i].PartsJSON()}
	}
	return report.Marshal(o.Out, report.JSON, printed)
}

// writeTable has a block for each Pod: its stamp, and a line a part.
func (o *fingerprintOptions) writeTable(pods []pod, prints []fingerprint.Fingerprint) error {
	var b strings.Builder
	for i, p := range pods {
		if i > 0 {
			b.WriteByte('\n')
		}
		width := 0
		for _, part := range prints[i].Parts {
			width = max(width, len(part.Name))
		}
		fmt.Fprintf(&b, "%s  %s\n", report.Printable(p.qualifiedName()), prints[i].Stamp)
		for _, part := range prints[i].Parts {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, report.Printable(part.Name), part.Hash)
		}
	}
	if len(pods) == 0 {
		b.WriteString("No Pods in the input.\n")
	}
	_, err := io.WriteString(o.Out, b.String())
	return err
}
