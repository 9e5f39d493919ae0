package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/notify"
)

func TestSinksAreChecked(t *testing.T) {
	for _, tt := range []struct {
		sink config.Sink
		want string
	}{
		{config.Sink{Name: "a", Kind: "webhook", URLFile: "/a"}, ""},
		{config.Sink{Name: "a", Kind: "slack", URLEnv: "URL", Events: notify.Events(), MaxMessages: 1, Period: metav1.Duration{Duration: time.Second}}, ""},
		{config.Sink{Name: "a", Kind: "shoutrrr", URL: "ntfy://ntfy.sh/topic"}, ""},
		{config.Sink{Name: "a", Kind: "webhook", URL: "http://bridge:8080", CAFile: "/ca", Template: "{{.Summary}}"}, ""},
		{config.Sink{Name: "A b", Kind: "mail", URLFile: "/a"}, `notify[0].name: is no name: give lower-case letters, digits and -, 63 at most
notify[0].kind: is none that there is: choose from webhook, slack, shoutrrr`},
		{config.Sink{Name: "a", Kind: "webhook"}, "notify[0]: has 0 of urlFile, urlEnv and url: give one"},
		{config.Sink{Name: "a", Kind: "webhook", URLEnv: "A B", URLFile: "/a"}, `notify[0]: has 2 of urlFile, urlEnv and url: give one
notify[0].urlEnv: is not the name of an environment variable`},
		{config.Sink{Name: "a", Kind: "slack", URL: "hooks.slack.com/T0KEN"}, "notify[0].url: is no URL that begins with https:// or http:// and has no spaces"},
		{config.Sink{Name: "a", Kind: "shoutrrr", URL: "slack://T0KEN", CAFile: "/ca"}, `notify[0].url: is one of shoutrrr's slack: give its own URL, and the kind slack
notify[0].caFile: does not go with kind shoutrrr, which trusts what the system does: set SSL_CERT_FILE`},
		{
			config.Sink{Name: "a", Kind: "webhook", URLFile: "/a", Events: []notify.Event{"drift", notify.Suppressed}, MaxMessages: -1, Period: metav1.Duration{Duration: -1}},
			`notify[0].events[0]: is none that there is: choose from drift.found, blocked.found, injector.down, rollout.started, rollout.finished, rollout.failed, rollout.reverted
notify[0].events[1]: is none that there is: choose from drift.found, blocked.found, injector.down, rollout.started, rollout.finished, rollout.failed, rollout.reverted
notify[0].maxMessages: is -1: give 1 to 1000, or leave it out
notify[0].period: is -1ns: give 1s to 168h0m0s, or leave it out`,
		},
		{
			config.Sink{Name: "a", Kind: "webhook", URLFile: "/a", Template: "{{.Nothing}}"},
			`notify[0].template: fails: for drift.found: template: template:1:2: executing "template" at <.Nothing>: can't evaluate field Nothing in type notify.Message`,
		},
	} {
		c := config.Default()
		c.Notify = []config.Sink{tt.sink}
		var got string
		if problems := c.Validate(); len(problems) > 0 {
			for i, p := range problems {
				if i > 0 {
					got += "\n"
				}
				got += p.String()
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%+v:\n%s", tt.sink, diff)
		}
	}
	c := config.Default()
	twice := config.Sink{Name: "a", Kind: "webhook", URLFile: "/a"}
	c.Notify = []config.Sink{twice, twice}
	if problems := c.Validate(); len(problems) != 1 || problems[0].Path != "notify[1].name" {
		t.Errorf("two sinks of one name: %v", problems)
	}
}

// No rate that is allowed makes a sink without one.
func TestEachRateIsOne(t *testing.T) {
	for _, n := range []int{1, 1000} {
		for _, period := range []time.Duration{time.Second, 7 * 24 * time.Hour} {
			c := config.Default()
			c.Notify = []config.Sink{{Name: "a", Kind: "webhook", URLFile: "/a", MaxMessages: n, Period: metav1.Duration{Duration: period}}}
			if problems := c.Validate(); len(problems) > 0 {
				t.Error(problems)
			}
			told := notify.New(notify.Options{Count: func(string, string) {}})
			told.Configure(c.Sinks())
			told.Close()
		}
	}
}
