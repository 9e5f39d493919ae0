// Package notify tells people and programs what an auditor as a daemon finds and does:
// drift, workloads that cannot be re-created, injectors that do not answer, and what
// becomes of automatic rollouts.
//
// A [Message] is made of reports, and is pure. A [Notifier] brings it to sinks: an HTTP
// endpoint that takes CloudEvents, a Slack-compatible incoming webhook, or whatever
// shoutrrr reaches. Whoever tells never waits: each sink has a bounded queue and a
// goroutine of its own, keeps to its rate, and tries again after what may pass.
//
// Two things are true everywhere here. The address of a sink is a secret: it is read
// when it is needed, and stands in no error. And names and reasons are strangers' text:
// none reaches a sink that could turn a terminal, mention a channel, or is without end.
package notify
