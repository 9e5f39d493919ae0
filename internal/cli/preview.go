package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/klog/v2"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/candidate"
	"github.com/sidecar-drift/sidecar-drift/auditor/candidate/policies"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// previewOptions are those of "preview": what audit has, and candidates.
type previewOptions struct {
	auditOptions
	webhooks []string // NAME=WHERE
	policies []string // files
	set      *policies.Set
	present  []string // [NAME=]WHERE
	caFile   string

	candidates candidate.Options
}

func newPreviewCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &previewOptions{auditOptions: auditOptions{IOStreams: streams, connection: newConnection(), format: report.Table}}
	o.auditOptions.audit = o.previewed
	o.selection.namespace = o.connection.flags.Namespace
	cmd := &cobra.Command{
		Use:   "preview (--webhook NAME=WHERE | --policy FILE) [KIND/NAME ...] [flags]",
		Short: "Say what another injector or policy would change, before it is there",
		Long: `Ask a candidate what it would inject into each workload, in the place of a mutating
webhook of the cluster, and compare: with the live Pods, as a rollout would change them, and
with what admission makes of them today, as that is what the candidate changes. Nothing in
the cluster is changed.

NAME is the webhook, CONFIGURATION/WEBHOOK or a part of that which no other has. WHERE is
  https://HOST:PORT/PATH        as the API server would call it
  svc/NAMESPACE/NAME:PORT/PATH  a Service, through a port-forward by your own rights; its
                                certificate is verified for NAME.NAMESPACE.svc
  exec:COMMAND                  a program that reads an AdmissionReview on its standard
                                input and writes the answer to its standard output

For each workload, the Pod is reconstructed that the webhook was given, and the present
webhook is asked first: what it answers must give what the dry run gave. Where it does not,
it goes by something that cannot be reconstructed, and the workload is Unknown, with the
places that differ. Then the candidate is asked the same, and the API server validates the
result. A workload whose Pods it, or the API server, would refuse is Blocked.

With --policy, the file's MutatingAdmissionPolicies and ValidatingAdmissionPolicies are asked
as if they were in the cluster, by the API server's own code: what they would change, and
which running workloads' Pods they would refuse from then on.

The states are those of an audit after the change. A change that says "drift of today" is no
change of the candidate: a rollout would make it already now. See docs/preview.md.

Exit codes:
  0  the preview completed; with --exit-code or --fail-on: and the candidate changes nothing
     of what these are about
  1  with --exit-code: the candidate changes something that is injected, or a workload's Pods
     are refused with it and are not today; with --fail-on: it makes a change as risky as that
     names, or leads to a state that it names
  2  an error; with either flag also, where it is not 1, if nothing could be previewed, a
     namespace that was named does not exist, or, without --allow-unknown, a workload is Unknown`,
		Example: examples(name, `
# What would the next release of Istio change? Its injector runs on this machine
NAME preview --webhook rev.namespace.sidecar-injector.istio.io=https://localhost:15017/inject --webhook-ca ca.pem

# The same of a revision that is installed and that nothing uses yet
NAME preview --webhook istio-sidecar-injector=svc/istio-system/istiod-1-28:443/inject

# In a pipeline, as a comment for the pull request: fail on changes of behaviour
NAME preview --webhook my-injector=exec:'docker run -i --rm my/injector:next review' --output markdown --fail-on behaviour > preview.md

# Which running workloads could not be re-created any more under this policy?
NAME preview --policy require-limits.yaml --fail-on Blocked

# The present webhook is a Service that cannot be forwarded to
NAME preview --webhook dapr-sidecar-injector=https://localhost:4000/mutate --webhook-ca ca.pem --present https://injector.example.com/mutate`),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.Complete(cmd, args); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	group(cmd, "Candidates", func(flags *pflag.FlagSet) {
		flags.StringArrayVar(&o.webhooks, "webhook", nil, "Ask another one in the place of this mutating webhook, `NAME=WHERE`. Repeatable: several are asked in the API server's order.")
		flags.StringArrayVar(&o.policies, "policy", nil, "Ask as if the admission policies in this `FILE` (- for standard input) were in the cluster: with their bindings and, where those are not in the cluster, their parameters. Repeatable.")
		flags.StringVar(&o.caFile, "webhook-ca", "", "Verify candidates by the certificates in this `FILE` (PEM), instead of by the webhook's caBundle (svc/) or the system's authorities (https://).")
		flags.StringArrayVar(&o.present, "present", nil, "Where the present webhook can be reached, if not as its configuration says: `[NAME=]WHERE`. Repeatable.")
	})
	o.addSelection(cmd, "preview")
	o.addOutput(cmd)
	o.connection.addFlags(cmd)
	o.connection.completeWorkloads(cmd, anyKind)
	return cmd
}

// Complete reads the arguments.
func (o *previewOptions) Complete(cmd *cobra.Command, args []string) error {
	o.hints = newHints(cmd, args)
	return o.selection.complete(cmd, args)
}

// Validate checks what was given, without a look at any cluster.
func (o *previewOptions) Validate() error {
	switch {
	case len(o.webhooks) == 0 && len(o.policies) == 0:
		return misuse("--webhook or --policy is missing: NAME=WHERE says which webhook another one is to answer for, and where that one is; FILE has policies that are to be there")
	case len(o.webhooks) > 0 && len(o.policies) > 0:
		return misuse("--webhook and --policy contradict each other: preview one after the other")
	case len(o.policies) > 0:
		return o.validatePolicies()
	}
	for _, text := range o.webhooks {
		place, err := parsePlace("webhook", text)
		if err != nil {
			return err
		}
		o.candidates.Candidates = append(o.candidates.Candidates, place)
	}
	for _, text := range o.present {
		if len(o.webhooks) == 1 && !named(text) {
			text = o.candidates.Candidates[0].Webhook + "=" + text
		}
		place, err := parsePlace("present", text)
		if err != nil {
			return err
		}
		o.candidates.Present = append(o.candidates.Present, place)
	}
	if o.caFile != "" {
		var err error
		if o.candidates.CA, err = os.ReadFile(o.caFile); err != nil {
			return misuse("--webhook-ca: %w", err)
		}
		if _, err := certutil.ParseCertsPEM(o.candidates.CA); err != nil {
			return misuse("--webhook-ca %s: %w", o.caFile, err)
		}
	}
	if err := o.auditOptions.Validate(); err != nil {
		return err
	}
	o.candidates.Ignore = o.selection.ignorePaths
	o.candidates.Concurrency = o.selection.concurrency
	return nil
}

// validatePolicies reads them.
func (o *previewOptions) validatePolicies() error {
	if len(o.present) > 0 || o.caFile != "" {
		return misuse("--present and --webhook-ca go with --webhook alone")
	}
	var all [][]byte
	for _, file := range o.policies {
		_, documents, err := readDocuments(file, o.In, "admission policies")
		if err != nil {
			return misuse("--policy: %w", err)
		}
		all = append(all, documents...)
	}
	var err error
	if o.set, err = policies.Read(all); err != nil {
		return misuse("--policy: %w", err)
	}
	return o.auditOptions.Validate()
}

// named reports whether a place begins with a webhook's name.
func named(text string) bool {
	name, _, found := strings.Cut(text, "=")
	return found && !strings.HasPrefix(name, "https://") && !strings.HasPrefix(name, "exec:") && !strings.HasPrefix(name, "svc/")
}

// parsePlace reads NAME=WHERE.
func parsePlace(flag, text string) (candidate.Place, error) {
	name, where, found := strings.Cut(text, "=")
	if !found || name == "" || !named(text) {
		return candidate.Place{}, misuse("--%s %q: give NAME=WHERE, where NAME is that of a webhook or a part of it", flag, text)
	}
	at, err := candidate.ParseWhere(where)
	if err != nil {
		return candidate.Place{}, misuse("--%s %s: %w", flag, text, err)
	}
	return candidate.Place{Webhook: name, Where: at}, nil
}

// previewed is an audit with the candidates.
func (o *previewOptions) previewed(ctx context.Context, config *rest.Config, options audit.Options) (*report.Report, error) {
	candidates, err := o.connect(ctx, config)
	if apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("%w; a preview must read what admission is made of", err)
	}
	if err != nil {
		return nil, err
	}
	defer candidates.Close()
	options.Candidate = candidates
	return advised(ctx, config, options)
}

// answering is a candidate until it is closed.
type answering interface {
	audit.Candidate
	Close()
}

func (o *previewOptions) connect(ctx context.Context, config *rest.Config) (answering, error) {
	if o.set != nil {
		klog.SetLogger(logr.Discard()) // the API server's own code tells how it goes about it
		return policies.Connect(ctx, config, o.set)
	}
	return candidate.Connect(ctx, config, o.candidates)
}

// Run asks and reports.
func (o *previewOptions) Run(ctx context.Context) error {
	defer collectMore()()
	found, _, err := o.auditCluster(ctx)
	if err != nil {
		return err
	}
	if found.Preview == nil {
		return errors.New("nothing was previewed")
	}
	shown := o.shown(found.Report)
	if err := o.write(shown); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if o.format == report.Table || o.format == report.Wide {
		o.hints.afterPreview(o.ErrOut, shown, o.diff)
	}
	return o.gate.judge(found.OfCandidate(), shown.OfCandidate(), found.absent)
}
