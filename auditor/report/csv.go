package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// CSV has a header and a line a workload.
const CSV Format = "csv"

// csvPods are the states whose Pods have a column.
var csvPods = []verdict.State{verdict.Blocked, verdict.Drifted, verdict.Missing, verdict.Orphaned, verdict.Modified, verdict.InSync}

// writeCSV writes a header and a line a workload, quoted as RFC 4180 says; lines
// end in LF. Changes are places as --ignore-path takes them, joined by "; ", and how
// many more there are than the report holds; then follow the IDs of what they are part of,
// the worst risk of those, and whose they are where that was looked for. A
// cluster that could not be audited has a line of kind Cluster, Unknown.
func (r *Report) writeCSV(w io.Writer) error {
	header := []string{"cluster", "namespace", "kind", "name", "state", "pods"}
	for _, state := range csvPods {
		header = append(header, "pods"+string(state))
	}
	header = append(header, "approximate", "eligible", "reason", "rolloutReason", "changes", "changeIDs", "risk", "by")
	out := csv.NewWriter(w)
	if err := out.Write(header); err != nil {
		return err
	}
	items, index := slices.Clone(r.Items), r.index()
	for _, cluster := range r.unaudited() {
		items = append(items, cluster.item())
	}
	for _, item := range items {
		changes, more, reason := worstOf(item)
		where := places(changes)
		if more > 0 {
			where = append(where, fmt.Sprintf("%d more", more))
		}
		ids, risk := r.namesOf(item, index)
		record := []string{r.clusterOf(item), item.Namespace, item.Kind, item.Name, string(item.State), strconv.Itoa(total(item.Pods))}
		for _, state := range csvPods {
			record = append(record, strconv.Itoa(item.Pods[state]))
		}
		record = append(record,
			strconv.FormatBool(approximate(item)), strconv.FormatBool(item.Rollout.Eligible),
			reason, sentence(item.Rollout.Reason), strings.Join(where, "; "), strings.Join(ids, "; "), string(risk), r.whose(item, index))
		for i, cell := range record {
			record[i] = defuse(Printable(cell))
		}
		if err := out.Write(record); err != nil {
			return fmt.Errorf("%s %s/%s: %w", item.Kind, item.Namespace, item.Name, err)
		}
	}
	out.Flush()
	return out.Error()
}

// defuse puts an apostrophe before what a spreadsheet would take for a formula.
func defuse(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// places names what changed: PART:PATH, or PART where the whole of it did.
func places(changes []verdict.Change) []string {
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = c.Part
		if c.Path != "" {
			names[i] += ":" + c.Path
		}
	}
	return names
}
