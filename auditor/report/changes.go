package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

const (
	// longestValue is the number of columns up to which a summary spells a value
	// out.
	longestValue = 24
	// longestImage is the same of an image, which is cut.
	longestImage = 200
	// longestPlace is the number of columns of a part, or of a path, in a summary.
	longestPlace = 120
)

// changeKey tells changes apart. Paths hold keys of anybody's making, so that no
// text of several parts would.
type changeKey struct {
	part, path, from, to string
	unstable             bool
}

func keyOf(c verdict.Change) changeKey {
	return changeKey{c.Part, c.Path, string(c.From), string(c.To), c.Unstable}
}

// summarizeChanges says in one line what changed: containers before the rest
// of the Pod, images first. At most limit changes are spelled out (0: all),
// and as many as fit into width columns (0: no limit), but always one; the
// rest are counted, and so are those that there are more than changes.
func summarizeChanges(changes []verdict.Change, more, limit, width int) string {
	changes = spelledOut(changes)
	slices.SortStableFunc(changes, unstableLast)

	summary, text, shown := "", "", 0
	for i, change := range changes {
		if limit > 0 && i == limit {
			break
		}
		text += joint(changes, i) + describe(change)
		candidate := text
		if rest := len(changes) - i - 1 + more; rest > 0 {
			candidate += fmt.Sprintf(" (+%d more)", rest)
		}
		if i > 0 && width > 0 && cells(candidate) > width {
			continue // fewer left over may make a later one fit
		}
		summary, shown = candidate, i+1
	}
	if shown == 1 && width > 0 && cells(summary) > width {
		rest := ""
		if n := len(changes) - 1 + more; n > 0 {
			rest = fmt.Sprintf(" (+%d more)", n)
		}
		head := joint(changes, 0) + describe(changes[0])
		if room := width - cells(rest); room > 0 {
			return truncate(head, room) + rest
		}
		return truncate(head, width)
	}
	return summary
}

// joint is what stands before change i: its part where it is another one than
// the change before it has.
func joint(changes []verdict.Change, i int) string {
	change := changes[i]
	separator := ""
	if i > 0 {
		separator = ", "
		if change.Part == changes[i-1].Part && change.Path != "" {
			return separator
		}
		if changes[i-1].Path != "" || change.Path != "" {
			separator = "; "
		}
	}
	if change.Path == "" {
		return separator + partName(change.Part) + " "
	}
	return separator + partName(change.Part) + ": "
}

func describe(c verdict.Change) string {
	path := truncate(Printable(c.Path), longestPlace)
	if path != "" {
		path += " "
	}
	switch {
	case c.Unstable:
		return path + "varies"
	case c.Path == becomesNative && c.From == nil && c.To == nil:
		return becomesNative
	case c.From == nil && c.To != nil:
		return path + "added"
	case c.From != nil && c.To == nil:
		return path + "removed"
	}
	from, to := displayValue(c.From), displayValue(c.To)
	if c.Path == "image" {
		from, to = withoutCommonRepository(from, to)
		from, to = truncate(from, longestImage), truncate(to, longestImage)
	}
	if composite(c.From) || composite(c.To) || c.Path != "image" && max(cells(from), cells(to)) > longestValue {
		return path + "changed"
	}
	return path + from + " → " + to
}

func mostTellingFirst(a, b verdict.Change) int {
	return cmp.Or(
		cmp.Compare(partRank(a), partRank(b)),
		cmp.Compare(a.Part, b.Part),
		unstableLast(a, b),
		cmp.Compare(pathRank(a.Path), pathRank(b.Path)),
	)
}

func unstableLast(a, b verdict.Change) int {
	switch {
	case a.Unstable == b.Unstable:
		return 0
	case a.Unstable:
		return 1
	}
	return -1
}

// partRank puts what keeps running before what has ended.
func partRank(c verdict.Change) int {
	kind, _, _ := strings.Cut(c.Part, "/")
	if kind == "initContainer" && c.OneShot {
		kind = "oneShot"
	}
	return slices.Index([]string{"container", "initContainer", "oneShot", "app", "pod", "metadata", "volumes", "order"}, kind)
}

func pathRank(path string) int {
	switch {
	case path == becomesNative:
		return -1
	case path == "", path == "image":
		return 0
	case strings.HasPrefix(path, "resources."):
		return 1
	}
	return 2
}

// partName is the container's name for the parts that are one.
func partName(part string) string {
	if _, name, ok := strings.Cut(part, "/"); ok {
		part = name
	}
	return truncate(Printable(part), longestPlace)
}

// withoutCommonRepository leaves only the tags or digests of two images of
// one repository.
func withoutCommonRepository(from, to string) (string, string) {
	repository, version := splitImage(from)
	otherRepository, otherVersion := splitImage(to)
	if repository == otherRepository && version != "" && otherVersion != "" {
		return version, otherVersion
	}
	return from, to
}

// splitImage separates a reference's repository from its tag and digest. A
// colon before the last slash belongs to the registry's port.
func splitImage(image string) (repository, version string) {
	end := strings.LastIndexByte(image, '/') + 1
	if i := strings.IndexAny(image[end:], ":@"); i >= 0 {
		return image[:end+i], image[end+i+1:]
	}
	return image, ""
}

// displayValue is a string's text, and any other value's compact JSON.
func displayValue(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return Printable(text)
	}
	return Printable(string(raw))
}

// composite reports whether a value is an object or a list with content.
func composite(raw json.RawMessage) bool {
	return len(raw) > len("{}") && (raw[0] == '{' || raw[0] == '[')
}
