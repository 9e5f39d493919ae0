package candidate

import (
	"reflect"
	"slices"
)

// grafted is a Pod with what others have added to it, or rewritten, than those who were asked
// about it: what a fresh Pod has, and the answer about the Pod has not. What is in the answer
// alone, and what is below that, is its makers'.
func grafted(pod, answer, fresh object) object {
	result := copyOf(pod)
	for _, field := range []string{"spec", "metadata"} {
		if field == "spec" {
			result[field] = graftObject(child(pod, field), child(answer, field), child(fresh, field))
			continue
		}
		metadata := copyOf(child(pod, field))
		for _, texts := range []string{"labels", "annotations"} {
			with := graftObject(child(metadata, texts), child(child(answer, field), texts), child(child(fresh, field), texts))
			if len(with) > 0 {
				metadata[texts] = with
			}
		}
		result[field] = metadata
	}
	return result
}

func graft(pod, answer, fresh any) any {
	switch p := pod.(type) {
	case object:
		a, isObject := answer.(object)
		f, areObjects := fresh.(object)
		if isObject && areObjects {
			return graftObject(p, a, f)
		}
	case []any:
		a, isList := answer.([]any)
		f, areLists := fresh.([]any)
		if isList && areLists && keyed(p) && keyed(a) && keyed(f) {
			return graftList(p, a, f)
		}
	}
	if reflect.DeepEqual(pod, answer) && fresh != nil {
		return fresh
	}
	return pod
}

func graftObject(pod, answer, fresh object) object {
	result := copyOf(pod)
	for key, value := range fresh {
		mine, has := pod[key]
		theirs, answered := answer[key]
		switch {
		case has:
			result[key] = graft(mine, theirs, value)
		case !answered:
			result[key] = value
		}
	}
	return result
}

// graftList puts what is only in the fresh list where it is in that.
func graftList(pod, answer, fresh []any) []any {
	result := make([]any, len(pod))
	answers, inFresh := pairsOf(pod, answer), pairsOf(pod, fresh)
	for i, item := range pod {
		result[i] = item
		if answers[i] != nil && inFresh[i] != nil {
			result[i] = graft(item, answers[i], inFresh[i])
		}
	}
	inPod, inAnswer := positions(pod), positions(answer)
	// What comes before each item of the Pod, and behind the last; where each of that is; and
	// where what comes next belongs.
	type place struct{ slot, at int }
	slots, added, next := make([][]any, len(pod)+1), map[string]place{}, place{}
	for _, item := range fresh {
		key := keyOf(item)
		if at, has := inPod[key]; has {
			next = place{at + 1, 0}
			continue
		}
		if at, has := added[key]; has {
			next = place{at.slot, at.at + 1}
			continue
		}
		if _, has := inAnswer[key]; has {
			continue
		}
		for _, moved := range slots[next.slot][next.at:] {
			added[keyOf(moved)] = place{next.slot, added[keyOf(moved)].at + 1}
		}
		slots[next.slot] = slices.Insert(slots[next.slot], next.at, item)
		added[key] = next
		next.at++
	}
	all := slots[0]
	for i, item := range result {
		all = append(append(all, item), slots[i+1]...)
	}
	return all
}

// positions are where the first item of each key is: lists may be as long as their owners like.
func positions(items []any) map[string]int {
	at := make(map[string]int, len(items))
	for i, item := range items {
		if key := keyOf(item); key != "" {
			if _, has := at[key]; !has {
				at[key] = i
			}
		}
	}
	return at
}

// keyed reports whether each item of a list has a key.
func keyed(items []any) bool {
	return !slices.ContainsFunc(items, func(item any) bool { return keyOf(item) == "" })
}
