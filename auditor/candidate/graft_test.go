package candidate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// graftedSlowly is graftList as one would write it, which takes minutes for a Pod of tens of
// thousands of variables.
func graftedSlowly(pod, answer, fresh []any) []any {
	result := slices.Clone(pod)
	has := func(items []any, key string) int {
		return slices.IndexFunc(items, func(other any) bool { return keyOf(other) == key })
	}
	before := 0
	for _, item := range fresh {
		key := keyOf(item)
		if at := has(result, key); at >= 0 {
			before = at + 1
			continue
		}
		if has(answer, key) < 0 {
			result = slices.Insert(result, before, item)
			before++
		}
	}
	return result
}

// What others have added stands where it is in the fresh Pod, whatever the lists are like.
func TestGraftedLists(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	some := func() (items []any) {
		for range r.IntN(9) {
			items = append(items, object{"name": fmt.Sprint("v", r.IntN(9)), "value": "x"})
		}
		return items
	}
	for n := range 20_000 {
		pod, answer, fresh := some(), some(), some()
		want, got := graftedSlowly(pod, answer, fresh), graftList(pod, answer, fresh)
		if len(want)+len(got) > 0 && !cmp.Equal(want, got) {
			t.Fatalf("%d: %v, of which %v was answered, with %v:\n%s", n, pod, answer, fresh, cmp.Diff(want, got))
		}
	}
}

// The longest lists that a Pod may have take no longer than others, item by item.
func TestGraftedListsAreAsLongAsTheirOwnersLike(t *testing.T) {
	var long []any
	for i := range 40_000 {
		long = append(long, object{"name": fmt.Sprint("v", i), "value": "x"})
	}
	if got := graftList(long, long, slices.Concat(long, []any{object{"name": "more"}})); len(got) != len(long)+1 || keyOf(got[len(long)]) != "name=more" {
		t.Errorf("%d items", len(got))
	}
}
