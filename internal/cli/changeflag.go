package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// changeFlag names changes by their IDs.
const changeFlag = "change"

// changesValue is a flag's list of changes.
type changesValue []change.ID

func addChanges(flags *pflag.FlagSet, ids *[]change.ID, usage string) {
	flags.Var((*changesValue)(ids), changeFlag, usage+" Repeatable, or comma-separated.")
}

func (v *changesValue) Set(text string) error {
	for word := range strings.SplitSeq(text, ",") {
		if err := v.Append(word); err != nil {
			return err
		}
	}
	return nil
}

// Append, Replace and GetSlice are pflag.SliceValue's.
func (v *changesValue) Append(text string) error {
	id, err := change.ParseID(strings.TrimSpace(text))
	if err != nil {
		return err
	}
	if !slices.Contains(*v, id) {
		*v = append(*v, id)
	}
	if len(*v) > change.MostNamed {
		return fmt.Errorf("at most %d changes can be named at once", change.MostNamed)
	}
	return nil
}

func (v *changesValue) Replace(texts []string) error {
	*v = nil
	for _, text := range texts {
		if err := v.Append(text); err != nil {
			return err
		}
	}
	return nil
}

func (v *changesValue) GetSlice() []string {
	texts := make([]string, len(*v))
	for i, id := range *v {
		texts[i] = id.String()
	}
	return texts
}

func (v *changesValue) String() string { return strings.Join(v.GetSlice(), ",") }

func (v *changesValue) Type() string { return "ids" }

// selectChanges returns the report with what differs in one of the named changes, which are
// all if none is named. That nothing has one is a note: it may be rolled out by now.
func selectChanges(found *report.Report, ids []change.ID) *report.Report {
	if len(ids) == 0 {
		return found
	}
	named := change.Name(ids...)
	selected := found.Having(named)
	selected.Notes = slices.Clone(selected.Notes)
	for _, id := range ids {
		if !slices.ContainsFunc(found.Changes, func(c report.ChangeSummary) bool { return c.ID == id.String() }) {
			selected.Notes = append(selected.Notes, fmt.Sprintf(
				"No change found has the ID %s: it is rolled out or taken back, or it was found among other workloads, as those of another namespace.", id))
		}
	}
	return selected
}

// gateValue is a flag's list of states and risks.
type gateValue struct {
	states *[]verdict.State
	risk   *change.Risk // the least that is named
}

func (v *gateValue) Set(text string) error {
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		if at := slices.IndexFunc(change.Risks(), func(r change.Risk) bool { return strings.EqualFold(string(r), word) }); at >= 0 {
			if risk := change.Risks()[at]; *v.risk == "" || v.risk.Exceeds(risk) {
				*v.risk = risk
			}
			continue
		}
		states := statesValue{v.states, nil}
		if err := states.Set(word); err != nil {
			return fmt.Errorf("%w, or a risk: %s", err, joinRisks(change.Risks()))
		}
	}
	return nil
}

func (v *gateValue) String() string {
	var words []string
	if len(*v.states) > 0 {
		words = append(words, strings.ReplaceAll(joinStates(*v.states), ", ", ","))
	}
	if *v.risk != "" {
		words = append(words, string(*v.risk))
	}
	return strings.Join(words, ",")
}

func (v *gateValue) Type() string { return "states or risk" }

func (v *gateValue) words() []string {
	return append(strings.Split(joinStates(verdict.States()), ", "), strings.Split(joinRisks(change.Risks()), ", ")...)
}

func joinRisks(risks []change.Risk) string {
	words := make([]string, len(risks))
	for i, risk := range risks {
		words[i] = string(risk)
	}
	return strings.Join(words, ", ")
}
