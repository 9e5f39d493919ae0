package printable

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/yaml"
)

// longKey is the length from which YAML writes a key on a line of its own.
const longKey = 128

// YAML is the JSON value as YAML that a terminal may show: strings with something
// to spell out are in double quotes, with escapes. It fails on what is no JSON.
func YAML(text []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one JSON value: %w", err)
	}
	// The encoder writes such characters raw, in every style. So it writes a word
	// in the place of each string that has one.
	s := stand{word: "quoted"}
	for n := 0; bytes.Contains(text, []byte(s.word)); n++ {
		s.word = fmt.Sprintf("quoted%d", n)
	}
	out, err := yaml.Marshal(s.in(value))
	if err != nil || len(s.strings) == 0 {
		return out, err
	}
	return s.replaced(out), nil
}

// stand puts words in the place of strings.
type stand struct {
	word    string // of which no other string is a part
	strings []string
}

// in returns the value with words for those of its strings and keys that have
// something to spell out.
func (s *stand) in(value any) any {
	switch value := value.(type) {
	case string:
		return s.for1(value)
	case []any:
		for i, item := range value {
			value[i] = s.in(item)
		}
	case map[string]any:
		words := make(map[string]any, len(value))
		for key, item := range value {
			words[s.for1(key)] = s.in(item)
		}
		return words
	}
	return value
}

func (s *stand) for1(text string) string {
	if Lines(text) == text {
		return text
	}
	s.strings = append(s.strings, text)
	word := fmt.Sprintf("%s-%d-", s.word, len(s.strings)-1)
	if len(text) > longKey/2 {
		word += strings.Repeat("x", longKey)
	}
	return word + "."
}

// replaced is the YAML with the strings themselves, quoted.
func (s *stand) replaced(text []byte) []byte {
	var out bytes.Buffer
	for {
		before, after, found := bytes.Cut(text, []byte(s.word+"-"))
		out.Write(before)
		if !found {
			return out.Bytes()
		}
		number, after, _ := bytes.Cut(after, []byte("-"))
		var at int
		_, _ = fmt.Sscan(string(number), &at)
		out.WriteString(quoteYAML(s.strings[at]))
		_, text, _ = bytes.Cut(after, []byte("."))
	}
}

func quoteYAML(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
	return `"` + spell(s, false, appendYAML) + `"`
}
