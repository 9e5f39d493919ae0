package mask

import (
	"regexp"
	"strings"
)

// cutMark is what stands at the end of what verdict.Cut has cut off. Its digest is of
// all of the text: with the rest known, it would tell whether a guessed secret is right.
var cutMark = regexp.MustCompile(`… \((?:\d+ more, )?\d+ bytes, sha256 ([0-9a-f]{16})\)`)

// cutEnds are the digests of texts that were cut off, and what may be the beginning
// of a secret before them: a half token has no format any more.
func (m *Masker) cutEnds(c context, text string) []span {
	if !strings.Contains(text, "… (") {
		return nil
	}
	var spans []span
	for _, at := range cutMark.FindAllStringSubmatchIndex(text, -1) {
		spans = append(spans, span{at[2], at[3]})
		start := strings.LastIndexAny(text[:at[0]], " \t\r\n\"'`,;&") + 1
		last := text[start:at[0]]
		if len(last) < shortestToken && !strings.Contains(last, "://") || m.encodesHarmless(c, last) {
			continue
		}
		spans = append(spans, span{start, at[0]})
	}
	return spans
}

// encodesHarmless reports whether a word is the beginning of base64, and of no secret.
func (m *Masker) encodesHarmless(c context, word string) bool {
	decoded, ok := decode(word[:len(word)/4*4])
	return ok && m.value(context{name: c.name, depth: c.depth + 1}, decoded) == decoded
}

// withoutCut is a text without the mark of what was cut off, as base64 that can be
// decoded.
func withoutCut(text string) string {
	if at := cutMark.FindStringIndex(text); at != nil && at[1] == len(text) {
		return text[:at[0]/4*4]
	}
	return text
}
