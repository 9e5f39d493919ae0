package mask

import (
	_ "embed"
	"encoding/json"
	"iter"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// gitleaks are the rules of gitleaks that are about the format of a token, or about
// one next to the name of a service. See tools/gitleaks.
//
//go:embed gitleaks.json
var gitleaks []byte

// rule is one format.
type rule struct {
	ID string `json:"id"`
	// Regex finds the token, in its first group if it has one.
	Regex string `json:"regex"`
	// Keywords, in lower case: where none of them is, the rule does not match.
	Keywords []string `json:"keywords"`
	// Entropy that a token has at least, in bits a byte.
	Entropy float64 `json:"entropy,omitempty"`
	// Group is the one with the token, if it is not the first.
	Group int `json:"group,omitempty"`

	compiled func() *regexp.Regexp
}

// rules are all of them, by their keywords.
type rules struct {
	// first has, for the first two bytes of a keyword, the keywords that begin so.
	first map[[2]byte][]keyword
	// any of these bytes begins a keyword.
	begins [256]bool
}

type keyword struct {
	text  string
	rules []*rule
}

// allRules reads them when they are first needed; they do not change.
var allRules = sync.OnceValue(func() *rules {
	var file struct {
		Rules []*rule `json:"rules"`
	}
	if err := json.Unmarshal(gitleaks, &file); err != nil {
		panic("mask: gitleaks.json: " + err.Error()) // a test reads it
	}
	index := &rules{first: map[[2]byte][]keyword{}}
	for _, r := range file.Rules {
		r.compiled = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(r.Regex) })
		for _, word := range r.Keywords {
			index.add(word, r)
		}
	}
	return index
})

func (r *rules) add(word string, of *rule) {
	at := [2]byte{word[0], word[1]}
	r.begins[word[0]] = true
	for i := range r.first[at] {
		if k := &r.first[at][i]; k.text == word {
			k.rules = append(k.rules, of)
			return
		}
	}
	r.first[at] = append(r.first[at], keyword{word, []*rule{of}})
}

// within are the rules of which a keyword is in the text, which is in lower case.
func (r *rules) within(text string) []*rule {
	var found []*rule
	for i := 0; i+1 < len(text); i++ {
		if !r.begins[text[i]] {
			continue
		}
		for _, k := range r.first[[2]byte{text[i], text[i+1]}] {
			if !strings.HasPrefix(text[i:], k.text) {
				continue
			}
			for _, rule := range k.rules {
				if !slices.Contains(found, rule) {
					found = append(found, rule)
				}
			}
		}
	}
	return found
}

// find returns where the token is in a text.
func (r *rule) find(text string) (span, bool) {
	at := r.compiled().FindStringSubmatchIndex(text)
	if at == nil {
		return span{}, false
	}
	s := span{at[0], at[1]}
	group := max(r.Group, 1)
	if len(at) > 2*group+1 && at[2*group] >= 0 {
		s = span{at[2*group], at[2*group+1]}
	}
	return s, entropy(text[s.start:s.end]) >= r.Entropy
}

const (
	// shortestToken of a known format.
	shortestToken = 16
	// longestToken that is looked at for its format.
	longestToken = 2048
)

// tokens are the words that have the format of a token, whatever their name. A word
// that is too long to tell is left to what it may encode.
func tokens(text string) []span {
	var spans []span
	for s := range words(text, shortestToken) {
		word := text[s.start:min(s.end, s.start+longestToken)]
		if at, ok := distinctive(word); ok {
			spans = append(spans, span{s.start + at, s.end})
			continue
		}
		for _, r := range allRules().within(strings.ToLower(word)) {
			if found, ok := r.find(word); ok {
				spans = append(spans, span{s.start + found.start, s.start + found.end})
			}
		}
	}
	return spans
}

// knownToken is a value in the format of a service that its name, or itself, speaks of.
func knownToken(name, value string) []span {
	if name == "" || len(value) < 8 || len(value) > longestToken || len(name) > maxName {
		return nil
	}
	text := name + "=" + value
	for _, r := range allRules().within(strings.ToLower(text)) {
		s, ok := r.find(text)
		if before := len(name) + 1; ok && s.end > before {
			return []span{{max(s.start-before, 0), s.end - before}}
		}
	}
	return nil
}

// prefixes begin tokens of any length: gitleaks' rules want the exact one, which
// changes.
var prefixes = strings.Fields(`ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- gldt- glrt- glcbt- glptt- glagent- hvs. hvb. hvr. xoxb- xoxp- xoxa- xoxr- xoxs-
	xapp- xoxe. sk_live_ sk_test_ rk_live_ rk_test_ whsec_ sk- npm_ pypi- dop_v1_ doo_v1_ dor_v1_ dckr_pat_ dckr_oat_
	ya29. shpat_ shpss_ shpca_ shppa_ glsa_ glc_ NRAK- NRII- NRJS- lin_api_ sntrys_ sntryu_ hf_ tfp_ pul- PMAK- rubygems_ AIza AKIA ASIA SG.
	eyJhbGciOi eyJ0eXAiOi eyJraWQiOi AGE-SECRET-KEY-1 secret_ lsv2_ pscale_ tskey- ATATT3 ATBB EAAC ops_ dapi GOCSPX- 1// FwoG sha256~
	nvapi- gsk_ r8_ xai- pplx- cfut_ v1.0-`)

// derKey begins a private key in base64 without the lines of PEM: PKCS #8, PKCS #1 and
// SEC 1.
var derKey = regexp.MustCompile(`^(?:MII[A-Za-z0-9+/]{2,3}IBA(?:DANBgkqhkiG9w0BAQEFAASC|AKCA)|MHcCAQEEI|MIG[A-Za-z0-9+/]{1,2}AgEAM[A-Za-z0-9+/]{1,3}GByqGSM49|MC4CAQAwBQYDK2Vw)`)

// distinctive reports where in a word a token begins, whose prefix says so.
func distinctive(word string) (int, bool) {
	if at := derKey.FindStringIndex(word); at != nil {
		return at[0], true
	}
	for _, prefix := range prefixes {
		at := strings.Index(word, prefix)
		if at < 0 || at > 0 && (letter(word[at-1]) || digit(word[at-1])) {
			continue
		}
		rest := word[at+len(prefix):]
		if len(rest) >= 12 && strings.ContainsAny(rest, "0123456789") && entropy(rest) >= 2.5 && !hostOrPath(rest) {
			return at, true
		}
	}
	return 0, false
}

// hostOrPath reports whether there are words between dots, dashes or slashes rather than a token.
func hostOrPath(text string) bool {
	for piece := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(".-/_", r) }) {
		if len(piece) >= 10 {
			return false
		}
	}
	return true
}

// words are the runs of at least so many bytes of which tokens are made.
func words(text string, shortest int) iter.Seq[span] {
	return func(yield func(span) bool) {
		for i := 0; i < len(text); i++ {
			start := i
			for i < len(text) && wordByte(text[i]) && text[i] != '=' || start < i && i < len(text) && text[i] == '=' && padding(text[i:]) {
				i++
			}
			if i-start >= shortest && !yield(span{start, i}) {
				return
			}
		}
	}
}

// padding reports whether an equals sign ends base64 rather than a name.
func padding(text string) bool {
	rest := strings.TrimLeft(text[:min(len(text), 3)], "=")
	return rest == "" || !wordByte(rest[0])
}
