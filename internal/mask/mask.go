// Package mask takes secrets out of what a report shows.
//
// It looks at names and into values: JSON, YAML, base64 of those, KEY=VALUE,
// flags, URLs, HTTP headers, PEM keys and the formats of known tokens. Only the
// secret part of a value is replaced where it can be told, so that what differs
// around it stays readable. When in doubt it masks next to a telling name, and
// shows what no name gives away.
package mask

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
)

const (
	// maxText is the number of bytes that are looked at; a longer text is masked as
	// a whole.
	maxText = 64 << 10
	// maxDepth bounds values within values: JSON in base64 in JSON.
	maxDepth = 6
	// maxKeys bounds the names before one value.
	maxKeys = 4
	// maxProse is the number of bytes of a sentence that are looked at; the rest is
	// masked.
	maxProse = 16 << 10
	// stars begin every mask.
	stars = "***"
	// digits are the hexadecimal digits of a mask: 48 bits, so that of 10,000 secrets no
	// two look alike (1 in 5 million).
	digits = 12
	// maxSeen is the number of bytes of texts that are remembered.
	maxSeen = 16 << 20
	// constant is the mask that does not say whether two secrets are the same.
	constant = stars + "masked***"
)

// Masker masks what one report shows: equal secrets get equal masks from one
// Masker. Its methods may be called concurrently. A nil Masker is [Constant].
type Masker struct {
	key []byte
	off bool

	mu   sync.Mutex
	seen map[seen]string
	size int // of what is in seen, in bytes
}

// seen is a text that was masked already; as differs by what it was taken for.
type seen struct{ as, name, text string }

// New returns a Masker whose masks are digests with the given key, which must be
// random, another one for each report, and kept from readers: else they could try
// guesses.
func New(key []byte) *Masker {
	return &Masker{key: slices.Clone(key), seen: map[seen]string{}}
}

// Constant returns a Masker whose masks are all the same: for what is stored and
// compared with what a later process makes.
func Constant() *Masker { return &Masker{seen: map[seen]string{}} }

// Off returns a Masker that masks nothing, for those who ask to see secrets.
func Off() *Masker { return &Masker{off: true} }

// Value returns a text, with masks in the place of secrets. Its name is the one of
// the environment variable, the key, the flag or the header whose value it is;
// empty if it has none.
func (m *Masker) Value(name, text string) string {
	return m.once(seen{"value", name, text}, func() string { return m.value(context{name: name}, text) })
}

// Prose returns a sentence, such as the message of an error, with masks in the
// place of secrets that it quotes. Names in it are taken for telling only where a
// value clearly follows.
func (m *Masker) Prose(text string) string {
	return m.once(seen{"prose", "", text}, func() string {
		head, rest := text, ""
		if len(text) > maxProse {
			cut := strings.LastIndexByte(text[:maxProse], ' ') + 1
			head, rest = text[:cut], m.seal(text[cut:])
		}
		return m.apply(head, m.proseEdits(head)) + rest
	})
}

// once remembers answers: a report says the same of many workloads.
func (m *Masker) once(of seen, answer func() string) string {
	if m != nil && m.off || of.text == "" {
		return of.text
	}
	if m == nil {
		return Constant().once(of, answer)
	}
	m.mu.Lock()
	shown, known := m.seen[of]
	m.mu.Unlock()
	if known {
		return shown
	}
	shown = answer()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.size += len(of.name) + len(of.text) + len(shown); m.size > maxSeen {
		clear(m.seen)
		m.size = 0
	}
	m.seen[of] = shown
	return shown
}

// seal returns the mask of a secret.
func (m *Masker) seal(secret string) string {
	if m.masked(secret) {
		return secret
	}
	if m == nil || m.key == nil {
		return constant
	}
	mac := hmac.New(sha256.New, m.key)
	mac.Write([]byte(secret))
	return fmt.Sprintf("%s%x", stars, mac.Sum(nil)[:digits/2])
}

// masked reports whether a text is a mask already.
func (m *Masker) masked(text string) bool {
	return text == constant || len(text) == len(stars)+digits && maskAt(text)
}

// hasMask reports whether a text was masked in part: what is left of it was looked
// at then.
func (m *Masker) hasMask(text string) bool {
	for {
		at := strings.Index(text, stars)
		if at < 0 {
			return false
		}
		text = text[at:]
		if strings.HasPrefix(text, constant) || maskAt(text) {
			return true
		}
		text = text[1:]
	}
}

// maskAt reports whether a text begins with a mask.
func maskAt(text string) bool {
	if len(text) < len(stars)+digits || !strings.HasPrefix(text, stars) {
		return false
	}
	for _, c := range []byte(text[len(stars) : len(stars)+digits]) {
		if !strings.ContainsRune("0123456789abcdef", rune(c)) {
			return false
		}
	}
	return true
}

// edit replaces text[start:end].
type edit struct {
	start, end int
	text       string
}

// span is a secret in a text.
type span struct{ start, end int }

// sealAll are the edits that mask spans; those that overlap are one secret.
func (m *Masker) sealAll(text string, spans []span) []edit {
	slices.SortFunc(spans, func(a, b span) int { return a.start - b.start })
	var edits []edit
	for i := 0; i < len(spans); {
		s := spans[i]
		for i++; i < len(spans) && spans[i].start < s.end; i++ {
			s.end = max(s.end, spans[i].end)
		}
		edits = append(edits, edit{s.start, s.end, m.seal(text[s.start:s.end])})
	}
	return edits
}

// apply makes edits, which are sorted and do not overlap.
func (m *Masker) apply(text string, edits []edit) string {
	if len(edits) == 0 {
		return text
	}
	var b strings.Builder
	done := 0
	for _, e := range edits {
		b.WriteString(text[done:e.start])
		b.WriteString(e.text)
		done = e.end
	}
	b.WriteString(text[done:])
	return b.String()
}
