package meaning

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func BenchmarkOf(b *testing.B) {
	for _, of := range []struct {
		name string
		raw  json.RawMessage
	}{
		{"plain", text("The quick brown fox jumps over the lazy dog while nobody looks: and then it goes on to sleep for long.")},
		{"commas", text("The quick brown fox, who is not lazy, jumps over a dog while nobody looks, and then it goes to sleep.")},
		{"vault", vault(b, rand.New(rand.NewPCG(1, 1)), 3, "https://vault:8200")},
	} {
		b.Run(of.name, func(b *testing.B) {
			b.SetBytes(int64(len(of.raw)))
			b.ReportAllocs()
			for b.Loop() {
				Of(of.raw)
			}
		})
	}
}

func BenchmarkVaultConfig(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	from, to := Of(vault(b, random, 10, "a")), Of(vault(b, random, 10, "b"))
	var varies Variation
	varies.Learn(from, Of(vault(b, random, 10, "a")))
	varies.Learn(from, Of(vault(b, random, 10, "a")))
	b.Run("learn", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			learned := varies
			learned.Learn(from, to)
		}
	})
	b.Run("diff", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if found, _ := Diff(from, to, varies); len(found) != 1 {
				b.Fatal(found)
			}
		}
	})
}

// BenchmarkHostile reads, learns from and compares the largest texts that are looked
// at, of which each part invites a closer look.
func BenchmarkHostile(b *testing.B) {
	for _, of := range []struct{ head, part, tail string }{
		{"a: 1\n", "b: [\n", ""}, {"a: ", "[", ""}, {"a: 1\n", "- ", ""}, {"", "- ", "\n- a"}, {"a: 1\n", "# c\n", "b: 2\n"}, {"a:\n", " #\n", " b: 1\n"}, {"a: 1\nb: \"", "\\n", "\"\n"},
		{"a: 1\nb: |\n", "  x\n", ""}, {"a: 1\n", "? ", ""}, {"a: 1\n", "*a ", ""}, {"a: 1\n", "!!x ", ""}, {"a: 1\nb: ", "'", "\n"}, {"a: {", "a,", "}\nb: 1"}, {"- a\n", "- b\n", ""}, {"a: 1\nb:\n", " - c: d\n   # e\n", ""},
		{"", "a=b,", ""}, {"", "a=b\n", ""}, {"", "a,", "b"}, {"", "-a ", ""}, {"", "-a", " -b"}, {`{"a":`, "[", ""}, {"", `{"a":`, ""}, {"[", `"a,b",`, `1]`}, {"[", `{"name":1},`, `1]`},
		{beginCertificate + "\n", "AAAA\n", "-----END CERTIFICATE-----\n"}, {"", beginCertificate + "\n", ""}, {"# a\n", "-----BEGIN A-----\n", beginCertificate}, {"", "YWJjZGVm", ""}, {"H4sI", "AAAA", ""}, {"", "a", ""}, {"", "=", ""}, {"", "$(", ","}, {"", "aA0\n", ""},
		{"- a\n#", "#", "\n- b"}, {"a: 1\n", "b:\n- c\n# d\n\n", ""}, {"a: 1\nb: >\n", "\n", " x\n"}, {"a: 1\n", "{b: ", ""}, {"a: 1\n", "a\n", ""}, {"a: 1\nb: ", "a ", "\n"}, {"- a\n", "- - - - -\n", ""},
	} {
		size := (maxBytes - 1024) / (len(text(of.part)) - len(`""`))
		if strings.Contains(of.head+of.part, "\n") && !strings.Contains(of.head+of.part, "---") {
			size = min(size, (maxYAML-1024)/len(of.part))
		}
		whole := of.head + strings.Repeat(of.part, size) + of.tail
		b.Run(fmt.Sprintf("%.12q", of.head+of.part), func(b *testing.B) {
			raw := text(whole)
			b.SetBytes(int64(len(whole)))
			for b.Loop() {
				Of(raw)
			}
		})
	}
}

// BenchmarkHostilePairs compares the largest lists and maps that are decoded, where
// the other one is as different as can be.
func BenchmarkHostilePairs(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	list := func(item func(i int) any) Value {
		var items []any
		for i := range maxNodes - 1 {
			items = append(items, item(i))
		}
		return Of(marshal(b, items))
	}
	objects := func(n, keys int) Value {
		items := make([]any, n)
		for i := range items {
			object := map[string]any{}
			for k := range keys {
				object[fmt.Sprint("k", k)] = random.Uint64()
			}
			items[i] = object
		}
		return Of(marshal(b, items))
	}
	var nested func(depth int) any
	nested = func(depth int) any {
		if depth == 0 {
			return random.Uint64()
		}
		return []any{nested(depth - 1), nested(depth - 1), "x"}
	}
	for _, of := range []struct {
		name string
		a, b Value
	}{
		{"numbers", list(func(i int) any { return i }), list(func(int) any { return random.IntN(1e9) })},
		{"bits", list(func(int) any { return random.IntN(2) }), Of(marshal(b, strings.Split(strings.Repeat("0", 1000), "")))},
		{"flags", list(func(i int) any { return fmt.Sprint("--f", i, "=1") }), list(func(i int) any { return fmt.Sprint("--f", maxNodes-i, "=2") })},
		{"square", objects(130, 130), objects(130, 130)},
		{"wide", objects(1, 9000), objects(1, 9000)},
		{"nested", Of(marshal(b, nested(12))), Of(marshal(b, nested(12)))},
		{"short", objects(1, 1000), objects(900, 10)},
	} {
		if !of.a.Decoded() || !of.b.Decoded() {
			b.Fatal(of.name)
		}
		b.Run(of.name, func(b *testing.B) {
			for b.Loop() {
				var varies Variation
				varies.Learn(of.a, of.b)
				Diff(of.a, of.b, varies)
				Diff(of.a, of.b, Variation{})
			}
		})
	}
}
