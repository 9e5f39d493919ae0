package service

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

const (
	// lookPause is the time between two looks at what injectors go by where there is nothing
	// to explain, and lookTimeout the longest that one may take.
	lookPause   = 30 * time.Second
	lookTimeout = time.Minute
	// mostExplained is how many changes are explained after one round.
	mostExplained = 20
)

// inputs are what injectors go by.
type inputs interface {
	Look(context.Context) (cause.Seen, error)
	Makers(c cause.Change, webhook string, mutators []string) (makers, beside []string)
	Births(ctx context.Context, namespaces []string) (map[string]time.Time, error)
}

// causes finds out whose changes are, once for each, beside the audits.
type causes struct {
	inputs  inputs
	history *history
	told    func() // that something was found out
	log     logr.Logger

	asked  chan []report.Question // holds one
	ledger cause.Ledger
	looked time.Time
}

func newCauses(in inputs, h *history, told func(), log logr.Logger) *causes {
	return &causes{inputs: in, history: h, told: told, log: log, asked: make(chan []report.Question, 1)}
}

// audited tells of what a round that asked has found. It does not wait.
func (c *causes) audited(questions []report.Question) {
	select {
	case <-c.asked: // by an earlier round, of which this one knows, too
	default:
	}
	c.asked <- questions
}

// run looks after rounds, until ctx is done: also after those that found nothing new, as two
// looks tell of what one alone does not.
func (c *causes) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case questions := <-c.asked:
			if err := c.explain(ctx, questions); err != nil && ctx.Err() == nil {
				c.log.Error(err, "Whose changes are is not known")
			}
		}
	}
}

// explain looks, and explains what has begun since.
func (c *causes) explain(ctx context.Context, questions []report.Question) error {
	began := c.history.unexplained()
	questions = slices.DeleteFunc(slices.Clone(questions), func(q report.Question) bool { return began[q.ID].By.IsZero() })
	if len(questions) == 0 && time.Since(c.looked) < lookPause {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	seen, err := c.inputs.Look(ctx)
	if err != nil {
		return err
	}
	c.looked = time.Now()
	c.ledger.Observe(seen)
	slices.SortFunc(questions, func(a, b report.Question) int { // as in a namespace of one's own one may make many
		return cmp.Or(cmp.Compare(len(b.Namespaces), len(a.Namespaces)), began[b.ID].By.Compare(began[a.ID].By), cmp.Compare(a.ID, b.ID))
	})
	var failed error
	for _, q := range questions[:min(len(questions), mostExplained)] {
		v, err := c.whose(ctx, q, began[q.ID])
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		c.history.explain(q.ID, began[q.ID], v)
		c.log.Info("A change of the injection began", "change", q.ID, "by", v.By)
	}
	if len(questions) > 0 {
		c.told()
	}
	return failed
}

// whose says whose a change is. What was there at the first audit began after the last Pod
// was created that differs in it.
func (c *causes) whose(ctx context.Context, q report.Question, began journal.Interval) (cause.Verdict, error) {
	q.After, q.By = began.After, began.By
	q.Injectors, q.Beside = c.inputs.Makers(q.Change, q.Webhook, q.Mutators)
	if q.After.IsZero() {
		born, err := c.inputs.Births(ctx, q.Namespaces)
		if err != nil {
			return cause.Verdict{}, err
		}
		q.After = q.LastBorn(born)
	}
	return c.ledger.Judge(q.Change), nil
}
