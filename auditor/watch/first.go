package watch

import (
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
)

// firstRound is how far an Auditor is with its first one, which may take long.
type firstRound struct {
	ended bool
	next  time.Time // when to say again what is known
}

// Until a round has ended, what is known so far is said every sayEvery, and takes no more than
// one part of sayShare of the time.
const (
	sayEvery = 5 * time.Second
	sayShare = 20
)

// sayWhatIsKnown tells what the first round has found so far, where it is time.
func (a *Auditor) sayWhatIsKnown(notJudged int) {
	begin := time.Now()
	if a.SoFar == nil || a.first.ended || begin.Before(a.first.next) {
		return
	}
	if !a.first.next.IsZero() { // a first finding alone says nothing
		findings := make([]audit.Finding, 0, len(a.findings))
		for _, known := range a.findings {
			if known.Revision.Pods > 0 {
				findings = append(findings, known.Finding)
			}
		}
		a.SoFar(a.opts.Report(findings, notJudged))
	}
	now := time.Now()
	a.first.next = now.Add(max(sayEvery, sayShare*now.Sub(begin)))
}
