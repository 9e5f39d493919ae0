package printable_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

func TestWidth(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "web": 3, "größe": 5, "日本": 4, "ｗｅｂ": 6, "e\u0301": 1, "→": 1, "🚀": 2, "\x1b[31mred\x1b[0m": 3, "\x1b[": 0,
	} {
		if got := printable.Width(text); got != want {
			t.Errorf("Width(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		text        string
		columns     int
		end, middle string
	}{
		{"frontend", 0, "frontend", "frontend"},
		{"frontend", 8, "frontend", "frontend"},
		{"frontend", 7, "fronte…", "fro…end"},
		{"frontend", 2, "f…", "f…"},
		{"frontend", 1, "…", "…"},
		{"two words", 5, "two…", "tw…ds"},
		{"日本語の名前", 6, "日本…", "日…前"},
		{"日本語の名前", 12, "日本語の名前", "日本語の名前"},
		{"ae\u0301ae\u0301ae\u0301", 4, "ae\u0301a…", "ae\u0301…e\u0301"},
	} {
		if got := printable.Cut(test.text, test.columns); got != test.end {
			t.Errorf("Cut(%q, %d) = %q, want %q", test.text, test.columns, got, test.end)
		}
		if got := printable.CutMiddle(test.text, test.columns); got != test.middle {
			t.Errorf("CutMiddle(%q, %d) = %q, want %q", test.text, test.columns, got, test.middle)
		}
	}
}

func TestCutBytes(t *testing.T) {
	for _, test := range []struct {
		text string
		most int
		want string
	}{
		{"frontend", 8, "frontend"},
		{"frontend", 7, "fron…"},
		{"日本語", 9, "日本語"},
		{"日本語", 8, "日…"},
		{"日本語", 3, "…"},
	} {
		if got := printable.CutBytes(test.text, test.most); got != test.want {
			t.Errorf("CutBytes(%q, %d) = %q, want %q", test.text, test.most, got, test.want)
		}
	}
}

func FuzzCutFits(f *testing.F) {
	f.Add("frontend", 5)
	f.Add("日本語の名前", 5)
	f.Add("e\u0301\u0301", 1)
	f.Fuzz(func(t *testing.T, text string, columns int) {
		text = printable.Text(text)
		if columns < 1 || strings.Contains(text, "\x1b") {
			return
		}
		for _, got := range []string{printable.Cut(text, columns), printable.CutMiddle(text, columns)} {
			if printable.Width(got) > columns || !utf8.ValidString(got) {
				t.Errorf("%q in %d columns is %q", text, columns, got)
			}
		}
	})
}
