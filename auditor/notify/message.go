package notify

import (
	"slices"
	"time"

	"github.com/sidecar-drift/sidecar-drift/internal/mask"
	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

// Event says what a message is about.
type Event string

// Events. A sink chooses among all but the last.
const (
	DriftFound      Event = "drift.found"
	BlockedFound    Event = "blocked.found"
	InjectorDown    Event = "injector.down"
	RolloutStarted  Event = "rollout.started"
	RolloutFinished Event = "rollout.finished"
	RolloutFailed   Event = "rollout.failed"
	RolloutReverted Event = "rollout.reverted"
	// Suppressed: messages were left out, and none came that could have said so.
	Suppressed Event = "notifications.suppressed"
)

// Events lists what a sink may choose.
func Events() []Event {
	return []Event{DriftFound, BlockedFound, InjectorDown, RolloutStarted, RolloutFinished, RolloutFailed, RolloutReverted}
}

// Bounds of a message, which is made of names that strangers chose.
const (
	mostWorkloads = 20
	mostWebhooks  = 10
	mostSidecars  = 5
	mostChanges   = 5
	longestWord   = 253 // bytes, an object's name in Kubernetes
	longestReason = 300
	longestText   = 3000
)

// Message is what is told: the data of a CloudEvent, and what a template is given.
type Message struct {
	// What happened, such as drift.found.
	Event Event `json:"event"`
	// Name of the cluster, by --cluster-name, or else the UID of its namespace kube-system;
	// empty if neither is known.
	Cluster string `json:"cluster,omitempty"`
	// When it happened.
	Time time.Time `json:"time"`
	// One sentence that says it.
	Summary string `json:"summary"`
	// What the sink's template makes of the message; without one the summary and a line
	// for each workload and webhook that is listed. A template finds it empty.
	Text string `json:"text"`
	// Number of the workloads, and of the namespaces that they are in.
	WorkloadCount  int `json:"workloadCount"`
	NamespaceCount int `json:"namespaceCount"`
	// The workloads, the worst first: 20 of them at most.
	Workloads []Workload `json:"workloads"`
	// The webhooks that do not answer: 10 of them at most.
	Webhooks []Webhook `json:"webhooks"`
	// The changes of the injection that workloads of drift.found differ in, those that most
	// workloads have first: 5 of them at most.
	Changes []Change `json:"changes,omitempty"`
	// Share of the injected Pods that have drifted, in percent, as far as it is known.
	DriftPercent *float64 `json:"driftPercent,omitempty"`
	// Number of messages of each event that this sink did not get since the last one that
	// it got: over its limit, dropped from a full queue, or not delivered.
	Suppressed map[Event]int `json:"suppressed,omitempty"`
}

// Workload of a message.
type Workload struct {
	Namespace string `json:"namespace"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	// State that the last audit gave it.
	State string `json:"state"`
	// Names of the injected containers, live or fresh: 5 of them at most.
	Sidecars []string `json:"sidecars"`
	// How it is rolled out, and what became of it; empty where it is not.
	Strategy string `json:"strategy,omitempty"`
	Result   string `json:"result,omitempty"`
	// Why; empty where there is nothing to say.
	Reason string `json:"reason,omitempty"`
}

// Change of the injection.
type Change struct {
	// As the report has it.
	ID      string `json:"id"`
	Summary string `json:"summary"`
	// How risky it is: cosmetic, tuning, version, behaviour or loss.
	Risk string `json:"risk"`
	// Number of all workloads that differ so.
	Workloads int `json:"workloads"`
	// Whose change it is, as far as that is known by then; empty where nobody looked.
	By string `json:"by,omitempty"`
}

// Webhook that does not answer.
type Webhook struct {
	// CONFIGURATION/WEBHOOK.
	Name string `json:"name"`
	// Why that is believed.
	Reason string `json:"reason"`
}

// More is how many workloads there are besides Workloads.
func (m Message) More() int { return m.WorkloadCount - len(m.Workloads) }

// subject is the one thing that the message is about, if it is one: a workload, a webhook
// or a namespace.
func (m Message) subject() string {
	switch {
	case len(m.Webhooks) == 1:
		return m.Webhooks[0].Name
	case m.WorkloadCount == 1 && len(m.Workloads) == 1:
		w := m.Workloads[0]
		return w.Namespace + "/" + w.Kind + "/" + w.Name
	case m.NamespaceCount == 1 && len(m.Workloads) > 0:
		return m.Workloads[0].Namespace
	}
	return ""
}

// shown is the message with all that strangers wrote made fit by the function.
func (m Message) shown(fit func(string) string) Message {
	m.Cluster, m.Summary = fit(m.Cluster), fit(m.Summary)
	workloads := make([]Workload, len(m.Workloads))
	for i, w := range m.Workloads {
		w.Namespace, w.Kind, w.Name, w.Reason = fit(w.Namespace), fit(w.Kind), fit(w.Name), fit(w.Reason)
		sidecars := make([]string, len(w.Sidecars))
		for j, name := range w.Sidecars {
			sidecars[j] = fit(name)
		}
		w.Sidecars = sidecars
		workloads[i] = w
	}
	webhooks := make([]Webhook, len(m.Webhooks))
	for i, w := range m.Webhooks {
		webhooks[i] = Webhook{fit(w.Name), fit(w.Reason)}
	}
	if len(m.Changes) > 0 {
		m.Changes = slices.Clone(m.Changes)
	}
	for i := range m.Changes {
		m.Changes[i].Summary, m.Changes[i].By = fit(m.Changes[i].Summary), fit(m.Changes[i].By)
	}
	m.Workloads, m.Webhooks = workloads, webhooks
	return m
}

// word is a name on one line, bounded.
func word(text string) string { return printable.Text(printable.CutBytes(text, longestWord)) }

// reason is somebody's sentence on one line, bounded, without what looks like a secret.
func reason(text string) string {
	return printable.Text(printable.CutBytes(mask.Constant().Prose(printable.CutBytes(text, 10*longestReason)), longestReason))
}
