package notify

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"
)

// Kind is how a sink is spoken to.
type Kind string

// Kinds of sinks.
const (
	// ToWebhook is an HTTP endpoint that takes CloudEvents.
	ToWebhook Kind = "webhook"
	// ToSlack is Slack's incoming webhooks, and what understands the same.
	ToSlack Kind = "slack"
	// ToShoutrrr is any service that the library shoutrrr knows.
	ToShoutrrr Kind = "shoutrrr"
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{ToWebhook, ToSlack, ToShoutrrr} }

// Defaults of a sink's rate.
const (
	DefaultMaxMessages = 10
	DefaultPeriod      = 10 * time.Minute
)

// Settings of a sink. They are valid where Load of the configuration says so.
type Settings struct {
	// Name, which metrics and logs have.
	Name string
	Kind Kind
	// URL, or where it stands: one of the three is given.
	URL, URLFile, URLEnv string
	// CAFile holds the certificates to trust besides the system's, in PEM; not of
	// ToShoutrrr.
	CAFile string
	// Events that it is told.
	Events []Event
	// Template of the text; empty for none.
	Template string
	// MaxMessages in each Period.
	MaxMessages int
	Period      time.Duration
}

// address reads the URL. No error holds any of it.
func (s Settings) address() (string, error) {
	text := s.URL
	switch {
	case s.URLFile != "":
		content, err := os.ReadFile(s.URLFile)
		if err != nil {
			return "", fmt.Errorf("urlFile: %w", err)
		}
		text = string(content)
	case s.URLEnv != "":
		text = os.Getenv(s.URLEnv)
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return "", errors.New("the URL is empty: see urlFile, urlEnv or url")
	}
	return text, CheckURL(s.Kind, text)
}

// CheckURL is an error, without any of the URL, if a sink of the kind cannot have it.
func CheckURL(kind Kind, text string) error {
	u, err := url.Parse(text)
	if strings.ContainsAny(text, " \t\r\n") {
		err = errors.New("spaces")
	}
	if kind == ToShoutrrr {
		if err != nil || u.Scheme == "" {
			return errors.New("is no URL of a service as shoutrrr has them: see https://shoutrrr.nickfedor.com")
		}
		return checkShoutrrr(u)
	}
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("is no URL that begins with https:// or http:// and has no spaces")
	}
	return nil
}
