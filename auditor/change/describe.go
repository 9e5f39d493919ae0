package change

import (
	"encoding/json"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/printable"
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

// Describe says of one difference, besides its part, what it is: "image 1.27.0 → 1.28.0".
func Describe(c verdict.Change) string { return describe(c, c.Path) }

func describe(c verdict.Change, path string) string {
	path = printable.Cut(printable.Text(path), longestPlace)
	if path != "" {
		path += " "
	}
	switch {
	case c.Unstable:
		return path + "varies"
	case c.Path == BecomesNative && c.From == nil && c.To == nil:
		return BecomesNative
	case c.From == nil && c.To != nil:
		return path + "added"
	case c.From != nil && c.To == nil:
		return path + "removed"
	}
	// Two secrets have the same mask where all masks are the same.
	from, to := DisplayValue(c.From), DisplayValue(c.To)
	if c.Path == "image" {
		from, to = withoutCommonRepository(from, to)
		from, to = printable.Cut(from, longestImage), printable.Cut(to, longestImage)
	}
	if string(c.From) == string(c.To) || IsComposite(c.From) || IsComposite(c.To) || c.Path != "image" && max(printable.Width(from), printable.Width(to)) > longestValue {
		return path + "changed"
	}
	return path + from + " → " + to
}

// PartName is the container's name for the parts that are one.
func PartName(part string) string {
	if _, name, ok := strings.Cut(part, "/"); ok {
		part = name
	}
	return printable.Cut(printable.Text(part), longestPlace)
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

// DisplayValue is a string's text, and any other value's compact JSON.
func DisplayValue(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return printable.Text(text)
	}
	return printable.Text(string(raw))
}

// IsComposite reports whether a value is an object or a list with content.
func IsComposite(raw json.RawMessage) bool {
	return len(raw) > len("{}") && (raw[0] == '{' || raw[0] == '[')
}
