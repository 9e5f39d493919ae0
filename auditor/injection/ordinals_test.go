package injection

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

func TestOrdinalsAt(t *testing.T) {
	for _, test := range []struct{ name, first, second, at7 string }{
		{"nothing follows", `{"a":"x-3","n":3}`, `{"a":"x-3","n":3}`, `{"a":"x-3","n":3}`},
		{"an index", `{"value":"3"}`, `{"value":"4"}`, `{"value":"7"}`},
		{"a number", `{"index":3}`, `{"index":4}`, `{"index":7}`},
		{"within a text", `"host db-3.db, rank 3 of 3"`, `"host db-4.db, rank 4 of 3"`, `"host db-7.db, rank 7 of 3"`},
		{"a key", `{"shard_3":{"id":3},"b":1}`, `{"shard_4":{"id":4},"b":1}`, `{"shard_7":{"id":7},"b":1}`},
		{"a key that there is", `{"3":1,"7":2}`, `{"4":1,"7":2}`, `{"3":1,"7":2}`},
		{"a list", `["3",{"a":"4"},"z"]`, `["4",{"a":"4"},"z"]`, `["7",{"a":"4"},"z"]`},
		{"an index that begins with 1", `"4"`, `"5"`, `"8"`},
		{"a port", `8003`, `8004`, `8007`},
		{"a remainder", `"1"`, `"0"`, `"1"`},
		{"a remainder that grows", `"1"`, `"2"`, `"1"`},
		{"a hash", `"a3f"`, `"a4f"`, `"a3f"`},
		{"a fixed width", `"03"`, `"04"`, `"03"`},
		{"other words", `"three"`, `"four"`, `"three"`},
		{"a longer text", `"3"`, `"4-4"`, `"3"`},
		{"another kind", `"3"`, `4`, `"3"`},
		{"a longer list", `["3"]`, `["4","4"]`, `["3"]`},
		{"a quote", `"\"3\u00e4"`, `"\"4\u00e4"`, `"\"3\u00e4"`},
		{"an escape", `"\"3\"\n"`, `"\"4\"\n"`, `"\"7\"\n"`},
		{"a member that only one has", `{"3":1,"a":2}`, `{"a":2}`, `{"3":1,"a":2}`},
		{"a fraction", `0.3`, `0.4`, `0.3`},
		{"beyond any number", `"99999999999999999999"`, `"99999999999999999998"`, `"99999999999999999999"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := Ordinals{First: 3, Second: 4, OfFirst: parsed(t, test.first), OfSecond: parsed(t, test.second)}
			if diff := cmp.Diff(test.at7, string(o.At(7))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.first, string(o.At(3))); diff != "" {
				t.Errorf("the first is another one (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEqualButZeros(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{`"07"`, `"7"`, true}, {`"db-07.x"`, `"db-7.x"`, true}, {`"7"`, `"7"`, true}, {`"00"`, `"0"`, true},
		{`"07"`, `"8"`, false}, {`"70"`, `"7"`, false}, {`"a07"`, `"a7"`, false}, {`"07"`, `"7 "`, false}, {``, `"0"`, false},
	} {
		if got := EqualButZeros([]byte(test.a), []byte(test.b)); got != test.want {
			t.Errorf("%s and %s: %v", test.a, test.b, got)
		}
	}
}

func parsed(t *testing.T, text string) jsontree.Node {
	t.Helper()
	node, err := jsontree.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// FuzzOrdinals: whatever the answers are, the Pod of an ordinal is JSON, and that of the
// first ordinal is the first answer.
func FuzzOrdinals(f *testing.F) {
	f.Add(`{"a":["x-3"],"3":3}`, `{"a":["x-4"],"4":4}`, 3, 7)
	f.Add(`{"3":1,"7":2}`, `{"4":1,"7":2}`, 3, 7)
	f.Add(`{"a":"9"}`, `{"a":"10"}`, 9, 0)
	f.Fuzz(func(t *testing.T, first, second string, ordinal, at int) {
		a, err1 := jsontree.Parse([]byte(first))
		b, err2 := jsontree.Parse([]byte(second))
		if err1 != nil || err2 != nil || ordinal < 0 || ordinal > 1e6 || at < 0 || at > 1e6 {
			return
		}
		o := Ordinals{First: ordinal, Second: ordinal + 1, OfFirst: a, OfSecond: b}
		if _, err := jsontree.Parse(o.At(at)); err != nil {
			t.Errorf("at %d: %v", at, err)
		}
		again := Ordinals{First: ordinal, Second: ordinal + 1, OfFirst: parsed(t, string(o.At(ordinal))), OfSecond: b}
		if diff := cmp.Diff(string(o.At(ordinal)), string(again.At(ordinal))); diff != "" {
			t.Errorf("the first is another one (-want +got):\n%s", diff)
		}
	})
}
