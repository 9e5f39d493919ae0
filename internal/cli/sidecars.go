package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
)

// sidecarNamesFlag names the containers that count as sidecars whoever declares them.
const sidecarNamesFlag = "sidecar-container-name"

// addSidecarNames adds the flag to a command that reads Pods from files.
func addSidecarNames(flags *pflag.FlagSet, names *[]string) {
	flags.StringSliceVar(names, sidecarNamesFlag, nil, "Containers and init containers of this `name` count as sidecars, whoever declares them. Repeatable, or comma-separated.")
}

// completeList refuses a list that is given and empty.
func completeList(cmd *cobra.Command, name string) error {
	if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed && emptyItem(flag) {
		return misuse("--%s is empty", name)
	}
	return nil
}

// validateSidecarNames refuses what no container can be named.
func validateSidecarNames(names []string) error {
	for _, name := range names {
		if len(validation.IsDNS1123Label(name)) > 0 {
			return misuse("--%s %q cannot be a container's name", sidecarNamesFlag, name)
		}
	}
	return nil
}
