package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

const (
	groupByFlag      = "group-by"
	labelColumnsFlag = "label-columns"
)

// view is how a table is arranged.
type view struct {
	groupBy report.GroupBy
	labels  []string // columns
}

func (v *view) addFlags(flags *pflag.FlagSet) {
	flags.Var((*groupByValue)(&v.groupBy), groupByFlag, "Group a table's rows by `what`: change (who differs in each), namespace, label=KEY, or workload, a row each, which is the default.")
	flags.StringSliceVarP(&v.labels, labelColumnsFlag, "L", nil, "A column for each of these `labels` of Pod templates or, where one has no such label, of its namespace; also in json and yaml. Repeatable, or comma-separated.")
}

// validate checks what was given against the format.
func (v *view) validate(format report.Format, diff bool) error {
	grouped := v.groupBy != "" && v.groupBy != report.ByWorkload
	switch {
	case grouped && format != report.Table:
		return misuse("--%s %s is about tables: leave --output %s out, or group what it holds by the IDs in it", groupByFlag, v.groupBy, format)
	case grouped && diff:
		return misuse("--%s %s and --diff contradict each other: --diff has a part for each workload", groupByFlag, v.groupBy)
	case grouped && len(v.labels) > 0:
		return misuse("--%s %s and --%s (-L) contradict each other: groups have no labels of their own", groupByFlag, v.groupBy, labelColumnsFlag)
	}
	for _, key := range v.labels {
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			return misuse("--%s %q: %s", labelColumnsFlag, key, problems[0])
		}
	}
	return nil
}

// wanted are the keys of labels that must be read.
func (v *view) wanted() []string {
	if key := v.groupBy.Label(); key != "" {
		return []string{key}
	}
	return v.labels
}

// groupByValue is a flag's way to group.
type groupByValue report.GroupBy

func (g *groupByValue) Set(text string) error {
	by := report.GroupBy(text)
	switch key, isLabel := strings.CutPrefix(text, report.ByLabel); {
	case isLabel:
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			return fmt.Errorf("%q is no label's key: %s", key, problems[0])
		}
	case !slices.Contains(groupings, by):
		return errors.New("choose change, namespace, workload or label=KEY")
	}
	*g = groupByValue(by)
	return nil
}

var groupings = []report.GroupBy{report.ByChange, report.ByNamespace, report.ByWorkload}

func (g *groupByValue) String() string { return string(*g) }

func (g *groupByValue) Type() string { return "string" }

func (g *groupByValue) words() []string {
	words := []string{report.ByLabel}
	for _, by := range groupings {
		words = append(words, string(by))
	}
	return words
}
