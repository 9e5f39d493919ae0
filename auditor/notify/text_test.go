package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// hostile is what a stranger may have for a kind or a reason.
const hostile = "<!channel> @here & <https://evil.example|click>\x1b[31m\u202e\n*x*"

func hostileMessage() Message {
	it := item("shop", hostile, verdict.Blocked)
	it.Kind, it.Revisions[0].Reason, it.Revisions[0].Sidecars = hostile, hostile, []string{hostile, hostile}
	return Blocked([]report.Item{it}, noon)
}

// slackBody is what an incoming webhook is sent.
type slackBody struct {
	Text   string
	Mrkdwn bool
}

func TestSlack(t *testing.T) {
	s := serve(t, nil)
	plain := Settings{Name: "hook", Kind: ToSlack, URL: s.URL}
	n := start(t, plain)
	body := func() (b slackBody) {
		t.Helper()
		r := s.next(t)
		if err := json.Unmarshal(r.body, &b); err != nil || r.header.Get("Content-Type") != "application/json" {
			t.Fatal(err, r.header)
		}
		return b
	}
	n.Tell(drifted(1))
	if diff := cmp.Diff(slackBody{"[prod] 1 workload in namespace ns-0 drifted\n- ns-0/Deployment/web-0: Drifted", false}, body()); diff != "" {
		t.Error(diff)
	}
	n.Tell(hostileMessage())
	harmless(t, body().Text)
	// What the template's author writes is markup; what a name holds is none.
	templated := plain
	templated.Template = "<!here> *{{.Event}}* {{range .Workloads}}{{.Name}}{{end}}"
	n = start(t, templated)
	n.Tell(hostileMessage())
	got := body()
	text, ok := strings.CutPrefix(got.Text, "<!here> *blocked.found* ")
	if !ok || !got.Mrkdwn {
		t.Errorf("%+v", got)
	}
	harmless(t, text)
}

func harmless(t *testing.T, text string) {
	t.Helper()
	if strings.ContainsAny(text, "<>@") || strings.Contains(text, "& ") {
		t.Errorf("%q is markup, or mentions somebody", text)
	}
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%q holds %U", text, r)
		}
	}
	contains(t, text, "&lt;!channel&gt;", "&amp;", `\x1b`, `\u202e`)
}

func TestStrangersNamesAreBoundedAndPrintable(t *testing.T) {
	var items []report.Item
	for i := range 500 {
		it := item("shop", fmt.Sprint(strings.Repeat("é", 5000), i), verdict.Drifted)
		it.Kind = hostile
		it.Rollout.Reason = strings.Repeat("x ", 5000) + " password=hunter2hunter2"
		for j := range 50 {
			it.Revisions[0].Sidecars = append(it.Revisions[0].Sidecars, fmt.Sprint("s", j))
		}
		items = append(items, it)
	}
	for kind, most := range map[Kind]int{ToWebhook: 40 << 10, ToSlack: 16 << 10} {
		s := serve(t, nil)
		n := start(t, Settings{Name: "hook", Kind: kind, URL: s.URL})
		n.Tell(Drift(items, &report.Report{}, noon))
		r := s.next(t)
		if len(r.body) > most {
			t.Errorf("%s gets %d bytes", kind, len(r.body))
		}
		if kind == ToWebhook {
			conforms(t, r.body)
			contains(t, string(r.body), `"workloadCount":500`, `"summary":"500 workloads in namespace shop drifted"`)
		}
	}
}

func TestTemplates(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"{{.Cluster}} {{.Summary}} {{.Event}} {{.More}}", ""},
		{`{{range .Workloads}}{{.Namespace}} {{.Kind}} {{.Name}} {{.State}} {{join .Sidecars}}{{end}}`, `function "join" not defined`},
		{"{{.Cluster", "unclosed action"},
		{"{{.Nothing}}", "can't evaluate field Nothing"},
		{"{{(index .Workloads 0).Name}}", "for injector.down: template: template:1:3: executing"},
		{"{{range 2000000000}}x{{end}}", ""},
		{`{{define "a"}}x{{template "a"}}{{end}}{{template "a"}}`, ""},
	} {
		_, err := ParseTemplate(tt.text, Events())
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.text, err, tt.want)
		}
	}
	long, err := ParseTemplate(`{{range 5000}}é{{end}}`, Events())
	if err != nil {
		t.Fatal(err)
	}
	if text, err := execute(long, drifted(1)); err != nil || len(text) > longestText+3 || !strings.HasSuffix(text, "é…") {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

// A template that fails for one message does not keep it from being sent.
func TestATemplateFails(t *testing.T) {
	s := serve(t, nil)
	settings := Settings{Name: "hook", Kind: ToSlack, URL: s.URL, Template: `{{if eq .WorkloadCount 2}}{{index .Workloads 7}}{{end}}ok`}
	n := start(t, settings)
	n.Tell(drifted(2))
	contains(t, string(s.next(t).body), "2 workloads in 2 namespaces drifted")
	contains(t, n.logged(), "template failed")
}

func TestRollouts(t *testing.T) {
	plan := &report.Report{}
	done := &report.Report{}
	for name, result := range map[string]report.Result{
		"a": report.RolledOut, "b": report.Failed, "c": report.NotConverging, "d": report.Reverted, "e": report.Skipped, "f": "",
	} {
		it := item("shop", name, verdict.Drifted)
		if it.Rollout.Result = report.Planned; result == "" {
			it.Rollout.Result = report.Skipped // by the plan
		}
		plan.Items = append(plan.Items, it)
		if result != "" {
			it.Rollout.Result, it.Rollout.Reason = result, "as it is"
		}
		done.Items = append(done.Items, it)
	}
	say := func(m Message) string { return string(m.Event) + ": " + m.Summary }
	got := []string{say(Started(plan, noon))}
	for _, m := range Ended(plan, done, nil, noon) {
		got = append(got, say(m))
	}
	for _, m := range Ended(plan, nil, errors.New("no API server"), noon) {
		got = append(got, say(m))
	}
	got = append(got, say(Down([]report.Outage{{Webhook: "a/b"}}, noon)), say(Blocked(plan.Items[:1], noon)))
	want := []string{
		"rollout.started: The rollout of 5 workloads in namespace shop begins",
		"rollout.finished: The rollout of 5 workloads in namespace shop has ended: 1 Failed, 1 NotConverging, 1 Reverted, 1 Skipped, 1 RolledOut",
		"rollout.failed: The rollout of 2 workloads in namespace shop failed",
		"rollout.reverted: The restart of 1 workload in namespace shop was taken back",
		"rollout.failed: The rollout of 5 workloads in namespace shop failed: no API server",
		"injector.down: 1 injector ceased to answer: new Pods may be created without what is injected",
		"blocked.found: 1 workload in namespace shop cannot be re-created: admission refuses their Pods",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if first := Ended(plan, done, nil, noon)[0].Workloads[0]; first.Result != "Failed" || first.Reason != "as it is" {
		t.Errorf("the worst does not come first: %+v", first)
	}
}

// A service of shoutrrr gets the text, in which nobody is mentioned.
func TestShoutrrr(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })
	n := start(t, Settings{Name: "hook", Kind: ToShoutrrr, URL: "ntfy://" + strings.TrimPrefix(s.URL, "http://") + "/topic?scheme=http"})
	n.Tell(hostileMessage())
	r := s.next(t)
	if text := string(r.body); r.path != "/topic" || strings.Contains(text, "@") || !strings.Contains(text, "1 workload in namespace shop cannot be re-created") {
		t.Errorf("%s: %s", r.path, text)
	}
	n.becomes(t, 1, "hook sent")
}

// What the documentation shows is so.
func TestTheDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/notifications.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "template: |\n")
	text, _, found := strings.Cut(text, "```")
	if _, err := ParseTemplate(strings.ReplaceAll(text, "\n  ", "\n"), Events()); err != nil || !found {
		t.Error(err)
	}
	_, body, _ := strings.Cut(string(page), "```json\n")
	body, _, _ = strings.Cut(body, "```")
	conforms(t, []byte(body))
	for _, event := range Events() {
		contains(t, string(page), "| `"+string(event)+"` |")
	}
}
