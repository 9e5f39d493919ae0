package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// groupAnnotation of a flag holds the heading that it stands under in the help.
const groupAnnotation = "sidecar-drift/group"

// group adds flags to a command under a heading of its help. Values that know
// their words are completed by the shell.
func group(cmd *cobra.Command, title string, add func(*pflag.FlagSet)) {
	flags := pflag.NewFlagSet(title, pflag.ContinueOnError)
	flags.SortFlags = false
	add(flags)
	cmd.Flags().SortFlags = false
	cmd.Flags().AddFlagSet(flags)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Annotations == nil {
			f.Annotations = map[string][]string{}
		}
		f.Annotations[groupAnnotation] = []string{title}
		if value, ok := f.Value.(interface{ words() []string }); ok {
			complete := fixed(value.words())
			if _, isList := value.(*statesValue); isList {
				complete = complete.inList()
			}
			registerCompletion(cmd, f.Name, complete)
		}
	})
}

// addOutput adds -o with the formats that a command has.
func addOutput(flags *pflag.FlagSet, format *report.Format, allowed ...report.Format) {
	addChoice(flags, format, "output", "o", "Output `format`: %s.", allowed...)
}
