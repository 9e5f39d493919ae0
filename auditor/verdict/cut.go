package verdict

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// Whoever may create a Pod decides how large its values are, and its keys: of 1.2
// MB, if one likes. What is kept of them depends on nothing but the value itself, so
// that equal ones stay equal, and a mark with a digest tells different ones apart.
const (
	// maxText is the number of bytes of which a text is kept as it stands.
	maxText = 2048
	// maxValue is the same of an object or a list, such as a whole container: Istio's
	// proxy takes 6,000.
	maxValue = 8192
	// maxInner is the same of one member of an object or a list that is cut.
	maxInner = 1024
	// maxPath is the same of a path.
	maxPath = 512
)

// MaxReason is the number of bytes of a reason, which may quote what a stranger wrote.
const MaxReason = 1024

// Cut returns a text that is no longer than so many bytes as it is. Of a longer one
// it returns the beginning and a mark, in so many bytes: "… (1234567 bytes, sha256
// 0123456789abcdef)".
func Cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	mark := fmt.Sprintf("… (%d bytes, sha256 %x)", len(text), sum[:8])
	end := max(0, most-len(mark))
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}

// stored is a value as it is kept: as it stands, or cut. Cut, it still is one value
// of JSON: a text has its mark at its end, an object or a list behind its first
// members, among which texts are cut. Nil is no value.
func stored(n jsontree.Node) json.RawMessage {
	switch {
	case !n.Exists():
		return nil
	case n.Kind() == jsontree.Object || n.Kind() == jsontree.Array:
		if len(n.Raw()) > maxValue {
			return appendMembers(nil, n, maxValue)
		}
	case len(n.Text()) > maxText:
		return appendText(nil, Cut(n.String(), maxText))
	}
	return slices.Clone(n.Raw())
}

// storedRaw is stored of JSON; what is none is kept as a text.
func storedRaw(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return nil
	}
	n, err := jsontree.Parse(raw)
	if err != nil {
		return appendText(nil, Cut(string(raw), maxText))
	}
	return stored(n)
}

// appendCut writes a value in about so many bytes.
func appendCut(dst []byte, n jsontree.Node, most int) []byte {
	switch n.Kind() {
	case jsontree.Object, jsontree.Array:
		return appendMembers(dst, n, len(dst)+most)
	}
	if len(n.Text()) > most { // a number may have so many digits, too
		return appendText(dst, Cut(n.String(), most))
	}
	return append(dst, n.Raw()...)
}

// appendMembers writes members for as long as dst is shorter than end, and then a
// mark for the others.
func appendMembers(dst []byte, n jsontree.Node, end int) []byte {
	object := n.Kind() == jsontree.Object
	dst = append(dst, byte(n.Kind()))
	left := rest{sum: sha256.New()}
	first := true
	for child := range n.Children() {
		if left.members > 0 || len(dst) >= end {
			left.add(child)
			continue
		}
		dst = appendMember(dst, first, object, Cut(string(child.Name()), maxInner))
		dst = appendCut(dst, child, max(0, min(maxInner, end-len(dst))))
		first = false
	}
	if left.members > 0 {
		name := "…"
		for n.Get(name).Exists() {
			name += "…"
		}
		dst = appendText(appendMember(dst, first, object, name), left.mark())
	}
	return append(dst, byte(n.Kind())+2) // of {} and [] in ASCII
}

func appendMember(dst []byte, first, object bool, name string) []byte {
	if !first {
		dst = append(dst, ',')
	}
	if object {
		dst = append(appendText(dst, name), ':')
	}
	return dst
}

// rest is the members that are left out.
type rest struct {
	members, bytes int
	sum            hash.Hash
}

func (r *rest) add(member jsontree.Node) {
	r.members++
	r.bytes += len(member.Name()) + len(member.Raw())
	r.sum.Write(appendText(nil, string(member.Name())))
	r.sum.Write(member.Raw())
}

func (r *rest) mark() string {
	return fmt.Sprintf("… (%d more, %d bytes, sha256 %x)", r.members, r.bytes, r.sum.Sum(nil)[:8])
}

// appendText writes a text that comes from valid JSON.
func appendText(dst []byte, text string) []byte {
	quoted, err := jsontext.AppendQuote(dst, text)
	if err != nil {
		panic(err)
	}
	return quoted
}
