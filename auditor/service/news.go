package service

import (
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/notify"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// known is what people were told of besides drift, and what still is so. What has ceased is
// told again when it begins again.
type known struct {
	blocked ages
	down    []string // webhooks, CONFIGURATION/WEBHOOK
}

// mostDown is how many webhooks are remembered.
const mostDown = 100

// news is what a round found and none before it.
type news struct {
	drifted, blocked []report.Item
	down             []report.Outage
}

// update is what is known after a round, and what of that is new. drifting is what is known
// to drift.
func (k known) update(found *report.Report, drifting ages, now time.Time) (known, news) {
	next := known{blocked: k.blocked.of(found, now, isBlocked), down: []string{}}
	var fresh news
	for _, item := range found.Items {
		ref := refOf(item)
		_, drifts := drifting[ref]
		_, blocked := k.blocked[ref]
		switch {
		case !kept(ref):
		case item.State.Drift() && !drifts:
			fresh.drifted = append(fresh.drifted, item)
		case isBlocked(item.State) && !blocked:
			fresh.blocked = append(fresh.blocked, item)
		}
	}
	for _, outage := range found.Outages[:min(len(found.Outages), mostDown)] {
		if next.down = append(next.down, outage.Webhook); !slices.Contains(k.down, outage.Webhook) {
			fresh.down = append(fresh.down, outage)
		}
	}
	return next, fresh
}

func isBlocked(state verdict.State) bool { return state == verdict.Blocked }

// messages are those that tell it: one of each kind for all of a round.
func (n news) messages(found *report.Report, now time.Time) []notify.Message {
	var messages []notify.Message
	if len(n.drifted) > 0 {
		messages = append(messages, notify.Drift(n.drifted, found, now))
	}
	if len(n.blocked) > 0 {
		messages = append(messages, notify.Blocked(n.blocked, now))
	}
	if len(n.down) > 0 {
		messages = append(messages, notify.Down(n.down, now))
	}
	return messages
}
