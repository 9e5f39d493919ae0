package meaning

import "slices"

// maxCells bounds the work of an alignment: the product of two lengths.
const maxCells = 1 << 20

// align returns the indexes of a longest common subsequence, in both lists. It
// reports false for lists that are too long and too different. The other way round
// the answer is the same.
func align(a, b []string) ([][2]int, bool) {
	if len(a) > len(b) || len(a) == len(b) && slices.Compare(a, b) > 0 {
		common, ok := align(b, a)
		for i, both := range common {
			common[i] = [2]int{both[1], both[0]}
		}
		return common, ok
	}
	start := 0
	for start < len(a) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < len(a)-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	var common [][2]int
	for i := range start {
		common = append(common, [2]int{i, i})
	}
	middle, ok := subsequence(a[start:len(a)-end], b[start:len(b)-end])
	for _, both := range middle {
		common = append(common, [2]int{start + both[0], start + both[1]})
	}
	for i := end; i > 0; i-- {
		common = append(common, [2]int{len(a) - i, len(b) - i})
	}
	return common, ok
}

// subsequence is the textbook's, by a table of the lengths for all that is left.
func subsequence(a, b []string) ([][2]int, bool) {
	if len(a)*len(b) > maxCells {
		return nil, false
	}
	ids := map[string]int32{}
	x, y := interned(ids, a), interned(ids, b)
	width := len(y) + 1
	lengths := make([]int32, (len(x)+1)*width)
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				lengths[i*width+j] = lengths[(i+1)*width+j+1] + 1
				continue
			}
			lengths[i*width+j] = max(lengths[(i+1)*width+j], lengths[i*width+j+1])
		}
	}
	var common [][2]int
	for i, j := 0, 0; i < len(x) && j < len(y); {
		switch {
		case x[i] == y[j]:
			common = append(common, [2]int{i, j})
			i, j = i+1, j+1
		case lengths[(i+1)*width+j] >= lengths[i*width+j+1]:
			i++
		default:
			j++
		}
	}
	return common, true
}

// interned numbers texts: they are compared often.
func interned(ids map[string]int32, texts []string) []int32 {
	numbers := make([]int32, len(texts))
	for i, text := range texts {
		id, ok := ids[text]
		if !ok {
			id = int32(len(ids))
			ids[text] = id
		}
		numbers[i] = id
	}
	return numbers
}
