package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// validateOptions are those of "validate".
type validateOptions struct {
	genericiooptions.IOStreams
	file string
}

func newValidateCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := validateOptions{IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "validate -f FILE",
		Short: "Check a configuration file of the daemon",
		Long: `Check a configuration file (sidecar-drift.io/v1alpha1, kind Configuration) and print all that is
wrong with it, each with its line and key. No cluster is needed.

Exit codes:
  0  valid
  1  not valid
  2  an error`,
		Example: examples(name, `
# Before it is applied
NAME validate -f configuration.yaml

# As a template makes it
helm template . --show-only templates/configuration.yaml | NAME validate -f -`),
		Args: noArguments("the file is given with --filename (-f)"),
		RunE: func(*cobra.Command, []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.Run()
		},
	}
	group(cmd, "Input", func(flags *pflag.FlagSet) {
		flags.StringVarP(&o.file, "filename", "f", "", "`File` with the configuration; - is standard input.")
	})
	return cmd
}

// Validate wants a file.
func (o *validateOptions) Validate() error {
	switch {
	case o.file == "":
		return misuse("name the file with --filename (-f)")
	case o.file == standardInput && isTerminal(o.In):
		return misuse("no input: give a file, or pipe a configuration in")
	}
	return nil
}

// Run checks the file and prints what it found.
func (o *validateOptions) Run() error {
	source, text, err := o.read()
	if err != nil {
		return err
	}
	_, err = config.Load(text)
	problems, invalid := errors.AsType[config.Invalid](err)
	switch {
	case err == nil:
		fmt.Fprintf(o.Out, "%s: valid\n", source)
		return nil
	case !invalid:
		return fmt.Errorf("%s: %w", source, err)
	}
	for _, p := range problems {
		fmt.Fprintf(o.Out, "%s:%d: %s\n", source, p.Line, report.Printable(p.String()))
	}
	return negative()
}

// read returns what the file is called in messages, and its text.
func (o *validateOptions) read() (source string, text []byte, err error) {
	if o.file != standardInput {
		text, err = os.ReadFile(o.file)
		return report.Printable(o.file), text, err
	}
	if text, err = io.ReadAll(o.In); err != nil {
		err = fmt.Errorf("read standard input: %w", err)
	}
	return "standard input", text, err
}
