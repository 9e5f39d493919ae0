package mask

import (
	"regexp"
	"strings"
)

// proseEdits are those that mask the secrets that a sentence quotes.
func (m *Masker) proseEdits(text string) []edit {
	spans := append(privateKeys(text), userinfo(text)...)
	spans = append(spans, credentials(text)...)
	spans = append(spans, phrased(text)...)
	spans = append(spans, tokens(text)...)
	spans = append(spans, proseAssignments(text)...)
	spans = append(spans, m.encodedWords(context{}, text)...)
	spans = append(spans, quotations(text)...)
	spans = append(spans, m.cutEnds(context{}, text)...)
	return m.sealAll(text, m.unmasked(text, spans))
}

// proseAssignments are those but for "failed to get token: timeout": after a colon
// in a sentence, what follows is a value where the name is a variable's or
// quoted, or a password's.
func proseAssignments(text string) []span {
	var spans []span
	for _, s := range assignments(text) {
		before := strings.TrimRight(text[:s.start], " ")
		if strings.HasSuffix(before, ":") {
			if name, _ := (&scanner{text: text}).nameBefore(len(before) - 1); isWord(name) {
				continue
			}
			s.end = min(s.end, s.start+bareEnd(text[s.start:]))
		}
		flag := s.start > 0 && strings.IndexByte(" \t", text[s.start-1]) >= 0 && strings.IndexByte("=:", before[len(before)-1]) < 0
		if flag && plainWords.MatchString(text[s.start:s.end]) {
			continue // "give --token or set TOKEN"
		}
		spans = append(spans, s)
	}
	return spans
}

// isWord reports whether a telling name is a word of a sentence as well, or a kind:
// token, Secret. A password is none that is spoken of.
func isWord(name string) bool {
	return name != "" && !strings.ContainsAny(name, "_-.") && strings.ToLower(name[1:]) == name[1:] && !strings.Contains(strings.ToLower(name), "pass") && !strings.HasSuffix(name, "pwd")
}

// beforeQuotation is what may stand between a telling name and the value that is quoted.
var beforeQuotation = regexp.MustCompile("([A-Za-z][\\w.-]*)[\"'`\\])]*(?:\\.(?:value|data|stringData))?" +
	`(?:[\s:=,()]|\b(?i:is|was|has|have|of|to|the|a|an|value|values|set|with|invalid|forbidden|env|environment|variable|must|not|be|been|equals|contains|literal|plain|plaintext|hardcoded|hard-coded|got|found)\b)*$`)

// quotations are the values in quotes that a sentence gives for a telling name: of
// "env DB_PASSWORD has the value "…"". A quoted name behind "secret" or "token" is
// an object's.
func quotations(text string) []span {
	var spans []span
	for i := 0; i < len(text); i++ {
		if strings.IndexByte("\"'`", text[i]) < 0 || i > 0 && (letter(text[i-1]) || digit(text[i-1])) {
			continue // no quote, or one that closes, or an apostrophe
		}
		quoted, _ := quotedAt(text[:min(len(text), i+longestReference)], i)
		if quoted.start == quoted.end {
			continue
		}
		found := beforeQuotation.FindStringSubmatch(text[max(0, i-maxName):i])
		i = quoted.end
		if found == nil {
			continue
		}
		if name := found[1]; !isWord(name) && nameTells(name).gives(text[quoted.start:quoted.end]) {
			spans = append(spans, quoted)
		}
	}
	return spans
}
