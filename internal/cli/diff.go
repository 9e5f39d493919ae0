package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

// externalDiff names the variable that kubectl reads, too.
const externalDiff = "KUBECTL_EXTERNAL_DIFF"

// diffOptions are those of "diff".
type diffOptions struct {
	inspection
	find    auditFunc
	secrets secrets
	// showValues is what the flag was called before.
	showValues bool
	changes    []change.ID
	mask       *mask.Masker
}

func newDiffCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &diffOptions{inspection: newInspection(streams), find: advised}
	cmd := &cobra.Command{
		Use:   "diff KIND/NAME ... | --change ID [flags]",
		Short: "Show what a re-created Pod would look like beside the live one",
		Long: `Compare the live Pods of workloads with a fresh injection of the same template, as a
unified diff of their specs in YAML. What no injector is answerable for (node, the service
account's token, the Pod's own name) and the API's defaults are left out. Of where the Pod
runs (tolerations, node selector, image pull secrets and so on) and of its annotations
there is what counts, below the specs.

With --change it is enough to name a change: of the workloads that differ in it, in all
namespaces or in --namespace, the one that differs in the least besides is shown.

What looks like a secret, by its name or its form, is masked; equal masks are equal secrets.
` + externalDiff + ` names another program to compare with, as it does for kubectl diff; it
is given masked files.

Exit codes:
  0  no difference
  1  differences
  2  an error, or the workload could not be compared`,
		Example: examples(name, `
# What exactly would change?
NAME diff deploy/web --namespace shop

# What is it that the audit shows as change 32882d92bf?
NAME diff --change 32882d92bf

# In the diff viewer of one's choice
`+externalDiff+`="dyff between" NAME diff sts/db`),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && len(o.changes) == 0 {
				return misuse("name what to compare, as in deployment/web, or a change, by --%s", changeFlag)
			}
			if len(args) > 0 && len(o.changes) > 0 {
				return misuse("KIND/NAME and --%s contradict each other: a change is looked for in all workloads of its namespaces, as IDs of changes are of all that differs alike there", changeFlag)
			}
			if err := o.complete(cmd, args); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	o.addSelectionFlags(cmd)
	group(cmd, "Selection", func(flags *pflag.FlagSet) {
		addChanges(flags, &o.changes, "Show a workload that differs in the change of this `ID`, as the audit has it, and in as little else as any.")
	})
	group(cmd, "Output", func(flags *pflag.FlagSet) {
		o.secrets.addFlag(flags)
		flags.BoolVar(&o.showValues, "show-values", false, "The name of --show-secrets before; deprecated.")
	})
	o.connection.addFlags(cmd)
	o.connection.completeWorkloads(cmd, anyKind)
	return cmd
}

// Run compares and prints.
func (o *diffOptions) Run(ctx context.Context) error {
	if o.showValues {
		fmt.Fprintln(o.ErrOut, "warning: --show-values is deprecated: use --show-secrets")
		o.secrets.show = true
	}
	o.mask = o.secrets.masker()
	if len(o.changes) > 0 {
		if err := o.choose(ctx); err != nil {
			return err
		}
	}
	_, audited, differing, err := o.audit(ctx)
	if err != nil {
		return err
	}
	found := audited.Masked(o.mask)
	differing = slices.DeleteFunc(differing, func(c audit.Comparison) bool { return len(c.Verdict.Changes) == 0 })
	slices.SortFunc(differing, func(a, b audit.Comparison) int {
		return strings.Compare(a.Revision+"/"+a.Pods[0].Name, b.Revision+"/"+b.Pods[0].Name)
	})
	for _, c := range differing {
		if err := o.show(ctx, c); err != nil {
			return err
		}
	}
	for _, item := range found.Items() {
		if item.State == verdict.Unstable {
			fmt.Fprintf(o.ErrOut, "warning: %s is Unstable: %s\n", report.Printable(fmt.Sprintf("%s %s/%s", item.Kind, item.Namespace, item.Name)), report.Printable(item.Revisions[0].Reason))
		}
	}
	if err := notCompared(found); err != nil {
		return err
	}
	if len(differing) > 0 {
		return negative()
	}
	return nil
}

// choose finds the workload to show for the changes that are named.
func (o *diffOptions) choose(ctx context.Context) error {
	config, err := o.connection.connect(ctx)
	if err != nil {
		return err
	}
	o.selection.allNamespaces = true
	selected, err := o.selection.resolve(o.connection)
	if err != nil {
		return err
	}
	bar := newProgress(o.ErrOut)
	defer bar.erase()
	options := o.options(selected)
	options.Progress = bar.count
	found, err := o.find(ctx, config, options)
	if err != nil {
		return err
	}
	found.Group()
	item, of, ok := leastBesides(found, change.Name(o.changes...))
	if !ok {
		return fmt.Errorf("no workload differs in the change %s: it is rolled out or taken back, or it was found in other namespaces; audit shows those that there are", (*changesValue)(&o.changes))
	}
	bar.erase()
	fmt.Fprintf(o.ErrOut, "%s; of these, %s differs in the least besides.\n", countOf(of, "workload differs so", "workloads differ so"),
		report.Printable(fmt.Sprintf("%s %s/%s", item.Kind, item.Namespace, item.Name)))
	*o.selection.namespace, o.selection.namespaceGiven = item.Namespace, true
	o.selection.workloads = []inventory.WorkloadRef{{Kind: item.Kind, Name: item.Name}}
	return nil
}

// leastBesides is the workload that differs in all of the changes, or in nothing else, and
// in the fewest others; of is how many differ in all.
func leastBesides(found *report.Report, named change.Named) (least report.Item, of int, ok bool) {
	fewest := 0
	for _, item := range found.Having(named).Items {
		has, others := item.InChanges(named)
		if has < named.Len() && (has > 0 || !item.Covered(named)) {
			continue
		}
		of++
		if !ok || others < fewest {
			least, fewest, ok = item, others, true
		}
	}
	return least, of, ok
}

// notCompared is an error if there was no fresh Pod to compare with, or no live
// one.
func notCompared(found report.Shown) error {
	if len(found.Items()) == 0 {
		return errors.New("there is no running Pod to compare")
	}
	var problems []error
	for _, item := range found.Items() {
		for _, r := range item.Revisions {
			if r.State == verdict.Blocked || r.State == verdict.Unknown {
				problems = append(problems, fmt.Errorf("%s %s/%s is %s: %s", item.Kind, item.Namespace, item.Name, r.State, r.Reason))
			}
		}
	}
	return errors.Join(problems...)
}

// show prints one comparison.
func (o *diffOptions) show(ctx context.Context, c audit.Comparison) error {
	live, err := o.text(c.Live, c.Verdict.Changes, func(c verdict.Change) json.RawMessage { return c.From })
	if err != nil {
		return err
	}
	fresh, err := o.text(c.Fresh, c.Verdict.Changes, func(c verdict.Change) json.RawMessage { return c.To })
	if err != nil {
		return err
	}
	if program := os.Getenv(externalDiff); program != "" {
		return o.runExternal(ctx, program, c, live, fresh)
	}
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: difflib.SplitLines(live), B: difflib.SplitLines(fresh),
		FromFile: "live  " + subject(c), ToFile: "fresh " + fmt.Sprintf("injection of revision %s", c.Revision),
		Context: 3,
	})
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	options := textOptions(o.Out)
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(options.PaintDiff(report.Printable(strings.TrimSuffix(line, "\n"))) + "\n")
	}
	_, err = io.WriteString(o.Out, b.String())
	return err
}

// subject says which Pods are compared.
func subject(c audit.Comparison) string {
	text := fmt.Sprintf("Pod %s/%s", c.Workload.Namespace, c.Pods[0].Name)
	if more := len(c.Pods) - 1; more > 0 {
		text += fmt.Sprintf(" and %d alike", more)
	}
	if c.Approximate {
		text += " (approximate)"
	}
	return text
}

// text is the Pod's spec, and below it what else counts, by its paths.
func (o *diffOptions) text(pod jsontree.Node, changes []verdict.Change, side func(verdict.Change) json.RawMessage) (string, error) {
	text, err := printable.YAML(o.mask.At("", podspec.NewView(pod).AppendClean(nil)))
	if err != nil {
		return "", err
	}
	besides := map[string]json.RawMessage{}
	for _, c := range change.Masked(o.mask, changes) {
		if value := side(c); value != nil && c.BesidesSpec() {
			besides[c.Path] = value
		}
	}
	if len(besides) == 0 {
		return string(text), nil
	}
	object, err := json.Marshal(besides)
	if err != nil {
		return "", err
	}
	more, err := printable.YAML(object)
	return string(text) + string(more), err
}

// runExternal has another program compare two files, as kubectl diff does. Its
// exit code 1 says that it found differences.
func (o *diffOptions) runExternal(ctx context.Context, program string, c audit.Comparison, live, fresh string) error {
	dir, err := os.MkdirTemp("", "sidecar-drift-diff-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	words := strings.Fields(program)
	for _, side := range []struct{ name, text string }{{"live", live}, {"fresh", fresh}} {
		file := filepath.Join(dir, side.name, c.Workload.Namespace+"."+c.Pods[0].Name+".yaml")
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(side.text), 0o600); err != nil {
			return err
		}
		words = append(words, file)
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	// The terminal itself: what the program is given to show is printable.
	cmd.Stdout, cmd.Stderr = behind(o.Out), behind(o.ErrOut)
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s=%q: %w", externalDiff, program, err)
	}
	return nil
}
