package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// CandidateWebhook says who answered in the place of a webhook.
type CandidateWebhook struct {
	// Webhook is CONFIGURATION/WEBHOOK.
	Webhook string `json:"webhook"`
	// Candidate is where the other one was reached, as it was given.
	Candidate string `json:"candidate"`
}

// Candidate is what a candidate changes in the Pods that admission makes of a revision today,
// whatever its live Pods are like.
type Candidate struct {
	// State is that of today's fresh Pod beside the candidate's. Blocked: the candidate's is
	// refused, and today's is not. Unknown: nothing can be said of the candidate.
	State       verdict.State    `json:"state"`
	Changes     []verdict.Change `json:"changes"`
	MoreChanges int              `json:"moreChanges,omitempty"`
	// Reason says why there is nothing to compare.
	Reason string `json:"reason,omitempty"`
	// Sidecars and Loses are as a [Revision]'s.
	Sidecars []string `json:"-"`
	Loses    []string `json:"-"`
}

// OfCandidate returns the report of what the candidate changes: of each revision today's
// fresh Pod beside the candidate's, in the place of its live Pods. Revisions of which the
// candidate was not asked are as they are.
func (r *Report) OfCandidate() *Report {
	items := slices.Clone(r.Items)
	for i := range items {
		item := &items[i]
		item.Revisions = slices.Clone(item.Revisions)
		item.Pods = map[verdict.State]int{}
		for j := range item.Revisions {
			item.Revisions[j] = item.Revisions[j].ofCandidate()
			item.Pods[item.Revisions[j].State] += item.Revisions[j].Pods
		}
		item.State = verdict.WorstOf(item.Pods)
	}
	of := *r
	of.Items, of.Changes, of.grouped = items, nil, nil
	of.Summary = summarise(items, r.Summary.NotJudged)
	slices.SortStableFunc(of.Items, worstFirst)
	of.Group()
	return &of
}

func (r Revision) ofCandidate() Revision {
	c := r.Candidate
	if c == nil {
		return r
	}
	r.State, r.Changes, r.MoreChanges, r.Reason = c.State, orEmpty(c.Changes), c.MoreChanges, c.Reason
	r.Sidecars, r.Loses = orEmpty(c.Sidecars), orEmpty(c.Loses)
	r.AppImages, r.Autoscaled, r.Metadata, r.Biased, r.Undecided, r.Varies = nil, nil, nil, nil, nil, nil
	r.Members = nil
	return r
}

// Foresee puts into the report's preview how much of the cluster could be previewed, and what
// the candidate changes.
func (r *Report) Foresee() {
	of := r.OfCandidate()
	p := r.Preview
	p.Workloads, p.Previewed = len(r.Items), 0
	for _, item := range r.Items {
		if item.State != verdict.Unknown {
			p.Previewed++
		}
	}
	p.States, p.Changes = of.Summary.Workloads, of.Changes
}

// foreseen reports whether the report is about a candidate.
func (r *Report) foreseen() bool { return r.Preview != nil && r.Preview.ofCandidate() }

// ofCandidate reports whether it is about webhooks or policies that are not there yet.
func (p *Preview) ofCandidate() bool { return len(p.Webhooks)+len(p.Policies) > 0 }

// Today is what of a change is drift of today: empty, where that is nothing.
type Today string

// What there is besides nothing.
const (
	TodayAll  Today = "all"
	TodayPart Today = "part"
)

// markToday finds the changes that the candidate does not make, or not alone.
func (r *Report) markToday() {
	if !r.foreseen() {
		return
	}
	ofCandidate, ofToday := map[string]bool{}, map[string]bool{}
	for _, item := range r.Items {
		for _, revision := range item.Revisions {
			for _, c := range revision.Changes {
				if revision.Candidate.makes(c) {
					ofCandidate[c.ID] = true
				} else {
					ofToday[c.ID] = true
				}
			}
		}
	}
	for i := range r.Changes {
		switch id := r.Changes[i].ID; {
		case !ofCandidate[id]:
			r.Changes[i].Today = TodayAll
		case ofToday[id]:
			r.Changes[i].Today = TodayPart
		}
	}
}

// makes reports whether the candidate changes anything at a place. Of what it was not asked,
// it is taken to.
func (c *Candidate) makes(change verdict.Change) bool {
	return c == nil || slices.ContainsFunc(c.Changes, func(own verdict.Change) bool { return own.Part == change.Part && own.Path == change.Path })
}

// sayToday are the report's changes, with what is none of the candidate's called so.
func (r *Report) sayToday() []ChangeSummary {
	if !r.foreseen() {
		return r.Changes
	}
	said := slices.Clone(r.Changes)
	for i, c := range said {
		switch c.Today {
		case TodayAll:
			said[i].Summary += " (drift of today)"
		case TodayPart:
			said[i].Summary += " (in part drift of today)"
		}
	}
	return said
}

// mostPolicies is how many are named in a line.
const mostPolicies = 5

// candidates says who answered for what: a line's worth.
func (p *Preview) candidates() string {
	type group struct{ configuration, candidate string }
	var groups []group
	webhooks := map[group][]string{}
	for _, w := range p.Webhooks {
		configuration, _, _ := strings.Cut(w.Webhook, "/")
		g := group{configuration, w.Candidate}
		if webhooks[g] == nil {
			groups = append(groups, g)
		}
		webhooks[g] = append(webhooks[g], w.Webhook)
	}
	if n := len(p.Policies); n > mostPolicies {
		return fmt.Sprintf("%s (+%d more)", strings.Join(p.Policies[:mostPolicies], ", "), n-mostPolicies)
	} else if n > 0 {
		return strings.Join(p.Policies, ", ")
	}
	texts := make([]string, len(groups))
	for i, g := range groups {
		name := webhooks[g][0]
		if n := len(webhooks[g]); n > 1 {
			name = fmt.Sprintf("%s (%d webhooks)", g.configuration, n)
		}
		texts[i] = g.candidate + " for " + name
	}
	return strings.Join(texts, ", ")
}

// foreseenText says how much could be previewed and what the candidate changes.
func (r *Report) foreseenText() string {
	if !r.foreseen() {
		return ""
	}
	p := r.Preview
	text := fmt.Sprintf("Previewed: %d of %s", p.Previewed, count(p.Workloads, "workload"))
	if p.Workloads > 0 {
		text += fmt.Sprintf(" (%.1f %%)", 100*float64(p.Previewed)/float64(p.Workloads))
	}
	blocked := p.States[verdict.Blocked]
	var worst change.Risk
	for _, c := range p.Changes {
		if worst == "" || c.Risk.Exceeds(worst) {
			worst = c.Risk
		}
	}
	switch changed := p.changed(); {
	case changed == 0 && blocked == 0:
		text += ". The candidate changes nothing that is injected."
		if n := p.States[verdict.Mutated]; n > 0 {
			text += fmt.Sprintf(" It changes something else in the Pods of %s (Mutated).", count(n, "workload"))
		}
	case changed == 0:
		text += fmt.Sprintf(". With the candidate, the Pods of %s would be refused.", count(blocked, "workload"))
	default:
		text += fmt.Sprintf(". The candidate changes %s in %s, at worst %s", count(changed, "workload"), count(len(p.Changes), "change"), worst)
		if blocked > 0 {
			text += fmt.Sprintf(", and the Pods of %d more would be refused", blocked)
		}
		text += "."
	}
	return text
}

// changed is how many workloads the candidate changes.
func (p *Preview) changed() int {
	n := 0
	for state, workloads := range p.States {
		if state.Drift() {
			n += workloads
		}
	}
	return n
}

func (r *Report) markdownTitle() string {
	of := ""
	if name := r.identity().Name; name != "" {
		of = " in " + markdownField(name)
	}
	if !r.foreseen() {
		return "Sidecar drift" + of + ": " + r.driftText()
	}
	title := "Preview" + of + ": " + count(r.Preview.changed(), "workload") + " would change"
	if blocked := r.Preview.States[verdict.Blocked]; blocked > 0 {
		title += fmt.Sprintf(", %d would be refused", blocked)
	}
	return title
}

// foreseenMarkdown is a table of what the candidate changes, whatever live Pods are like, and
// the title of what follows.
func (r *Report) foreseenMarkdown() string {
	if !r.foreseen() {
		return ""
	}
	var b strings.Builder
	b.WriteString("#### What the candidate changes\n\n")
	if len(r.Preview.Changes) == 0 {
		b.WriteString("Nothing that is injected.")
		if n := r.Preview.States[verdict.Mutated]; n > 0 {
			fmt.Fprintf(&b, " Something else in the Pods of %s.", count(n, "workload"))
		}
		b.WriteString("\n\n")
	} else {
		b.WriteString("| Change | Workloads | Pods | Namespaces | Risk | Why | ID |\n|---|---:|---:|---:|---|---|---|\n")
	}
	for i, c := range r.Preview.Changes {
		if i == mostTold {
			fmt.Fprintf(&b, "\nand %s\n", count(len(r.Preview.Changes)-i, "more change"))
			break
		}
		risk := string(c.Risk)
		if c.Risk == change.Behaviour || c.Risk == change.Loss {
			risk = "**" + risk + "**"
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %s | %s | `%s` |\n", markdownField(c.Summary), c.Workloads, c.Pods, c.Namespaces, risk, markdownField(c.RiskReason), c.ID)
	}
	b.WriteString("\n#### What a rollout would change then\n\n")
	return b.String()
}
