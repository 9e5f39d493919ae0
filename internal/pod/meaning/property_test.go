package meaning

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
)

// generator makes values that resemble each other.
type generator struct{ *rand.Rand }

func (g generator) value(depth int) any {
	switch n := g.IntN(10); {
	case depth == 0 || n < 3:
		return []any{"a", "b", "a,b", "b,a", "x=1,y=2", 1, 2.5, nil, true, "--a", "--a=1"}[g.IntN(11)]
	case n < 6:
		object := map[string]any{}
		for range g.IntN(4) {
			object[[]string{"name", "path", "x", "y.z", "0"}[g.IntN(5)]] = g.value(depth - 1)
		}
		if g.IntN(3) == 0 {
			object["name"] = fmt.Sprint("n", g.IntN(4))
		}
		return object
	case n < 7:
		var arguments []any
		for range g.IntN(5) {
			arguments = append(arguments, []any{"--a", "--a=1", "--a=2", "--b=1", "-c", "x", "y"}[g.IntN(7)])
		}
		return arguments
	default:
		items := make([]any, g.IntN(5))
		for i := range items {
			items[i] = g.value(depth - 1)
		}
		return items
	}
}

// like is a value in which some things are other ones, or in another order.
func (g generator) like(value any) any {
	if g.IntN(8) == 0 {
		return g.value(2)
	}
	switch value := value.(type) {
	case map[string]any:
		object := map[string]any{}
		for key, inner := range value {
			if g.IntN(10) > 0 {
				object[key] = g.like(inner)
			}
		}
		return object
	case []any:
		var items []any
		for _, inner := range value {
			if g.IntN(10) > 0 {
				items = append(items, g.like(inner))
			}
		}
		if g.IntN(2) == 0 {
			g.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		}
		return items
	}
	return value
}

// shuffled is a value with each list in another order.
func (g generator) shuffled(value any) any {
	switch value := value.(type) {
	case map[string]any:
		object := map[string]any{}
		for key, inner := range value {
			object[key] = g.shuffled(inner)
		}
		return object
	case []any:
		items := make([]any, len(value))
		for i, at := range g.Perm(len(value)) {
			items[i] = g.shuffled(value[at])
		}
		return items
	}
	return value
}

func TestProperties(t *testing.T) {
	for seed := range uint64(20_000) {
		g := generator{rand.New(rand.NewPCG(seed, seed))}
		value := g.value(3)
		var answers []Value
		for range 4 {
			answers = append(answers, Of(marshal(t, g.like(value))))
		}
		checkProperties(t, answers)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// checkProperties checks what holds for any four values or more.
func checkProperties(t *testing.T, v []Value) {
	t.Helper()
	checkPair(t, v[0], v[1])
	var varies, other Variation
	varies.Learn(v[0], v[1])
	checkSame(t, "learned", v[0], v[1], varies)
	varies.Learn(v[0], v[2])
	checkSame(t, "learned more", v[0], v[1], varies)
	checkSame(t, "learned last", v[0], v[2], varies)
	other.Learn(v[3], v[2])
	before := varies
	merged, back := varies, other
	merged.Merge(other)
	back.Merge(varies)
	checkSame(t, "merged", v[0], v[1], merged)
	checkSame(t, "merged", v[2], v[3], merged)
	if !merged.Equal(back) || !before.Equal(varies) {
		t.Error("merging depends on who merges, or changes what is merged")
	}
	again := merged
	again.Learn(v[0], v[2])
	again.Merge(other)
	if size := again.root.size(); size > maxPlaces {
		t.Errorf("%d places", size)
	}
	there, leftThere := Diff(v[1], v[3], merged)
	andBack, leftBack := Diff(v[3], v[1], merged)
	if len(there) != len(andBack) || leftThere != leftBack {
		t.Errorf("%q and %d left one way, %q and %d the other", shown(there), leftThere, shown(andBack), leftBack)
	}
}

func checkPair(t *testing.T, a, b Value) {
	t.Helper()
	checkSame(t, "itself", a, a, Variation{})
	there, left := Diff(a, b, Variation{})
	andBack, _ := Diff(b, a, Variation{})
	if len(there) != len(andBack) || left != 0 {
		t.Errorf("%q one way, %q the other, %d left", shown(there), shown(andBack), left)
	}
	if same := a.same(&b); same != (len(there) == 0) {
		t.Errorf("the same: %v, but %q", same, shown(there))
	}
	for _, d := range there {
		if d.From != nil && !json.Valid(d.From) || d.To != nil && !json.Valid(d.To) || d.From == nil && d.To == nil {
			t.Errorf("no JSON: %s", shown([]Difference{d}))
		}
	}
}

func checkSame(t *testing.T, what string, a, b Value, varies Variation) {
	t.Helper()
	if differences, _ := Diff(a, b, varies); len(differences) > 0 {
		t.Errorf("%s: %q", what, shown(differences))
	}
}

// What is equal but for the order of lists stays so, once the order is known.
func TestShuffledListsAreEqual(t *testing.T) {
	for seed := range uint64(2000) {
		g := generator{rand.New(rand.NewPCG(seed, seed))}
		items := make([]any, 2+g.IntN(6))
		for i := range items {
			items[i] = g.Uint32()
		}
		value := map[string]any{"list": items, "same": 1}
		first := Of(marshal(t, value))
		var varies Variation
		for varies.Empty() {
			varies.Learn(first, Of(marshal(t, g.shuffled(value))))
		}
		checkSame(t, "shuffled", first, Of(marshal(t, g.shuffled(value))), varies)
		value["same"] = 2
		if found, _ := Diff(first, Of(marshal(t, g.shuffled(value))), varies); len(found) != 1 || found[0].Path != "same" {
			t.Fatalf("seed %d: %q", seed, shown(found))
		}
	}
}
