package meaning

// Orders returns what is known of orders alone: the lists whose items come in another
// one each time.
func (v Variation) Orders() Variation { return Variation{v.root.orders()} }

func (p *place) orders() *place {
	if p == nil || p.whole {
		return nil
	}
	of := &place{unordered: p.unordered}
	for key, below := range p.below {
		if only := below.orders(); only != nil {
			if of.below == nil {
				of.below = map[string]*place{}
			}
			of.below[key] = only
		}
	}
	if !of.unordered && of.below == nil {
		return nil
	}
	return of
}
