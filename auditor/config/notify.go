package config

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sidecar-drift/sidecar-drift/auditor/notify"
)

// Sink is somebody who is told what the auditor finds and does. Its URL is a secret: give
// it by a file or a variable. docs/notifications.md says what each kind gets.
type Sink struct {
	// Name for logs and metrics: lower-case letters, digits and -.
	Name string `json:"name"`
	// What it understands: CloudEvents by HTTP (webhook), what Slack's incoming webhooks
	// do (slack), or a service of the library shoutrrr (shoutrrr).
	Kind notify.Kind `json:"kind"`
	// File that holds the URL, as of a mounted Secret. It is read for each message.
	URLFile string `json:"urlFile,omitempty"`
	// Environment variable that holds the URL.
	URLEnv string `json:"urlEnv,omitempty"`
	// The URL itself, if it is no secret.
	URL string `json:"url,omitempty"`
	// File with certificates, in PEM, to trust besides the system's. Not for shoutrrr.
	CAFile string `json:"caFile,omitempty"`
	// What it is told: all of drift.found, blocked.found, injector.down, rollout.started,
	// rollout.finished, rollout.failed and rollout.reverted, if empty.
	Events []notify.Event `json:"events,omitempty"`
	// Text of a message, by Go's text/template; without one a sentence and a line for
	// each workload.
	Template string `json:"template,omitempty"`
	// Number of messages in each period, at most; 10 if it is left out. What is over that
	// is counted, and the next message says so.
	MaxMessages int `json:"maxMessages,omitempty" schema:"minimum=1"`
	// The period; 10m if it is left out.
	Period metav1.Duration `json:"period,omitzero"`
}

// mostMessages and longestPeriod keep a sink's rate one.
const (
	mostMessages  = 1000
	shortestRate  = time.Second
	longestPeriod = 7 * 24 * time.Hour
)

// Sinks returns those of a valid configuration.
func (c Configuration) Sinks() []notify.Settings {
	var sinks []notify.Settings
	for _, s := range c.Notify {
		sinks = append(sinks, notify.Settings{
			Name: s.Name, Kind: s.Kind, URL: s.URL, URLFile: s.URLFile, URLEnv: s.URLEnv, CAFile: s.CAFile,
			Events: s.Events, Template: s.Template, MaxMessages: s.MaxMessages, Period: s.Period.Duration,
		})
	}
	return sinks
}

// notify checks sinks. No message quotes a value, which may be a URL in the wrong place.
func (p *problems) notify(path string, sinks []Sink) {
	names := map[string]bool{}
	for i, s := range sinks {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case len(validation.IsDNS1123Label(s.Name)) > 0:
			p.add(at+".name", "is no name: give lower-case letters, digits and -, 63 at most")
		case names[s.Name]:
			p.add(at+".name", "is %q, as that of another sink: metrics and logs tell them apart by their names", s.Name)
		}
		names[s.Name] = true
		p.sink(at, s)
	}
}

func (p *problems) sink(at string, s Sink) {
	if !slices.Contains(notify.Kinds(), s.Kind) {
		p.add(at+".kind", "is none that there is: choose from %s", words(notify.Kinds()))
	}
	given := 0
	for _, where := range []string{s.URL, s.URLFile, s.URLEnv} {
		if where != "" {
			given++
		}
	}
	if given != 1 {
		p.add(at, "has %d of urlFile, urlEnv and url: give one", given)
	}
	if s.URL != "" {
		if err := notify.CheckURL(s.Kind, s.URL); err != nil {
			p.add(at+".url", "%v", err) // which holds nothing of it
		}
	}
	if s.URLEnv != "" && len(validation.IsCIdentifier(s.URLEnv)) > 0 {
		p.add(at+".urlEnv", "is not the name of an environment variable")
	}
	if s.CAFile != "" && s.Kind == notify.ToShoutrrr {
		p.add(at+".caFile", "does not go with kind shoutrrr, which trusts what the system does: set SSL_CERT_FILE")
	}
	for i, event := range s.Events {
		if !slices.Contains(notify.Events(), event) {
			p.add(fmt.Sprintf("%s.events[%d]", at, i), "is none that there is: choose from %s", words(notify.Events()))
		}
	}
	if s.Template != "" {
		events := s.Events
		if len(events) == 0 {
			events = notify.Events()
		}
		if _, err := notify.ParseTemplate(s.Template, events); err != nil {
			p.add(at+".template", "fails: %v", err)
		}
	}
	if s.MaxMessages < 0 || s.MaxMessages > mostMessages {
		p.add(at+".maxMessages", "is %d: give 1 to %d, or leave it out", s.MaxMessages, mostMessages)
	}
	if d := s.Period.Duration; d != 0 && (d < shortestRate || d > longestPeriod) {
		p.add(at+".period", "is %s: give %s to %s, or leave it out", d, shortestRate, longestPeriod)
	}
}
