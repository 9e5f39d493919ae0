package notify

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

// ParseTemplate reads a template of a message's text, Go's text/template over a [Message],
// and executes it once for each event that it may be given.
func ParseTemplate(text string, events []Event) (*template.Template, error) {
	t, err := template.New("template").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}
	for _, event := range append(slices.Clone(events), Suppressed) {
		if _, err := execute(t, Sample(event)); err != nil {
			return nil, fmt.Errorf("for %s: %w", event, err)
		}
	}
	return t, nil
}

// Sample is a message of an event as it may come: about workloads, or webhooks, or neither.
func Sample(event Event) Message {
	m := about(event, nil, time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC))
	m.Cluster, m.Summary = "example", "A sample"
	switch event {
	case Suppressed:
		m.Suppressed = map[Event]int{DriftFound: 2}
	case InjectorDown:
		m.Webhooks = []Webhook{{"example/sidecars.example.com", "its Service has no ready endpoint"}}
	default:
		m.Workloads = []Workload{{Namespace: "shop", Kind: "Deployment", Name: "web", State: "Drifted", Sidecars: []string{"proxy"}}}
		m.WorkloadCount, m.NamespaceCount = 1, 1
	}
	return m
}

// errFull ends a template that says more than a message may.
var errFull = errors.New("the text is full")

// bounded keeps the beginning of what is written.
type bounded struct{ strings.Builder }

func (b *bounded) Write(p []byte) (int, error) {
	if room := longestText - b.Len(); len(p) > room {
		b.Builder.Write(p[:room])
		return room, errFull
	}
	return b.Builder.Write(p)
}

// execute returns what a template says, cut where that is too long.
func execute(t *template.Template, m Message) (string, error) {
	var out bounded
	err := t.Execute(&out, m)
	if errors.Is(err, errFull) {
		return strings.ToValidUTF8(out.String(), "") + "…", nil
	}
	return strings.ToValidUTF8(out.String(), "\ufffd"), err
}

// plain is the text of a message where there is no template.
func plain(m Message) string {
	var b strings.Builder
	if m.Cluster != "" {
		fmt.Fprintf(&b, "[%s] ", m.Cluster)
	}
	b.WriteString(m.Summary)
	for _, c := range m.Changes {
		fmt.Fprintf(&b, "\n* %s: %s, %s", c.ID, c.Summary, c.Risk)
		if c.By != "" {
			fmt.Fprintf(&b, " (%s)", c.By)
		}
	}
	for _, w := range m.Workloads {
		fmt.Fprintf(&b, "\n- %s/%s/%s: %s", w.Namespace, w.Kind, w.Name, w.State)
		if w.Result != "" && m.Event != RolloutStarted {
			fmt.Fprintf(&b, ", %s", w.Result)
		}
		if w.Reason != "" {
			fmt.Fprintf(&b, " (%s)", w.Reason)
		}
	}
	if m.More() > 0 {
		fmt.Fprintf(&b, "\n… and %d more", m.More())
	}
	for _, w := range m.Webhooks {
		fmt.Fprintf(&b, "\n- %s: %s", w.Name, w.Reason)
	}
	if len(m.Suppressed) > 0 {
		b.WriteString("\nNot told before: ")
		for i, event := range slices.Sorted(maps.Keys(m.Suppressed)) {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%s %d", event, m.Suppressed[event])
		}
	}
	return printable.CutBytes(b.String(), longestText)
}

// text is what a sink says of a message, and whether its template failed.
func (s *sink) text(m Message) (string, error) {
	if s.template == nil {
		return plain(m), nil
	}
	text, err := execute(s.template, m)
	if err != nil {
		return plain(m), err
	}
	return text, nil
}

// unmentioning keeps text from mentioning a channel or a person where chats look for @.
var unmentioning = strings.NewReplacer("@", "＠")

// inSlack keeps text from being markup: https://docs.slack.dev/messaging/formatting-message-text#escaping
var inSlack = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "＠")
