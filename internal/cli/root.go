package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/internal/version"
)

// NewCommand returns the root command. The name is what the user types:
// "sidecar-drift", or "kubectl sidecar-drift" for the plugin.
func NewCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	streams = printing(streams)
	root := &cobra.Command{
		Use:   "sidecar-drift",
		Short: "Find and roll out sidecars that drifted from what admission would inject now",
		Long: `sidecar-drift answers, for every Pod in a cluster: if this Pod were re-created
right now, would its sidecar be different, and how? Then it rolls out exactly
what drifted.

An audit asks the API server for a dry run of each Pod's creation, through the
real admission webhooks, and compares. It changes nothing; a rollout changes
something only with --confirm.`,
		Example: examples(name, `
# What drifted, and how?
NAME audit --diff

# Roll out what drifted in one namespace: first the plan, then for real
NAME rollout --namespace shop
NAME rollout --namespace shop --confirm`),
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: name},
		Version:       version.String(),
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return misuse("%w", withoutSink(err)) })
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { writeHelp(cmd, streams.Out) })
	root.SetHelpCommand(newHelpCommand())
	root.SetVersionTemplate("sidecar-drift {{.Version}}\n")

	root.AddCommand(
		newAuditCommand(name, streams),
		newPreviewCommand(name, streams),
		newDiffCommand(name, streams),
		newExplainCommand(name, streams),
		newRolloutCommand(name, streams),
		newFingerprintCommand(name, streams),
		newCompareCommand(name, streams),
		newServeCommand(name, streams),
		newValidateCommand(name, streams),
		newCertsCommand(name, streams),
		newDoctorCommand(name, streams),
		newWavesCommand(name, streams),
		newHistoryCommand(name, streams),
		newVersionsCommand(name, streams),
		newVersionCommand(name, streams),
	)
	addCompletion(root)
	return root
}

// examples are indented, with NAME replaced by what the user types.
func examples(name, text string) string {
	text = strings.ReplaceAll(strings.Trim(text, "\n"), "NAME", name)
	return "  " + strings.ReplaceAll(strings.ReplaceAll(text, "\n", "\n  "), "\n  \n", "\n\n")
}

func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		hint = "; did you mean " + strings.Join(similar, " or ") + "?"
	}
	return misuse("unknown command %q%s", args[0], hint)
}

// addCompletion adds cobra's own command, which would answer an unknown shell
// with its help and exit code 0.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Args = knownCommand
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// noArguments refuses arguments, with what to do instead.
func noArguments(instead string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return misuse("unexpected argument %q: %s", args[0], instead)
	}
}

func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about a command",
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, sub := range cmd.Root().Commands() {
				names = append(names, sub.Name())
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return misuse("unknown command %q", strings.Join(args, " "))
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
	}
}
