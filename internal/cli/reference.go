package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// Reference returns the command reference: Markdown pages by file name.
func Reference() map[string]string {
	root := NewCommand("sidecar-drift", genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard})
	pages := map[string]string{}
	var index strings.Builder
	index.WriteString("# Command reference\n\nGenerated from the commands' own help by `make generate`.\n\n")
	fmt.Fprintf(&index, "%s\n\n", root.Long)
	for _, cmd := range root.Commands() {
		if !cmd.IsAvailableCommand() {
			continue
		}
		page := "sidecar-drift_" + cmd.Name() + ".md"
		fmt.Fprintf(&index, "- [sidecar-drift %s](%s): %s\n", cmd.Name(), page, cmd.Short)
		pages[page] = referencePage(cmd)
	}
	pages["README.md"] = index.String()
	return pages
}

func referencePage(cmd *cobra.Command) string {
	cmd.InitDefaultHelpFlag()
	return fmt.Sprintf("# %s\n\n```text\n%s```\n", cmd.CommandPath(), helpText(cmd, helpWidth))
}
