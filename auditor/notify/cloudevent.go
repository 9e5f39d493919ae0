package notify

import (
	"net/url"
	"time"
)

// Type of a CloudEvent.
type Type string

const typePrefix = "io.sidecar-drift."

// Types lists those that there are.
func Types() []Type {
	var types []Type
	for _, event := range append(Events(), Suppressed) {
		types = append(types, typePrefix+Type(event))
	}
	return types
}

// SpecVersion of CloudEvents.
const SpecVersion = "1.0"

// CloudEvent is what a sink of kind webhook gets: a CloudEvent 1.0 in structured mode, of
// media type application/cloudevents+json.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
type CloudEvent struct {
	// Always 1.0.
	SpecVersion string `json:"specversion"`
	// Another one for each message, and the same each time that one is tried.
	ID string `json:"id"`
	// Which auditor: /clusters/CLUSTER/namespaces/NAMESPACE/auditors/NAME; without the
	// cluster where that is not known.
	Source string `json:"source"`
	// What happened.
	Type Type `json:"type"`
	// The one workload, NAMESPACE/KIND/NAME, webhook, CONFIGURATION/WEBHOOK, or namespace
	// that it is about; none where there are several.
	Subject string `json:"subject,omitempty"`
	// When.
	Time time.Time `json:"time"`
	// Always application/json.
	DataContentType string `json:"datacontenttype"`
	// The message.
	Data Message `json:"data"`
}

func (m Message) cloudEvent(id, source string) CloudEvent {
	return CloudEvent{
		SpecVersion: SpecVersion, ID: id, Source: source, Type: typePrefix + Type(m.Event), Subject: m.subject(),
		Time: m.Time, DataContentType: "application/json", Data: m,
	}
}

// Source is the URI of an auditor by the names of its cluster, which may be empty, of its
// namespace, and its own.
func Source(cluster, namespace, name string) string {
	source := "/namespaces/" + url.PathEscape(namespace) + "/auditors/" + url.PathEscape(name)
	if cluster != "" {
		source = "/clusters/" + url.PathEscape(cluster) + source
	}
	return source
}
