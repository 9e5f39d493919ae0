package cli

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// hints spell out the command that one would type next, with the flags and
// arguments that the user gave.
type hints struct {
	program string // what the user types for the root command
	args    []string
	flags   *pflag.FlagSet
}

func newHints(cmd *cobra.Command, args []string) hints {
	return hints{program: cmd.Root().DisplayName(), args: args, flags: cmd.Flags()}
}

// afterAudit says how to see what differs and how to plan a rollout, where the
// report has something to see or to roll out.
func (h hints) afterAudit(w io.Writer, shown *report.Report, seen bool) {
	changes, include := false, map[string]bool{}
	var clusters []string // with something to roll out
	for _, item := range shown.Items {
		for _, revision := range item.Revisions {
			changes = changes || len(revision.Changes) > 0
		}
		if item.Rollout.Eligible {
			include[item.Kind] = true
			if !slices.Contains(clusters, item.Cluster) {
				clusters = append(clusters, item.Cluster)
			}
		}
	}
	if changes && !seen {
		fmt.Fprintf(w, "\nTo see what would change:\n  %s\n", h.command("audit", nil, "--diff"))
	}
	var kinds []string
	if include[kind.DaemonSet] {
		kinds = append(kinds, "--include-daemonset")
	}
	if include[kind.StatefulSet] {
		kinds = append(kinds, "--include-statefulset")
	}
	if !include[kind.Deployment] && len(kinds) == 0 {
		return
	}
	fmt.Fprintln(w, "\nTo plan a rollout (nothing is changed):")
	for _, cluster := range slices.Sorted(slices.Values(clusters)) {
		add := kinds
		if cluster != "" {
			add = append([]string{"--context", quote(cluster)}, kinds...)
		}
		fmt.Fprintf(w, "  %s\n", h.command("rollout", []string{"state", "contexts", "all-contexts"}, add...))
	}
}

// afterPreview says how to see what differs.
func (h hints) afterPreview(w io.Writer, shown *report.Report, seen bool) {
	differs := slices.ContainsFunc(shown.Items, func(item report.Item) bool {
		return slices.ContainsFunc(item.Revisions, func(r report.Revision) bool { return len(r.Changes) > 0 })
	})
	if differs && !seen {
		fmt.Fprintf(w, "\nTo see what would change:\n  %s\n", h.command("preview", nil, "--diff"))
	}
}

// afterPlan says how to carry a plan out.
func (h hints) afterPlan(w io.Writer, planned int, in report.ClusterIdentity) {
	if planned == 0 {
		return
	}
	noun := "this workload"
	if planned > 1 {
		noun = fmt.Sprintf("these %d workloads", planned)
	}
	fmt.Fprintf(w, "\nNothing was changed. To roll out %s in %s:\n  %s\n", noun, in, h.command("rollout", []string{"confirm"}, "--confirm"))
}

// afterRollout says how to go on with what is left.
func (h hints) afterRollout(w io.Writer, left int) {
	if left == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s. To go on with what still drifts:\n  %s\n", countOf(left, "workload is left", "workloads are left"), h.command("rollout", nil))
}

// command is a command line with the user's own flags, but for those to drop,
// for those about the output, for profiles, and for secrets.
func (h hints) command(name string, drop []string, add ...string) string {
	dropped := map[string]bool{"output": true, "diff": true, "exit-code": true, "fail-on": true, "allow-unknown": true, groupByFlag: true, labelColumnsFlag: true, "token": true, "cpuprofile": true, "memprofile": true}
	for _, flag := range drop {
		dropped[flag] = true
	}
	words := []string{h.program, name}
	for _, argument := range h.args {
		words = append(words, quote(argument))
	}
	h.flags.Visit(func(f *pflag.Flag) {
		if !dropped[f.Name] {
			words = append(words, flagWords(f)...)
		}
	})
	return strings.Join(append(words, add...), " ")
}

func flagWords(f *pflag.Flag) []string {
	if list, ok := f.Value.(pflag.SliceValue); ok && f.Value.Type() == "stringArray" {
		var words []string
		for _, value := range list.GetSlice() {
			words = append(words, "--"+f.Name, quote(value)) // a comma is part of it
		}
		return words
	}
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return []string{"--" + f.Name, quote(strings.Join(list.GetSlice(), ","))}
	}
	value := f.Value.String()
	switch {
	case f.NoOptDefVal != "" && value == f.NoOptDefVal:
		return []string{"--" + f.Name}
	case f.NoOptDefVal != "":
		return []string{"--" + f.Name + "=" + quote(value)}
	}
	return []string{"--" + f.Name, quote(value)}
}

var safeWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quote makes a word that a POSIX shell reads as it is.
func quote(word string) string {
	if safeWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
