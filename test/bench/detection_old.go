package main

import (
	"fmt"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/class"
	"github.com/sidecar-drift/sidecar-drift/auditor/sentinel"
)

// classed is the ledger of classes.
type classed struct {
	*sentinel.Ledger[int, int]
	w   *simulated
	ids map[int]class.ID
}

func newClassed(w *simulated) *classed {
	return &classed{sentinel.New[int, int](), w, map[int]class.ID{}}
}

func (c *classed) begin(time.Time) { c.Begin() }

func (c *classed) due(now time.Time, _ int) []int {
	return c.Due(now, int(simulatedSweep/simulatedInterval), simulatedSweep)
}

func (c *classed) answered(i int, a simulatedAnswer, now time.Time) {
	id, has := c.ids[i]
	if !has {
		s := c.w.subjects[i]
		pod, err := tree(s.pod())
		if err != nil {
			panic(fmt.Sprint(err))
		}
		id = class.Of(class.Subject{Steps: s.steps(), NamespaceLabels: s.namespace.labels, Pod: pod, Names: []string{s.name, s.name + "-7d4"}})
		c.ids[i] = id
	}
	c.Answered(i, sentinel.Answer[int]{Workload: i, Class: id, Outcome: sentinel.Sum(a.outcome)}, now)
}

func (c *classed) next(int) []int { return c.Moving() }
func (c *classed) end(time.Time)  { c.End() }
func (c *classed) size() int      { return len(c.Sizes()) }
