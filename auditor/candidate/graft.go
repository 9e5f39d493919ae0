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
	has := func(items []any, key string) int {
		return slices.IndexFunc(items, func(other any) bool { return keyOf(other) == key })
	}
	before := 0 // where what comes next belongs
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

// keyed reports whether each item of a list has a key.
func keyed(items []any) bool {
	return !slices.ContainsFunc(items, func(item any) bool { return keyOf(item) == "" })
}
