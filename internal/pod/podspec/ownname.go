package podspec

import (
	"bytes"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// names are what stands for the Pod itself in a value, and is noise there: a
// StatefulSet's fresh Pod has another name than the live one.
type names struct {
	own []byte
	// other is a Pod of the same StatefulSet whose claims the Pod carries, as a fresh
	// Pod does; it stands for the Pod behind the templates' names.
	other     []byte
	templates [][]byte // each with a hyphen behind it
}

// maxTemplates are more claims than StatefulSets have; each text is looked through for
// them.
const maxTemplates = 32

// ofSet finds out about claims that the StatefulSet made for another Pod, by the form
// of their names: TEMPLATE-SET-ORDINAL.
func (n *names) ofSet(set []byte, spec jsontree.Node) {
	for volume := range spec.Get("volumes").Children() {
		template := volume.Get("name").Text()
		pod, of := bytes.CutPrefix(volume.Get("persistentVolumeClaim", "claimName").Text(), template)
		if !of || len(pod) == 0 || pod[0] != '-' || bytes.Equal(pod[1:], n.own) {
			continue
		}
		pod = pod[1:]
		ordinal, of := bytes.CutPrefix(pod, set)
		if !of || len(ordinal) < 2 || ordinal[0] != '-' || !digits(ordinal[1:]) {
			continue
		}
		if n.other == nil {
			n.other = pod
		}
		if bytes.Equal(n.other, pod) && len(n.templates) < maxTemplates {
			n.templates = append(n.templates, append(bytes.Clone(template), '-'))
		}
	}
}

// ClaimOfSet reports whether a volume is the claim that a StatefulSet's controller adds to
// its template: TEMPLATE-POD.
func (v *View) ClaimOfSet(volume Member) bool {
	pod, of := bytes.CutPrefix(volume.Node.Get("persistentVolumeClaim", "claimName").Text(), volume.Key)
	return of && len(pod) > 1 && pod[0] == '-' && (bytes.Equal(pod[1:], v.names.own) || bytes.Equal(pod[1:], v.names.other))
}

func digits(text []byte) bool {
	return !bytes.ContainsFunc(text, func(c rune) bool { return c < '0' || c > '9' })
}

// namesIn goes from one place to the next at which a text names the Pod.
type namesIn struct {
	names *names
	text  []byte
	// own and other are where either comes next; the text's length: nowhere.
	own, other int
}

func (n *names) in(text []byte) namesIn {
	at := namesIn{names: n, text: text, own: len(text), other: len(text)}
	at.own = at.find(0, n.own)
	at.other = at.findOther(0)
	return at
}

// next returns the next place; start is the text's length if there is none.
func (n *namesIn) next() (start, end int) {
	if n.own <= n.other {
		start, end = n.own, n.own+len(n.names.own)
	} else {
		start, end = n.other, n.other+len(n.names.other)
	}
	if n.own < end {
		n.own = n.find(end, n.names.own)
	}
	if n.other < end {
		n.other = n.findOther(end)
	}
	return start, end
}

func (n *namesIn) find(from int, name []byte) int {
	if len(name) == 0 || from >= len(n.text) {
		return len(n.text)
	}
	if at := bytes.Index(n.text[from:], name); at >= 0 {
		return from + at
	}
	return len(n.text)
}

// findOther finds the other Pod's name where it ends that of a claim.
func (n *namesIn) findOther(from int) int {
	for {
		at := n.find(from, n.names.other)
		if at == len(n.text) || n.claim(at) {
			return at
		}
		from = at + 1
	}
}

func (n *namesIn) claim(at int) bool {
	if end := at + len(n.names.other); end < len(n.text) && digits(n.text[end:end+1]) {
		return false
	}
	for _, template := range n.names.templates {
		if bytes.HasSuffix(n.text[:at], template) {
			return true
		}
	}
	return false
}

// appendOwnNameless appends a text in which the Pod's own name, wherever it
// stands, is replaced by a mark.
func (v *View) appendOwnNameless(dst, text []byte) []byte {
	places, done := v.names.in(text), 0
	for start, end := places.next(); start < len(text); start, end = places.next() {
		dst = append(appendText(dst, tagString, text[done:start]), tagOwnName)
		done = end
	}
	return appendText(dst, tagString, text[done:])
}

// ownNameless is a text for people, with <pod> for the Pod's own name.
func (v *View) ownNameless(text []byte) []byte {
	var nameless []byte
	places, done := v.names.in(text), 0
	for start, end := places.next(); start < len(text); start, end = places.next() {
		nameless = append(append(nameless, text[done:start]...), OwnNameMark...)
		done = end
	}
	if done == 0 {
		return text
	}
	return append(nameless, text[done:]...)
}

// named reports whether the member's key names the Pod.
func (v *View) named(m Member) bool {
	places := v.names.in(m.Key)
	start, _ := places.next()
	return start < len(m.Key)
}
