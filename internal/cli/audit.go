package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// auditFunc is audit.Run, or that with advice.
type auditFunc func(context.Context, *rest.Config, audit.Options) (*report.Report, error)

// auditOptions are those of "audit".
type auditOptions struct {
	genericiooptions.IOStreams
	connection connection
	selection  selection
	clusters   clusters
	format     report.Format
	labels     []string
	texts      []string // annotations
	preview    injection.Metadata
	changes    []change.ID
	view       view
	gentle     bool
	diff       bool
	causes     bool
	secrets    secrets
	gate       gate
	hints      hints

	audit auditFunc
}

func newAuditCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	return newAuditCommandWith(name, streams, advised)
}

func newAuditCommandWith(name string, streams genericiooptions.IOStreams, audit auditFunc) *cobra.Command {
	o := auditOptions{IOStreams: streams, connection: newConnection(), format: report.Table, audit: audit}
	o.selection.namespace = o.connection.flags.Namespace
	cmd := &cobra.Command{
		Use:   "audit [KIND/NAME ...] [flags]",
		Short: "Say which workloads' sidecars drifted, and how",
		Long: `Ask the API server, for each workload that has Pods, what its Pods would look like
if they were re-created now (a dry run: nothing is created), and compare.

What several workloads differ in alike is a change, which the table begins with: its number,
by which rows name it, what it is, how far it reaches, how risky it is (cosmetic, tuning,
version, behaviour or loss, docs/changes.md), and its ID for --change.

States, worst first:
  Blocked      admission refuses the Pod: the workload cannot be re-created at all
  Drifted      a re-created Pod would carry another injected spec
  Missing      injection would now add a sidecar, or variables, mounts or volumes
  Orphaned     the Pod has something injected; injection would now add nothing
  Modified     a sidecar was changed in place on the live Pod
  Unstable     all that differs does so among fresh injections of the same Pod, too
  Unknown      it could not be asked, an injector does not answer, or dry runs mislead
  InSync       a re-created Pod would carry the same
  Mutated      admission now changes the Pod differently, but nothing that is injected
               (beside a sidecar: the app's own image alone)
  NotInjected  nothing is injected, no difference

The table and the markdown leave Mutated and NotInjected workloads out unless
--state names them. Drift is the percentage of Drifted, Missing and Orphaned Pods among
those that are one of these, InSync or Modified.

What looks like a secret, by its name or its form, is masked in every output, and only that
part of a value: *** and twelve digits, equal ones for equal secrets of one report, others
in the next. --show-secrets shows secrets.

--contexts and --all-contexts audit several clusters side by side, into one report
with the cluster of each workload. One that cannot be audited does not keep the
others: the report says so, and the exit code is 2.

Exit codes:
  0  the audit completed; with --exit-code or --fail-on: and all that was selected is well
  1  with --exit-code: a workload is Drifted, Missing, Orphaned or Blocked; with --fail-on:
     one is in a state that it names, or differs in something as risky as it names
  2  an error, also if it is one cluster's of several, whatever the others show; with either
     flag also, where it is not 1, if nothing could be judged, a namespace that was named does
     not exist, or, without --allow-unknown, a workload is Unknown`,
		Example: examples(name, `
# Everything, all namespaces
NAME audit

# What changed, and whose changes are they?
NAME audit --causes

# Who differs in which change? And which teams?
NAME audit --group-by change
NAME audit --group-by label=team

# What exactly would change in one workload?
NAME audit deploy/web --namespace shop --diff

# Only workloads with Istio's proxy, outside kube-system
NAME audit --sidecar-container-name istio-proxy --exclude-namespace kube-system

# What would another revision of Istio change, and which workloads would it break?
NAME audit --with-label istio.io/rev=1-28

# The clusters of two contexts of the kubeconfig, in one report
NAME audit --contexts eu,us

# In a pipeline: fail if anything drifted or could not be re-created
NAME audit --exit-code --output junit > drift.xml

# In a pipeline: fail if something would change that is riskier than another version
NAME audit --fail-on behaviour,Blocked

# A comment for a pull request
NAME audit --output markdown > drift.md

# Reports in the cluster, for the tools that show openreports.io
NAME audit --output policyreport | kubectl apply --server-side -f -`),
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
	o.addSelection(cmd, "audit")
	group(cmd, "Preview", func(flags *pflag.FlagSet) {
		flags.StringArrayVar(&o.labels, "with-label", nil, "Ask as if the Pods had this label, `KEY=VALUE`: what would it change? Repeatable.")
		flags.StringArrayVar(&o.texts, "with-annotation", nil, "Ask as if the Pods had this annotation, `KEY=VALUE`. Repeatable.")
	})
	o.addOutput(cmd, report.PolicyReport)
	group(cmd, "Output", func(flags *pflag.FlagSet) {
		addSwitch(flags, &o.causes, "causes", "Say whose changes are, as far as the metadata of what the injectors go by tells: docs/changes.md#whose-change-it-is.")
	})
	o.clusters.addFlags(cmd)
	o.connection.addFlags(cmd)
	o.connection.completeWorkloads(cmd, anyKind)
	return cmd
}

// addSelection adds the flags for which workloads it is, and how they are asked about.
func (o *auditOptions) addSelection(cmd *cobra.Command, command string) {
	o.selection.addFlags(cmd, "Only workloads in these `states`, comma-separated.", verdict.States())
	group(cmd, "Selection", func(flags *pflag.FlagSet) {
		addChanges(flags, &o.changes, "Only workloads that differ in the change of this `ID`, as the report has it.")
		addSwitch(flags, &o.gentle, "gentle", "Take time, so that other requests to the API server take hardly longer for the "+command+".")
	})
}

// addOutput adds those for what is shown and how, in more formats than a preview has, and for
// what the exit code tells of it.
func (o *auditOptions) addOutput(cmd *cobra.Command, more ...report.Format) {
	formats := append([]report.Format{
		report.Table, report.Wide, report.JSON, report.YAML, report.CSV, report.Markdown, report.HTML, report.JUnit,
	}, more...)
	group(cmd, "Output", func(flags *pflag.FlagSet) {
		addOutput(flags, &o.format, formats...)
		flags.BoolVar(&o.diff, "diff", false, "Show each change as removed and added lines (json, yaml, markdown, html and junit always hold all changes).")
		o.view.addFlags(flags)
		o.secrets.addFlag(flags)
		o.gate.addFlags(flags)
	})
}

// Complete reads the arguments.
func (o *auditOptions) Complete(cmd *cobra.Command, args []string) error {
	o.hints = newHints(cmd, args)
	if err := o.clusters.complete(cmd); err != nil {
		return err
	}
	return o.selection.complete(cmd, args)
}

// Validate checks what was given, without a look at any cluster.
func (o *auditOptions) Validate() error {
	if err := o.connection.validate(); err != nil {
		return err
	}
	if err := o.selection.validateAsker(o.connection); err != nil {
		return err
	}
	var err error
	if o.preview.Labels, err = parsePairs("with-label", o.labels, validation.IsValidLabelValue); err != nil {
		return err
	}
	if o.preview.Annotations, err = parsePairs("with-annotation", o.texts, nil); err != nil {
		return err
	}
	if o.format == report.PolicyReport && len(o.labels)+len(o.texts) > 0 {
		return misuse("--output policyreport and a preview (--with-label, --with-annotation) contradict each other: a Report in the cluster says what is")
	}
	if o.causes && len(o.labels)+len(o.texts) > 0 {
		return misuse("--causes and a preview (--with-label, --with-annotation) contradict each other: the change is yours")
	}
	if o.causes && o.clusters.several() {
		return misuse("--causes and several clusters contradict each other: what injectors go by is another in each, so audit them one by one")
	}
	if err := o.view.validate(o.format, o.diff); err != nil {
		return err
	}
	if err := o.gate.validate(o.selection.states); err != nil {
		return err
	}
	return o.selection.validate()
}

// parsePairs reads KEY=VALUE of labels or annotations.
func parsePairs(flag string, pairs []string, value func(string) []string) (map[string]string, error) {
	parsed := map[string]string{}
	for _, pair := range pairs {
		key, text, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, misuse("--%s %q: give KEY=VALUE", flag, pair)
		}
		problems := validation.IsQualifiedName(key)
		if value != nil {
			problems = append(problems, value(text)...)
		}
		if len(problems) > 0 {
			return nil, misuse("--%s %q: %s", flag, pair, problems[0])
		}
		parsed[key] = text
	}
	return parsed, nil
}

// Run audits and reports. Where a cluster of several could not be audited, that is
// the outcome, whatever the others show.
func (o *auditOptions) Run(ctx context.Context) error {
	defer collectMore()()
	audit := o.auditCluster
	if o.clusters.several() {
		audit = o.auditClusters
	}
	found, failed, err := audit(ctx)
	if err != nil {
		return err
	}
	shown := o.shown(found.Report)
	if err := o.write(shown); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if o.format == report.Table || o.format == report.Wide {
		o.hints.afterAudit(o.ErrOut, shown, o.diff)
	}
	if failed != nil {
		return failed
	}
	return o.gate.judge(found.Report, shown, found.absent)
}

// auditCluster audits the one cluster of the connection flags, all or nothing.
func (o *auditOptions) auditCluster(ctx context.Context) (found audited, failed, err error) {
	config, err := o.connection.connect(ctx)
	if err != nil {
		return audited{}, nil, err
	}
	selected, err := o.selection.resolve(o.connection)
	if err != nil {
		return audited{}, nil, err
	}
	bar := newProgress(o.ErrOut)
	defer bar.erase()
	found, err = o.auditAt(ctx, o.connection, config, o.auditing(selected, bar.count))
	if err == nil && o.causes {
		found.Group()
		if _, err := lookForCauses(ctx, config, found.Report); err != nil {
			return audited{}, nil, fmt.Errorf("look whose changes are: %w; without --causes the audit does without", err)
		}
	}
	return found, nil, o.hints.openWays(ctx, config, selected, err)
}

// audited is what an audit found, and the namespaces that were named and are not there.
type audited struct {
	*report.Report
	absent []string
}

func (o *auditOptions) auditAt(ctx context.Context, of connection, config *rest.Config, options audit.Options) (audited, error) {
	found, err := o.audit(ctx, config, options)
	if err != nil {
		return audited{}, err
	}
	found.Cluster = new(of.identity(config))
	absent, err := absentNamespaces(ctx, config, options.Selection, found)
	if len(absent) > 0 {
		found.Notes = append(found.Notes, "No such namespace: "+strings.Join(absent, ", "))
	}
	return audited{found, absent}, err
}

// auditing is how a cluster is audited.
func (o *auditOptions) auditing(selected inventory.Selection, progress func(done, total int)) audit.Options {
	return audit.Options{
		Selection:          selected,
		Concurrency:        o.selection.concurrency,
		Gentle:             o.gentle,
		DryRunAs:           o.selection.dryRunAs,
		DeclaredSidecars:   o.selection.sidecarNames,
		IgnorePaths:        o.selection.ignorePaths,
		IncludeAutoscaled:  o.selection.includeAutoscaled,
		Autoscalers:        o.selection.autoscalerRules(),
		CompareAnnotations: o.selection.annotations,
		Labels:             o.view.wanted(),
		Preview:            o.preview,
		Versions:           o.format == report.HTML,
		Progress:           progress,
		Log:                logr.Discard(),
	}
}

// shown leaves out what was not asked for: other states than the given ones
// and, in a table, workloads that have to do with no sidecar.
func (o *auditOptions) shown(found *report.Report) *report.Report {
	if found.Changes == nil {
		found.Group() // before anything is left out
	}
	found = selectChanges(found, o.changes)
	if len(o.selection.states) > 0 {
		return found.Select(o.selection.states...)
	}
	if o.forPeople() {
		return found.Select(slices.DeleteFunc(verdict.States(), withoutSidecar)...)
	}
	return found
}

func (o *auditOptions) write(found *report.Report) error {
	masker := o.secrets.masker()
	if o.format == report.PolicyReport && !o.secrets.show {
		masker = mask.Constant() // what finds the same is to write the same into the cluster
	}
	r := found.Masked(masker)
	if o.diff && (o.format == report.Table || o.format == report.Wide) {
		return r.WriteDiff(o.Out, textOptions(o.Out))
	}
	options := textOptions(o.Out)
	options.GroupBy, options.Labels = o.view.groupBy, o.view.labels
	return r.Write(o.Out, o.format, options)
}

// forPeople holds for the formats that leave out what has no sidecar.
func (o *auditOptions) forPeople() bool {
	return o.format == report.Table || o.format == report.Wide || o.format == report.Markdown
}

func withoutSidecar(state verdict.State) bool {
	return state == verdict.Mutated || state == verdict.NotInjected
}
