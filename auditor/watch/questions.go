package watch

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/cover"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// questions are those of one round.
type questions struct {
	*Auditor
	audit   *audit.Audit
	client  rest.Interface
	live    map[inventory.Key]inventory.Group
	begin   time.Time
	certain map[inventory.Key]inventory.Group // asked about whatever comes
	// newcomers of them are revisions of which nothing was known.
	newcomers map[inventory.Key]bool
	// concerned tells of any other revision whether a concern reaches it; nil: none does.
	concerned func(context.Context, inventory.Revision) bool
	// listed: all owners were read by lists, which happens once a round at most.
	listed bool
	// wanted reports whether a revision is asked about whose owner was read with all
	// others; nil: all are.
	wanted func(context.Context, inventory.Revision) bool
	// takesOver: newcomers take the answer about others of their shape over.
	takesOver bool

	answers sync.Mutex // over what follows, and what the Auditor knows
	shapeOf map[inventory.Key]shape
	// featuresOfShape are those of who was asked about, for who takes the answer over: by the
	// time that this is taken down, the shape may be forgotten.
	featuresOfShape map[inventory.Key][]cover.Feature
	take            func(inventory.Revision, audit.Finding, []cover.Feature, shape)
}

// few revisions are read by name, and so is one in so many of all: a list has all of
// them.
const few, fewOf = 100, 8

func (q *questions) few() int { return max(few, len(q.live)/fewOf) }

// of takes down what a round of the scope asks about to begin with.
func (q *questions) of(scope Scope, concerns []Concern) {
	switch {
	case scope == Everything:
		q.certain = q.live
		return
	case scope == Cover:
		q.choose(q.ledger.Due(time.Now(), q.plan()))
	}
	var objects []string
	for _, concern := range concerns {
		if concern.Object != "" {
			objects = append(objects, concern.Object)
			continue
		}
		q.admission.Forget(concern.Namespace)
		for key := range q.live {
			if key.Namespace() == concern.Namespace {
				q.choose([]inventory.Key{key})
			}
		}
	}
	if len(objects) > 0 {
		before := q.admission
		q.Auditor.admission = &audit.Admission{}
		q.concerned = func(ctx context.Context, r inventory.Revision) bool {
			return before.Passes(ctx, q.client, r, objects) || q.admission.Passes(ctx, q.client, r, objects)
		}
	}
}

// plan is how the cover and the sweep share a round.
func (q *questions) plan() cover.Plan {
	return cover.Plan{
		Rounds: int(q.sweep.Full / max(1, q.sweep.Interval)), Sweep: q.sweep.Full,
		Budget: q.rate.in(q.sweep.Interval),
	}
}

// choose adds revisions to those that are asked about.
func (q *questions) choose(keys []inventory.Key) {
	for _, key := range keys {
		if group, has := q.live[key]; has {
			q.certain[key] = group
		}
	}
}

// ask asks, and further as answers move, until nothing is left or the round's time is
// over. It returns how many revisions it asked about.
func (q *questions) ask(ctx context.Context) (asked int, err error) {
	q.ledger.Begin()
	caughtUp := map[inventory.Key]bool{}
	for len(q.certain) > 0 || q.concerned != nil {
		begin, before := time.Now(), q.audit.Judged()
		if err := q.run(ctx); err != nil {
			return asked, err
		}
		n := q.audit.Judged() - before
		asked += n
		q.rate.add(n, time.Since(begin))
		q.certain, q.concerned = map[inventory.Key]inventory.Group{}, nil
		q.choose(q.ledger.Next(q.limit()))
		q.choose(q.behind(caughtUp))
	}
	return asked, nil
}

// run asks about those who are certain, and where these are many about all who turn out
// to be suspect as the answers come: their owners are read by lists then.
func (q *questions) run(ctx context.Context) error {
	ask := q.certain
	many := len(ask) > q.few()
	if q.concerned != nil || many && len(ask) < len(q.live) && q.ledger.Inquiring() {
		ask, many = q.live, true
		q.wanted = q.suspects()
	}
	q.listed = q.listed || many
	q.audit.Expect(len(q.certain))
	q.takesOver, q.shapeOf = !q.ledger.Inquiring(), map[inventory.Key]shape{}
	q.featuresOfShape = map[inventory.Key][]cover.Feature{}
	pods := q.pods.Of(inList(ask), !many)
	err := q.audit.Run(ctx, pods)
	q.wanted = nil
	for _, key := range pods.Disowned {
		q.pods.Disown(key)
		delete(q.findings, key)
	}
	return err
}

// Wanted reports whether a revision is asked about.
func (q *questions) Wanted(ctx context.Context, r inventory.Revision) bool {
	return q.wanted == nil || q.wanted(ctx, r)
}

// Known returns the answer that is known of another one of a newcomer's shape.
func (q *questions) Known(r inventory.Revision, f audit.Finding) (_ audit.Finding, known bool) {
	if !q.takesOver {
		return f, false
	}
	shape := shapeOf(r, f.Submitted)
	q.answers.Lock()
	defer q.answers.Unlock()
	q.shapeOf[r.Key], q.featuresOfShape[r.Key] = shape, q.shapes[shape].features
	return q.shaped(r, shape, f)
}

// Found takes a finding down.
func (q *questions) Found(ctx context.Context, r inventory.Revision, f audit.Finding) {
	var features []cover.Feature
	if f.TakenOver.IsZero() {
		features = q.featuresOf(ctx, r, f)
	}
	f.Scope = q.audit.ScopeOf(ctx, r, f.Submitted)
	q.answers.Lock()
	defer q.answers.Unlock()
	if !f.TakenOver.IsZero() {
		features = q.featuresOfShape[r.Key]
	}
	q.take(r, f, features, q.shapeOf[r.Key])
}

// suspects reports whether a revision is asked about whose owner was read with all others.
func (q *questions) suspects() func(context.Context, inventory.Revision) bool {
	certain, concerned := q.certain, q.concerned
	return func(ctx context.Context, r inventory.Revision) bool {
		if _, is := certain[r.Key]; is || concerned != nil && concerned(ctx, r) {
			return true
		}
		q.answers.Lock()
		defer q.answers.Unlock()
		return time.Since(q.begin) < q.sweep.Interval && q.ledger.Suspect(r.Key)
	}
}

// limit is how many may still be asked about in the round's time.
func (q *questions) limit() int {
	left := len(q.live)
	if rest := q.sweep.Interval - time.Since(q.begin); rest <= 0 {
		left = 0
	} else if q.rate.known() {
		left = q.rate.in(rest)
	}
	if q.listed {
		left = min(left, q.few())
	}
	return left
}

func inList(ask map[inventory.Key]inventory.Group) []inventory.Group {
	list := make([]inventory.Group, 0, len(ask))
	for _, group := range ask {
		list = append(list, group)
	}
	return list
}

// newcomers are those of which nothing is known.
func (a *Auditor) newcomers(of map[inventory.Key]inventory.Group) map[inventory.Key]bool {
	keys := map[inventory.Key]bool{}
	for key := range of {
		if _, known := a.findings[key]; !known {
			keys[key] = true
		}
	}
	return keys
}

// rate is how many revisions can be asked about in a second, as far as is known.
type rate struct{ each time.Duration }

// measured is how many must be asked about for a rate to be believed.
const measured = 8

// add takes down that so many took so long; later ones count for more.
func (r *rate) add(n int, took time.Duration) {
	if n < measured {
		return
	}
	each := max(1, took/time.Duration(n))
	if r.each == 0 {
		r.each = each
	}
	r.each = (3*r.each + each) / 4
}

func (r *rate) known() bool { return r.each > 0 }

// in is how many can be asked about in a time, 1 at least; 0: that is not known.
func (r *rate) in(time time.Duration) int {
	if r.each == 0 {
		return 0
	}
	return int(max(1, time/r.each))
}
