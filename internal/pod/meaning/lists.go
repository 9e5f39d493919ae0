package meaning

// lists compares two lists whose items nothing tells apart.
type lists struct {
	*differ
	p        *place
	a, b     *Value
	inA, inB []string // what items are called
}

// items compares two items, one of which may be none.
func (l lists) items(i, j int) {
	var p *place
	if i == j || i < 0 || j < 0 {
		p = l.p.at(indexKey(max(i, j)))
	}
	if i >= 0 && j >= 0 && l.a.flag(i) != l.b.flag(j) && (p == nil || !p.whole) {
		l.items(i, -1)
		l.items(-1, j)
		return
	}
	of := pair{a: i, b: j}
	l.item(p, either(l.inA, l.inB, of), l.a, l.b, of)
}

// byIndex compares so many items from the given ones on.
func (l lists) byIndex(from pair, count int) {
	for i := range count {
		l.items(from.a+i, from.b+i)
	}
}

// asSets compares lists whose order means nothing. One item for one other is a
// change of it.
func (l lists) asSets() {
	tokensA, tokensB := l.a.tokens(), l.b.tokens()
	counts := map[string]int{}
	for _, token := range tokensB {
		counts[token]++
	}
	var onlyA, onlyB []int
	for i, token := range tokensA {
		if counts[token]--; counts[token] < 0 {
			onlyA = append(onlyA, i)
		}
	}
	for j := len(tokensB) - 1; j >= 0; j-- {
		if token := tokensB[j]; counts[token] > 0 {
			counts[token]--
			onlyB = append(onlyB, j)
		}
	}
	if len(onlyA) == 1 && len(onlyB) == 1 {
		l.items(onlyA[0], onlyB[0])
		return
	}
	for _, i := range onlyA {
		l.items(i, -1)
	}
	for k := len(onlyB) - 1; k >= 0; k-- {
		l.items(-1, onlyB[k])
	}
}

// aligned compares lists whose order counts. Between items that both have, as many
// for as many others are changes of those.
func (l lists) aligned() {
	tokensA, tokensB := l.tokens(l.a), l.tokens(l.b)
	common, ok := align(tokensA, tokensB)
	if !ok {
		if len(tokensA) != len(tokensB) {
			l.report(l.a.json(), l.b.json())
			return
		}
		common = nil
	}
	i, j := 0, 0
	for _, both := range append(common, [2]int{len(tokensA), len(tokensB)}) {
		if both[0]-i == both[1]-j {
			l.byIndex(pair{a: i, b: j}, both[0]-i)
		} else {
			for ; i < both[0]; i++ {
				l.items(i, -1)
			}
			for ; j < both[1]; j++ {
				l.items(-1, j)
			}
		}
		if both[0] < len(tokensA) && both[1] < len(tokensB) {
			l.items(both[0], both[1])
		}
		i, j = both[0]+1, both[1]+1
	}
}

// tokens are the same for items that are; items at an index where something varies
// are taken for one another.
func (l lists) tokens(v *Value) []string {
	tokens := v.tokens()
	if l.p.indexed() {
		for i := range tokens {
			if key := indexKey(i); l.p.at(key) != nil {
				tokens[i] = key
			}
		}
	}
	return tokens
}
