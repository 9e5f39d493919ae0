package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/fingerprint"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
)

// explainOptions are those of "explain".
type explainOptions struct {
	inspection
	secrets secrets
}

func newExplainCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &explainOptions{inspection: newInspection(streams)}
	cmd := &cobra.Command{
		Use:   "explain KIND/NAME [flags]",
		Short: "Show the evidence behind a workload's verdict",
		Long: `Audit one workload, and begin with one paragraph to forward: what differs, since when, whose
change it is (as far as the metadata of what the injectors go by tells, and the daemon's
journal), what happens at the next restart, and what to do.

Then show what the verdict follows from: its Pods and their stamps, what their creator and
later field managers own, what differs, and which webhooks and admission
policies a new Pod of it passes, in their order. Those that look at who asks may answer an
audit differently from the Pod's own controller. What looks like a secret is masked.`,
		Example: examples(name, `
# Why is it Orphaned? Which injector was asked?
NAME explain deploy/web --namespace shop`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misuse("name one workload, as in deployment/web")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(cmd, args); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	o.addSelectionFlags(cmd)
	group(cmd, "Output", func(flags *pflag.FlagSet) { o.secrets.addFlag(flags) })
	o.connection.addFlags(cmd)
	o.connection.completeWorkloads(cmd, anyKind)
	return cmd
}

// Run audits and explains.
func (o *explainOptions) Run(ctx context.Context) error {
	config, audited, compared, err := o.audit(ctx)
	if err != nil {
		return err
	}
	audited.Group()
	masker := o.secrets.masker()
	found := audited.Masked(masker)
	if len(found.Items()) == 0 {
		return errors.New("there is no running Pod to explain")
	}
	e := explanation{style: textOptions(o.Out), mask: masker}
	told := story{changes: audited.Changes}
	if len(audited.Changes) > 0 {
		told.known = journalled(ctx, config, audited)
		told.began, told.unseen = lookForCauses(ctx, config, audited)
	}
	for _, item := range found.Items() {
		told.item = item
		e.WriteString(report.Printable(told.paragraph()) + "\n\n")
		e.workload(item)
		e.line("  ", "Cluster", strings.TrimPrefix(o.connection.identity(config).String(), "cluster "))
		for _, r := range item.Revisions {
			e.revision(r, slices.DeleteFunc(slices.Clone(compared), func(c audit.Comparison) bool { return c.Revision != r.Name }))
		}
		if err := e.admission(ctx, config, item); err != nil {
			return err
		}
	}
	_, err = io.WriteString(o.Out, e.String())
	return err
}

// explanation is the text in the making.
type explanation struct {
	strings.Builder
	style report.TextOptions
	mask  *mask.Masker
}

// line writes a labelled line; nothing where there is nothing to say.
func (e *explanation) line(indent, label, text string) {
	if text != "" {
		fmt.Fprintf(e, "%s%-10s %s\n", indent, label, report.Printable(text))
	}
}

func (e *explanation) workload(item report.Item) {
	name := report.Printable(fmt.Sprintf("%s %s/%s", item.Kind, item.Namespace, item.Name))
	fmt.Fprintf(e, "%s: %s\n", name, e.style.PaintState(item.State))
	answer := "would re-create its Pods (" + item.Rollout.Strategy + ")"
	if reason := item.Rollout.Reason; reason != "" {
		answer += "; " + reason
	}
	if !item.Rollout.Eligible {
		answer = "left alone: " + item.Rollout.Reason
	}
	e.line("  ", "Rollout", answer)
}

func (e *explanation) revision(r report.Revision, compared []audit.Comparison) {
	fmt.Fprintf(e, "\nRevision %s: %s\n", report.Printable(r.Name), e.style.PaintState(r.State))
	template := "as its owner has it"
	if r.Approximate {
		template = "approximate"
	}
	e.line("  ", "Template", template)
	asked := r.AskedAs + ", its controller"
	if r.AskedAs == "" {
		asked = "yourself"
	}
	e.line("  ", "Asked as", asked)
	e.line("  ", "Why", r.Reason)
	e.line("  ", "Fresh", r.Fresh)
	sidecars := orNone(r.Sidecars)
	if r.Injected && len(r.Sidecars) == 0 {
		sidecars = "none: variables, mounts or volumes alone are injected"
	}
	e.line("  ", "Sidecars", sidecars)
	for _, c := range compared {
		fmt.Fprintf(e, "\n  %s: %s\n", report.Printable(subject(c)), e.style.PaintState(c.Verdict.State))
		e.pod(c)
	}
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// pod tells what a live Pod itself says, and how it differs.
func (e *explanation) pod(c audit.Comparison) {
	const indent = "    "
	if c.Live.Exists() {
		stamp := c.Live.Get("metadata", "annotations").Get(fingerprint.StampAnnotation).String()
		if stamp == "" {
			stamp = "none: created before the stamper was there, or while it was away"
		}
		e.line(indent, "Created", e.created(c))
		e.line(indent, "Stamp", stamp)
		e.owners(indent, c)
	}
	e.besides(indent, c)
	if len(c.Verdict.Changes) == 0 {
		e.line(indent, "Differs", "in nothing")
		return
	}
	e.line(indent, "Differs", fmt.Sprintf("at %s:", countOf(len(c.Verdict.Changes), "place", "places")))
	var changes strings.Builder
	if err := report.WriteChanges(&changes, e.mask, c.Verdict.Changes, e.style); err != nil {
		return // a strings.Builder takes all
	}
	for line := range strings.Lines(changes.String()) {
		e.WriteString(indent + "  " + line)
	}
}

// besides names what differs and does not count.
func (e *explanation) besides(indent string, c audit.Comparison) {
	places := func(changes []verdict.Change) string {
		var all []string
		for _, c := range change.Masked(e.mask, changes) {
			all = append(all, c.Place())
		}
		return strings.Join(all, ", ")
	}
	e.line(indent, "Undecided", places(c.Verdict.Undecided))
	e.line(indent, "Not counted", places(c.Verdict.Metadata))
}

// created tells when, and what that says of a Pod that drifts.
func (e *explanation) created(c audit.Comparison) string {
	at := c.Live.Get("metadata", "creationTimestamp").String()
	if !c.Verdict.State.Drift() {
		return at
	}
	return at + ": if injection has not changed since, the dry run is another question than the creation was (docs/states.md#newborn-pods)"
}

// owners tells who created the Pod and declared which containers, and who has
// changed its spec since.
func (e *explanation) owners(indent string, c audit.Comparison) {
	managers, err := podspec.Managers(c.Live)
	if err != nil {
		e.line(indent, "Creator", "not known: "+err.Error())
		return
	}
	var declared []string
	for _, container := range podspec.NewView(c.Live).Containers() {
		if !slices.Contains(c.Verdict.Sidecars, container.Name) {
			declared = append(declared, container.Name)
		}
	}
	creators := podspec.Created(managers)
	if len(creators) == 0 {
		e.line(indent, "Creator", "not known: its managedFields are lost")
	} else {
		e.line(indent, "Creator", fmt.Sprintf("%s; containers declared: %s", managerNames(creators), orNone(declared)))
	}
	e.line(indent, "Edited by", managerNames(podspec.Later(managers)))
}

func managerNames(managers []podspec.Manager) string {
	names := make([]string, len(managers))
	for i, m := range managers {
		names[i] = fmt.Sprintf("%s (%s)", m.Name, m.Operation)
	}
	return strings.Join(names, ", ")
}

// admission lists what a new Pod passes.
func (e *explanation) admission(ctx context.Context, config *rest.Config, item report.Item) error {
	pod := ""
	for _, r := range item.Revisions {
		for _, members := range r.Members {
			pod = members[0].Name
		}
	}
	if pod == "" {
		return nil
	}
	steps, err := audit.AdmissionOf(ctx, config, item.Namespace, pod)
	if err != nil {
		return err
	}
	e.WriteString("\nAdmission of a new Pod, in this order:\n")
	kinds, names := 0, 0
	for _, s := range steps {
		kinds, names = max(kinds, len(s.Kind)), max(names, len(s.Name))
	}
	for _, s := range steps {
		notes := slices.Clone(s.Policies)
		if s.Why != "" {
			notes = append(notes, s.Why)
		}
		if s.LooksAtAsker && s.Match != injection.MatchesNot {
			notes = append(notes, "looks at who asks")
		}
		if s.Down != "" {
			notes = append(notes, "DOES NOT ANSWER: "+s.Down)
		}
		fmt.Fprintf(e, "  %-11s  %-*s  %-*s  %s\n", s.Match, kinds, s.Kind, names, report.Printable(s.Name), report.Printable(strings.Join(notes, ", ")))
	}
	if len(steps) == 0 {
		e.WriteString("  no webhook and no policy\n")
	}
	return nil
}
