package printable

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"istio/proxyv2:1.27.0 → 1.28.0":         "istio/proxyv2:1.27.0 → 1.28.0",
		"K\x1b]0;pwned\x07\x1b[31m":             `K\x1b]0;pwned\a\x1b[31m`,
		"a\nb\tc\rd":                            `a\nb\tc\rd`,
		"\x7f\u0085\u009b":                      `\x7f\u0085\u009b`,
		"\u202egnp\u202c\u2066\u061c":           `\u202egnp\u202c\u2066\u061c`,
		"a\u200bb\u00ad\ufeff":                  `a\u200bb\u00ad\ufeff`,
		"\u2028\u2029\u00a0":                    `\u2028\u2029\u00a0`,
		"\U000e0041\U000f0000\ue000":            `\U000e0041\U000f0000\ue000`,
		"\u0378\uffff":                          `\u0378\uffff`,
		"\xff\xc3":                              `\xff\xc3`,
		"\ufffd":                                "\ufffd",
		"x\ufe0f\U000e0100\u3164\u115f":         `x\ufe0f\U000e0100\u3164\u115f`,
		"Zoe\u0308":                             "Zoe\u0308",
		"\u0301a":                               `\u0301a`,
		"a\u0301\u0302\u0303\u0304\u0305\u0306": "a\u0301\u0302\u0303\u0304" + `\u0305` + "\u0306",
		"日本語 שלום ไทย":                          "日本語 שלום ไทย",
	} {
		if got := Text(text); got != want {
			t.Errorf("%q is shown as %s, want %s", text, got, want)
		}
	}
	if got := Lines("a\n\tb\x1b"); got != "a\n\tb"+`\x1b` {
		t.Errorf("%q", got)
	}
}

// check fails on what a terminal must not get.
func check(t *testing.T, text string) {
	t.Helper()
	marks := 0
	for i, r := range text {
		switch {
		case r == '\n' || r == '\t':
		case r == utf8.RuneError && strings.HasPrefix(text[i:], "\ufffd"):
		case !unicode.IsPrint(r) || r == utf8.RuneError || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Variation_Selector):
			t.Fatalf("%q holds %U", text, r)
		}
		if marks++; !unicode.In(r, unicode.Mn, unicode.Me) {
			marks = 0
		}
		if marks > maxMarks {
			t.Fatalf("%q piles %d marks", text, marks)
		}
	}
}

func addSeeds(f *testing.F) {
	for _, seed := range []string{
		"", "plain", "a\nb", "\x1b[2J", "\u202e", "\U000e0041", "\xff", "a\u0301\u0301\u0301\u0301\u0301\u0301", "\u0301", "- a: b", "yes", "1e3", "\"'\\",
		" lead\n trail \n", "quoted-0-.", "quoted", "\u2028x\n\u0085", strings.Repeat("é\x00", 100), strings.Repeat("long ", 40) + "\x7f", "#", "~", "\t",
	} {
		f.Add(seed, "key")
		f.Add("value", seed)
	}
}

// FuzzText: nothing is left that a terminal would obey or hide, what is shown is
// shown as it is the second time, and the Writer has nothing to add.
func FuzzText(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, a, b string) {
		text := a + b
		got := Text(text)
		check(t, got)
		if again := Text(got); strings.Contains(got, "\n") || again != got {
			t.Errorf("%q is shown as %q, and that as %q", text, got, again)
		}
		var out bytes.Buffer
		w := NewWriter(&out)
		if _, err := io.WriteString(w, got); err != nil || out.String() != got {
			t.Errorf("%q is written as %q", got, out.String())
		}
	})
}

// FuzzWriter: so is what is written, in whatever pieces it comes, and the program's
// own sequences stay.
func FuzzWriter(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, a, b string) {
		const bold, end = "\x1b[1m", "\x1b[0m"
		text := a + bold + b + end
		var whole, pieces bytes.Buffer
		one, other := NewWriter(&whole, bold, end), NewWriter(&pieces, bold, end)
		if n, err := one.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
		if _, err := io.Copy(other, struct{ io.Reader }{iotest.OneByteReader(strings.NewReader(text))}); err != nil {
			t.Fatal(err)
		}
		if one.Flush() != nil || other.Flush() != nil {
			t.Fatal("a buffer fails")
		}
		if whole.String() != pieces.String() {
			t.Errorf("%q is written as %q, and in pieces as %q", text, whole.String(), pieces.String())
		}
		if strings.Count(text, bold) != strings.Count(whole.String(), bold) {
			t.Errorf("%q: our own sequences are lost in %q", text, whole.String())
		}
		check(t, strings.NewReplacer(bold, "", end, "").Replace(whole.String()))
	})
}

// FuzzValues: JSON and YAML hold the same values as before.
func FuzzValues(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, a, b string) {
		text, err := json.Marshal(map[string]any{a: b, b: []any{a, nil, 1, 25.5, true, map[string]string{"x": b}}, "plain": "as it is"})
		if err != nil {
			t.Fatal(err)
		}
		var want any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		escaped := JSON(text)
		check(t, string(escaped))
		var got any
		if err := json.Unmarshal(escaped, &got); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%s is %v, want %v (%v)", escaped, got, want, err)
		}
		asYAML, err := YAML(text)
		if err != nil {
			t.Fatal(err)
		}
		check(t, string(asYAML))
		got = nil
		if err := yaml.Unmarshal(asYAML, &got); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%s is %v, want %v (%v)", asYAML, got, want, err)
		}
		var out bytes.Buffer
		for _, text := range [][]byte{escaped, asYAML} {
			out.Reset()
			if _, err := NewWriter(&out).Write(text); err != nil || out.String() != string(text) {
				t.Errorf("%s is written as %s", text, out.String())
			}
		}
	})
}

func TestYAMLFailsOnOtherText(t *testing.T) {
	for _, text := range []string{"", "{", "{} {}", "a: b"} {
		if got, err := YAML([]byte(text)); err == nil {
			t.Errorf("%q becomes %s", text, got)
		}
	}
}

func TestWriterFails(t *testing.T) {
	if _, err := NewWriter(failing{}).Write([]byte("a\x1b")); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
