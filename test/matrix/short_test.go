package matrix

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// goldens are what m.recorder wrote, which auditor/verdict judges without a cluster.
const goldens = "../../auditor/verdict/testdata/matrix"

// short returns the rows of a run that is not full: of those of a group that only
// injectors and Pods' specs make different, and whose Pods are golden, the first.
func short(t *testing.T, rows []row) []row {
	t.Helper()
	if *full || *only != "" {
		return rows
	}
	count := map[string]int{}
	few := slices.DeleteFunc(slices.Clone(rows), func(r row) bool {
		if r.hasSteps() || !golden(r) {
			return false
		}
		count[r.group]++
		return count[r.group] > 1
	})
	t.Logf("%d of %d rows; auditor/verdict judges the golden Pods of the others", len(few), len(rows))
	return few
}

// hasSteps tells that something happens to the row's workload, or is expected of it,
// that two Pods do not show.
func (r row) hasSteps() bool {
	return r.made != nil || r.change != nil || r.was != nil || r.left != nil || r.asked != nil || r.spent != nil || r.stays || r.evicted
}

func golden(r row) bool {
	_, err := os.Stat(filepath.Join(goldens, slug(r.group), slug(r.name), "expected.json"))
	return err == nil
}
