package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is the number of columns of a help text that is not shown on a
// narrower terminal.
const helpWidth = 100

// writeHelp writes all there is to say about a command, every flag included.
func writeHelp(cmd *cobra.Command, out io.Writer) {
	width := helpWidth
	if columns := terminalWidth(out); columns > 0 {
		width = min(width, columns)
	}
	fmt.Fprint(out, helpText(cmd, width))
}

func helpText(cmd *cobra.Command, width int) string {
	var b strings.Builder
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	fmt.Fprintf(&b, "%s\n\nUsage:\n", strings.TrimSpace(about))
	if cmd.HasAvailableSubCommands() {
		if cmd.HasParent() && cmd.Runnable() {
			fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
		}
		fmt.Fprintf(&b, "  %s COMMAND [flags]\n\nCommands:\n", cmd.CommandPath())
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() || sub.Name() == "help" {
				fmt.Fprintf(&b, "  %-*s  %s\n", cmd.NamePadding(), sub.Name(), sub.Short)
			}
		}
	} else {
		fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	for _, section := range flagSections(cmd) {
		fmt.Fprintf(&b, "\n%s:\n%s", section.title, section.flags.FlagUsagesWrapped(width))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nSee '%s COMMAND --help' for a command's flags and examples.\n", cmd.CommandPath())
	}
	return b.String()
}

type flagSection struct {
	title string
	flags *pflag.FlagSet
}

// flagSections are a command's flags by heading, in the order in which they
// were added; flags without one come last.
func flagSections(cmd *cobra.Command) []flagSection {
	const others = "Other flags"
	var sections []flagSection
	add := func(f *pflag.Flag, title string) {
		for _, section := range sections {
			if section.title == title {
				section.flags.AddFlag(f)
				return
			}
		}
		section := flagSection{title, pflag.NewFlagSet(title, pflag.ContinueOnError)}
		section.flags.SortFlags = false
		section.flags.AddFlag(f)
		sections = append(sections, section)
	}
	var rest []*pflag.Flag
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if title, ok := f.Annotations[groupAnnotation]; ok {
			add(f, title[0])
			return
		}
		rest = append(rest, f)
	})
	for _, f := range rest {
		add(f, others)
	}
	return sections
}
