package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// compareOptions are those of "compare".
type compareOptions struct {
	genericiooptions.IOStreams
	live, fresh  string // files
	template     string // a file; empty: managedFields tell
	sidecarNames []string
	annotations  []string
	format       report.Format
	secrets      secrets
}

// printedVerdict is the command's JSON.
type printedVerdict struct {
	State   verdict.State    `json:"state"`
	Changes []verdict.Change `json:"changes"`
	// Undecided are differences of placement of which nothing tells who made them, and
	// Metadata labels and annotations: neither counts.
	Undecided []verdict.Change `json:"undecided,omitempty"`
	Metadata  []verdict.Change `json:"metadata,omitempty"`
}

func newCompareCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := compareOptions{IOStreams: streams, format: report.Table}
	cmd := &cobra.Command{
		Use:   "compare LIVE FRESH [flags]",
		Short: "Compare two Pods in files: the verdict that an audit would give",
		Long: `Compare a running Pod with a fresh injection of the same Pod, each in a JSON or YAML file
(- is standard input). No cluster is needed.

What is injected follows from the managedFields of the Pods, which kubectl hides unless it
is called with --show-managed-fields. Pods without them need their workload (--template), or
the names of their sidecars (--sidecar-container-name). What looks like a secret is masked.

Two files do not tell what a ServiceAccount, a namespace or a class has lent to the Pods:
what came (an image pull secret, a toleration) is taken for admission's own, and what only
went is shown as not decided.

Exit codes:
  0  in sync
  1  they differ
  2  an error`,
		Example: examples(name, `
# Would a re-created Pod be the same?
kubectl get pod web-0 -o json --show-managed-fields > live.json
NAME compare live.json fresh.json

# Of Pods that were stored without managedFields
kubectl get deployment web -o yaml > web.yaml
NAME compare live.json fresh.json --template web.yaml

# The same, where no workload is at hand
NAME compare live.json fresh.json --sidecar-container-name linkerd-proxy,linkerd-init`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return misuse("two files are compared, LIVE and FRESH, and %d given", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Complete(args)
			for _, list := range []string{sidecarNamesFlag, compareAnnotationFlag} {
				if err := completeList(cmd, list); err != nil {
					return err
				}
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return o.Run()
		},
	}
	group(cmd, "Comparison", func(flags *pflag.FlagSet) {
		addTemplate(flags, &o.template)
		addSidecarNames(flags, &o.sidecarNames)
		addCompareAnnotations(flags, &o.annotations)
	})
	group(cmd, "Output", func(flags *pflag.FlagSet) {
		addOutput(flags, &o.format, report.Table, report.JSON, report.YAML)
		o.secrets.addFlag(flags)
	})
	return cmd
}

// Complete reads the two arguments.
func (o *compareOptions) Complete(args []string) { o.live, o.fresh = args[0], args[1] }

// Validate refuses two Pods from one stream, and impossible names.
func (o *compareOptions) Validate() error {
	if o.live == standardInput && o.fresh == standardInput {
		return misuse("LIVE and FRESH cannot both be standard input")
	}
	if o.template == standardInput && (o.live == standardInput || o.fresh == standardInput) {
		return misuse("--template and a Pod cannot both be standard input")
	}
	if err := validateSidecarNames(o.sidecarNames); err != nil {
		return err
	}
	return validateCompareAnnotations(o.annotations)
}

// Run compares and prints.
func (o *compareOptions) Run() error {
	live, err := o.read(o.live)
	if err != nil {
		return err
	}
	fresh, err := o.read(o.fresh)
	if err != nil {
		return err
	}
	template, err := readTemplate(o.template, o.In)
	if err != nil {
		return err
	}
	judged, err := verdict.Judge(verdict.Input{Live: live.root, Fresh: fresh.root, Template: template, DeclaredSidecars: o.sidecarNames, Annotations: o.annotations})
	if err != nil {
		return fmt.Errorf("compare %s with %s: %w", o.live, o.fresh, err)
	}
	if err := o.write(judged); err != nil {
		return fmt.Errorf("write the verdict: %w", err)
	}
	if len(judged.Changes) > 0 || judged.State != verdict.InSync && judged.State != verdict.NotInjected {
		return negative()
	}
	return nil
}

// read returns the one Pod of a file.
func (o *compareOptions) read(file string) (pod, error) {
	pods, err := readPods(file, o.In)
	if err != nil {
		return pod{}, err
	}
	if len(pods) != 1 {
		return pod{}, fmt.Errorf("%s holds %d Pods: one Pod is compared with one", file, len(pods))
	}
	if o.template == "" {
		warnOfNoManagers(o.ErrOut, pods[0])
	}
	return pods[0], nil
}

func (o *compareOptions) write(judged verdict.Verdict) error {
	masker := o.secrets.masker()
	if o.format != report.Table {
		return report.Marshal(o.Out, o.format, printedVerdict{
			judged.State, change.Masked(masker, judged.Changes), change.Masked(masker, judged.Undecided), change.Masked(masker, judged.Metadata),
		})
	}
	if _, err := io.WriteString(o.Out, string(judged.State)+"\n"); err != nil {
		return err
	}
	if err := report.WriteChanges(o.Out, masker, judged.Changes, textOptions(o.Out)); err != nil || len(judged.Undecided) == 0 {
		return err
	}
	if _, err := io.WriteString(o.Out, "Not decided, as nothing tells who set it:\n"); err != nil {
		return err
	}
	return report.WriteChanges(o.Out, masker, judged.Undecided, textOptions(o.Out))
}
