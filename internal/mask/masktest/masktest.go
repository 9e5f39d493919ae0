// Package masktest is a corpus of what Pods hold: secrets in all the places where
// they can be, and values that must stay readable. The secrets are assembled when a
// test runs, so that no scanner of the repository takes them for real ones.
package masktest

import (
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Case is a value at a path of a part of a Pod, as a change has it.
type Case struct {
	Path  string
	Value json.RawMessage
	// Secrets are those in the value; none in a harmless one. They are as they
	// stand in it, encodings apart.
	Secrets []string
	// Encoded are texts of the value that encode secrets.
	Encoded []string
}

//go:embed harmless.txt
var harmless string

// Harmless are the values that must stay as they are.
func Harmless() []Case {
	var cases []Case
	for line := range strings.Lines(harmless) {
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		path, text, ok := strings.Cut(line, "\t")
		if !ok {
			panic(fmt.Sprintf("harmless.txt: no tab in %q", line))
		}
		var value json.RawMessage
		if raw, isJSON := strings.CutPrefix(text, "json:"); isJSON {
			value = json.RawMessage(raw)
		} else {
			value = quoted(strings.ReplaceAll(text, `\n`, "\n"))
		}
		cases = append(cases, Case{Path: path, Value: value})
	}
	return cases
}

// builder assembles cases.
type builder struct {
	random  *rand.Rand
	cases   []Case
	secrets []string
	encoded []string
}

// add adds a case with the secrets that were made for it.
func (b *builder) add(path string, value any) {
	b.cases = append(b.cases, Case{path, quoted(value), b.secrets, b.encoded})
	b.secrets, b.encoded = nil, nil
}

func quoted(value any) json.RawMessage {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err)
	}
	return json.RawMessage(strings.TrimSuffix(text.String(), "\n"))
}

// secret marks a text as one.
func (b *builder) secret(parts ...string) string {
	text := strings.Join(parts, "")
	b.secrets = append(b.secrets, text)
	return text
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
	hex    = digits + "abcdef"
	alnum  = lower + upper + digits
)

func (b *builder) of(alphabet string, n int) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = alphabet[b.random.IntN(len(alphabet))]
	}
	if n >= 8 { // a run of letters alone is no token of any kind
		text[n/2] = digits[b.random.IntN(len(digits))]
	}
	return string(text)
}

// password is one that a person would choose.
func (b *builder) password() string {
	words := []string{"hunter", "Tr0ub4dor", "correct-horse", "Winter", "s3cr3t", "letmein", "P@ss!"}
	return b.secret(words[b.random.IntN(len(words))] + b.of(digits, 3))
}

func (b *builder) base64(text string) string {
	encoded := base64.StdEncoding.EncodeToString([]byte(text))
	b.encoded = append(b.encoded, encoded)
	return encoded
}

func compact(value any) string { return string(quoted(value)) }

type object map[string]any

type list []any

// jwt is a signed token.
func (b *builder) jwt() string {
	part := func(v any) string { return base64.RawURLEncoding.EncodeToString(quoted(v)) }
	return b.secret(part(object{"alg": "RS256", "kid": b.of(alnum, 12)}), ".", part(object{"iss": "https://issuer.example.com", "sub": "web", "exp": 1893456000}), ".", b.of(alnum, 86))
}

// pem is a private key, of which no line may be shown.
func (b *builder) pem(kind string) string {
	lines := make([]string, 4)
	for i := range lines {
		lines[i] = b.secret(b.of(alnum+"+/", 64))
	}
	return "-----BEGIN " + kind + "-----\n" + strings.Join(lines, "\n") + "\n-----END " + kind + "-----\n"
}
