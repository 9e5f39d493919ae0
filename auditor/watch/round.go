package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/apiserver"
	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/cover"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/newborn"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// known is a finding, the Pods that it is about, and what was answered before.
type known struct {
	audit.Finding
	about []inventory.Pod
	past  past
}

// past is what is remembered of a revision's answers for as long as it has Pods.
type past struct {
	since  int64            // when answers began to be the last one, as far as is known; as Pod.Created
	last   verdict.Digest   // the last one that could be judged
	former []verdict.Digest // those before it
}

// isAbout reports whether the finding is about these very Pods. A slice of an
// inventory that was handed out does not change.
func (k known) isAbout(pods []inventory.Pod) bool {
	return len(k.about) == len(pods) && &k.about[0] == &pods[0]
}

// disproved reports whether a Pod was created since of which the finding says that
// none could be, or of which nothing could be asked.
func (k known) disproved(born []inventory.Pod) bool { return k.Refusal != nil && len(born) > 0 }

func (a *Auditor) round(ctx context.Context, scope Scope, concerns []Concern) (Round, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	client, err := apiserver.ConnectPatiently(a.cfg, a.limiter, giveUp)
	if err != nil {
		return Round{}, err
	}
	if err := a.pods.Wait(ctx); err != nil {
		return Round{}, err
	}
	groups, notJudged := a.pods.Groups()
	live := make(map[inventory.Key]inventory.Group, len(groups))
	for _, g := range groups {
		live[g.Key] = g
	}
	a.forget(live)
	q := &questions{Auditor: a, client: client, live: live, begin: time.Now(), certain: a.unknown(live)}
	q.newcomers = a.newcomers(q.certain)
	if scope == Everything || time.Since(a.read) >= a.sweep.Full {
		a.admission, a.as, a.read = &audit.Admission{}, nil, time.Now()
		a.opts.Restless.Age()
	}
	if a.as == nil {
		if a.as, err = injection.NewIdentities(client, a.cfg, a.opts.DryRunAs, a.opts.Fenced); err != nil {
			return Round{}, err
		}
	}
	q.of(scope, concerns)
	opts := a.opts
	if scope != Everything {
		opts.Progress = nil
	}
	q.audit = audit.New(client, opts, a.as, injection.NewHealth(client, a.cfg))
	q.audit.Admission, q.audit.Observer, q.take = a.admission, q, a.take(live, notJudged)
	asked, err := q.ask(ctx)
	if err != nil {
		return Round{}, err
	}
	a.first.ended = true
	learned := a.ledger.End(time.Now())
	if err := q.audit.Refused(); err != nil {
		return Round{}, err
	}
	outages := q.audit.Outages(ctx)
	if len(outages) > 0 {
		a.lessons.Outage()
	}
	r := a.result(q.audit, notJudged, asked)
	r.Learned = learned
	audit.SayOutages(r.Report, outages)
	if stale := r.Report.Stale(); stale > 0 {
		r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("Workloads that could not be asked about, and are shown as they were last known: %d", stale))
	}
	return r, nil
}

// forget drops what is known of revisions that have no Pods any more.
func (a *Auditor) forget(live map[inventory.Key]inventory.Group) {
	has := func(k inventory.Key) bool { _, has := live[k]; return has }
	a.ledger.Keep(has)
	a.shapes.forget(a.sweep.Full)
	for k := range a.findings {
		if !has(k) {
			delete(a.findings, k)
		}
	}
	if a.lessons.Empty() {
		return
	}
	scopes := make(map[newborn.Scope]bool, len(a.findings))
	for _, known := range a.findings {
		scopes[known.Scope] = true
	}
	a.lessons.Keep(func(s newborn.Scope) bool { return scopes[s] })
}

// unknown returns the revisions that must be asked about to tell how their Pods
// are, and recounts the Pods of the others.
func (a *Auditor) unknown(live map[inventory.Key]inventory.Group) map[inventory.Key]inventory.Group {
	ask := map[inventory.Key]inventory.Group{}
	for key, group := range live {
		last, has := a.findings[key]
		if has && last.isAbout(group.Pods) && !last.Behind(a.opts.Restless) {
			continue
		}
		born := last.newborn(group.Pods)
		if has {
			a.contradict(last, born)
		}
		if has && !last.disproved(born) && !last.newlyDrifting(born) && !last.Behind(a.opts.Restless) {
			if again, judged := last.Recount(a.opts.OfSidecars(group.Pods, last.Named)); judged {
				a.findings[key] = known{again, group.Pods, last.past}
				continue
			}
		}
		ask[key] = group
	}
	return ask
}

// behind returns the revisions of which more is known by now than when they were judged,
// each once, and adds them to those that it has returned.
func (a *Auditor) behind(before map[inventory.Key]bool) []inventory.Key {
	var keys []inventory.Key
	for key, known := range a.findings {
		if !before[key] && known.Behind(a.opts.Restless) {
			before[key] = true
			keys = append(keys, key)
		}
	}
	return keys
}

// take keeps findings as they come; of what could not be asked, what is known already.
func (a *Auditor) take(live map[inventory.Key]inventory.Group, notJudged int) func(inventory.Revision, audit.Finding, []cover.Feature, shape) {
	return func(r inventory.Revision, f audit.Finding, features []cover.Feature, as shape) {
		last, has := a.findings[r.Key]
		f.Restless = f.Restless || last.Restless
		f.Again = last.Again || last.Behind(a.opts.Restless)
		var remembered past
		pods := live[r.Key].Pods
		if at := f.TakenOver; !at.IsZero() {
			a.ledger.Answered(r.Key, answerOf(f, features), at)
		} else {
			a.ledger.Answered(r.Key, answerOf(f, features), time.Now())
			remembered = a.learn(r, &f, pods)
			a.shapes.keep(as, f, features)
		}
		f.Submitted, f.Answer, f.Differs = nil, jsontree.Node{}, nil
		if has && f.Unasked {
			if again, judged := last.Stale(a.opts, pods, f.Revision.Reason, time.Now()); judged {
				again.Again = f.Again
				f = again
			}
		}
		a.findings[r.Key] = known{f, pods, remembered}
		a.sayWhatIsKnown(notJudged)
	}
}

func (a *Auditor) result(of *audit.Audit, notJudged, asked int) Round {
	findings := make([]audit.Finding, 0, len(a.findings))
	for _, known := range a.findings {
		notJudged += known.Gone
		if known.Revision.Pods > 0 {
			findings = append(findings, a.withLessons(known.Finding))
		}
	}
	found := a.opts.Report(findings, notJudged)
	a.autoscalers = of.AutoscalersOr(a.autoscalers)
	found.DryRunAs, found.Probes = string(a.as.Asked()), of.Probed()
	found.Notes = append(found.Notes, of.Unread(a.pods.Unread())...)
	now, sizes := time.Now(), a.ledger.Sizes()
	return Round{
		Report: found, Asked: asked, Features: sizes.Features, Classes: sizes.Sets, Detection: a.ledger.Detection(now),
		OldestFeature: now.Add(-a.ledger.Age(now)), OldestAnswer: now.Add(-a.ledger.Oldest(now)),
	}
}
