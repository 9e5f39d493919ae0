package change_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
)

// A secret that changes beside something harmless is a place of its own: it counts for the
// risk and for the ID, and only its value is left out.
func TestSecretsArePlaces(t *testing.T) {
	for name, test := range map[string]struct {
		path     string
		from, to string // with %s for the secret
		risk     change.Risk
		summary  string
	}{
		"a flag": {"args", `["proxy","--log-level=warning","--token=%s"]`, `["proxy","--log-level=debug","--token=%s"]`,
			change.Behaviour, "p args[--log-level] warning → debug, args[--token] changed"},
		"a flag's next word": {"args", `["proxy","--log-level","warning","--password","%s"]`, `["proxy","--log-level","debug","--password","%s"]`,
			change.Behaviour, "p args[--log-level] warning → debug, args[--password] changed"},
		"an API key": {"args", `["proxy","--log-level=warning","--api-key=%s"]`, `["proxy","--log-level=debug","--api-key=%s"]`,
			change.Behaviour, "p args[--api-key] changed, args[--log-level] warning → debug"},
		"a password in a URL": {"args", `["proxy","--log-level=warning","--xds=https://u:%s@a.example/x"]`, `["proxy","--log-level=debug","--xds=https://u:%s@a.example/x"]`,
			change.Behaviour, "p args[--log-level] warning → debug, args[--xds] changed"},
		"JSON in a variable": {"env[CONFIG].value", `"{\"concurrency\":1,\"apiToken\":\"%s\"}"`, `"{\"concurrency\":2,\"apiToken\":\"%s\"}"`,
			change.Behaviour, "p env[CONFIG].value → apiToken changed, env[CONFIG].value → concurrency 1 → 2"},
		"a URL in JSON": {"env[CONFIG].value", `"{\"log\":{\"level\":1},\"db\":\"postgres://u:%s@db/x\"}"`, `"{\"log\":{\"level\":2},\"db\":\"postgres://u:%s@db/x\"}"`,
			change.Behaviour, "p env[CONFIG].value → db changed, env[CONFIG].value → log.level 1 → 2"},
	} {
		t.Run(name, func(t *testing.T) {
			of := func(was, is string) change.Change {
				g := change.Group([]change.Workload{workload("a", "web", differs("container/p", test.path, fmt.Sprintf(test.from, was), fmt.Sprintf(test.to, is)))})
				if len(g.Changes) != 1 {
					t.Fatalf("%d changes", len(g.Changes))
				}
				return g.Changes[0]
			}
			changed, kept := of("hunter2-a4x8", "hunter3-b5y9"), of("hunter2-a4x8", "hunter2-a4x8")
			if changed.ID == kept.ID {
				t.Errorf("%s whether the secret changes or not", kept.ID)
			}
			if other := of("hunter4-c6z1", "hunter5-d7q2"); other.ID != changed.ID {
				t.Errorf("%s of one secret, %s of another one", changed.ID, other.ID)
			}
			if changed.Risk != test.risk || changed.Summary() != test.summary {
				t.Errorf("%s: %q, want %s: %q", changed.Risk, changed.Summary(), test.risk, test.summary)
			}
			text := ""
			for _, p := range changed.Places {
				text += fmt.Sprintf("%s %s %s\n", p.Place(), p.From, p.To)
			}
			if strings.Contains(text, "hunter") || strings.Count(text, "***masked***") != 2 {
				t.Errorf("places: %s", text)
			}
		})
	}
}

// A value that becomes the workload's own name is a place, too.
func TestNamesThatComeArePlaces(t *testing.T) {
	args := func(mode string) change.Workload {
		return workload("a", "other", differs("container/p", "args", `["proxy","--log-level=a","--mode=other"]`, `["proxy","--log-level=b","--mode=`+mode+`"]`))
	}
	if risk, reason := change.Assess(args("{name}")); risk != change.Behaviour {
		t.Errorf("%s: %s", risk, reason)
	}
	if risk, reason := change.Assess(args("other")); risk != change.Tuning {
		t.Errorf("%s: %s", risk, reason)
	}
}
