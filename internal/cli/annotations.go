package cli

import (
	"github.com/spf13/pflag"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// compareAnnotationFlag names annotations that count as drift.
const compareAnnotationFlag = "compare-annotation"

const compareAnnotationUsage = "Annotations of this `key` that admission adds count as drift, as those do that are known to configure the network or mounts. Repeatable, or comma-separated."

func addCompareAnnotations(flags *pflag.FlagSet, keys *[]string) {
	flags.StringSliceVar(keys, compareAnnotationFlag, nil, compareAnnotationUsage)
}

// validateCompareAnnotations refuses what is no key of an annotation.
func validateCompareAnnotations(keys []string) error {
	for _, key := range keys {
		if err := verdict.CheckAnnotation(key); err != nil {
			return misuse("--%s %q: %w", compareAnnotationFlag, key, err)
		}
	}
	return nil
}
