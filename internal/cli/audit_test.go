package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// kubeconfig points KUBECONFIG at an API server that knows its version only;
// the context's namespace is shop.
func kubeconfig(t *testing.T) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"gitVersion":"v1.37.2"}`)
	}))
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{"current-context":"c","clusters":[{"name":"c","cluster":{"server":"` + server.URL + `"}}],` +
		`"contexts":[{"name":"c","context":{"cluster":"c","namespace":"shop"}}]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", path)
}

// foundBy answers an audit with workloads, and
// keeps what it was asked.
func foundBy(asked *audit.Options, items ...report.Item) auditFunc {
	return func(_ context.Context, _ *rest.Config, options audit.Options) (*report.Report, error) {
		*asked = options
		return report.New(report.DriftReport, time.Unix(0, 0), items, 0), nil
	}
}

func workload(kind, name string, state verdict.State, changes ...verdict.Change) report.Item {
	return report.Item{
		Namespace: "shop", Kind: kind, Name: name, State: state,
		Pods:      map[verdict.State]int{state: 1},
		Revisions: []report.Revision{{Name: name + "-1", State: state, Pods: 1, Changes: changes}},
		Rollout:   report.Rollout{Eligible: state == verdict.Drifted},
	}
}

var newImage = verdict.Change{
	Part: "container/istio-proxy", Path: "image",
	From: json.RawMessage(`"istio/proxyv2:1.27.0"`), To: json.RawMessage(`"istio/proxyv2:1.28.0"`),
}

// ran is what a command wrote, and its exit code.
type ran struct {
	out, errOut string
	code        int
}

func runAudit(t *testing.T, audit auditFunc, args ...string) ran {
	t.Helper()
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	root := NewCommand("sidecar-drift", streams)
	replaceCommand(root, newAuditCommandWith("sidecar-drift", streams, audit))
	return execute(t, root, streams, out, errOut, append([]string{"audit"}, args...))
}

func TestAuditReports(t *testing.T) {
	kubeconfig(t)
	var asked audit.Options
	audit := foundBy(&asked,
		workload("Deployment", "web", verdict.Drifted, newImage),
		workload("Deployment", "cart", verdict.InSync),
		workload("Pod", "debug", verdict.NotInjected),
	)
	got := runAudit(t, audit, "-n", "shop")
	want := ran{
		out: `NAMESPACE  KIND        NAME  STATE    PODS  CHANGES
shop       Deployment  web   Drifted  1     istio-proxy: image 1.27.0 → 1.28.0
shop       Deployment  cart  InSync   1

Cluster c (http://server)
3 workloads, 3 Pods: 1 Drifted, 1 InSync, 1 NotInjected; drift 50.0 %
Not shown: 1 NotInjected (--state shows them).
`,
		errOut: `
To see what would change:
  sidecar-drift audit --namespace shop --diff

To plan a rollout (nothing is changed):
  sidecar-drift rollout --namespace shop
`,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(ran{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAuditDiffHintsAtTheRolloutOnly(t *testing.T) {
	kubeconfig(t)
	var asked audit.Options
	got := runAudit(t, foundBy(&asked, workload("StatefulSet", "db", verdict.Drifted, newImage)), "--diff", "--state", "drifted", "-l", "a in (b)")
	if want := "+ image: istio/proxyv2:1.28.0\n"; !strings.Contains(got.out, want) {
		t.Errorf("no %q in\n%s", want, got.out)
	}
	want := "\nTo plan a rollout (nothing is changed):\n  sidecar-drift rollout --selector 'a in (b)' --include-statefulset\n"
	if diff := cmp.Diff(want, got.errOut); diff != "" {
		t.Errorf("hint (-want +got):\n%s", diff)
	}
}

func TestAuditJSONHoldsEverythingAndNoHint(t *testing.T) {
	kubeconfig(t)
	var asked audit.Options
	got := runAudit(t, foundBy(&asked, workload("Deployment", "web", verdict.Drifted, newImage), workload("Pod", "debug", verdict.NotInjected)), "-o", "json")
	var r report.Report
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Items) != 2 || got.errOut != "" {
		t.Errorf("%d items, want 2; stderr %q", len(r.Items), got.errOut)
	}
	if diff := cmp.Diff(&report.ClusterIdentity{Name: "c", Server: "http://server"}, r.Cluster); diff != "" {
		t.Errorf("cluster (-want +got):\n%s", diff)
	}
}

func TestAuditForPipelines(t *testing.T) {
	kubeconfig(t)
	secret := verdict.Change{
		Part: "container/istio-proxy", Path: "env[PROXY_TOKEN].value",
		From: json.RawMessage(`"first-secret"`), To: json.RawMessage(`"second-secret"`),
	}
	var asked audit.Options
	audit := foundBy(&asked, workload("Deployment", "web", verdict.Drifted, newImage, secret), workload("Pod", "debug", verdict.NotInjected))
	for format, want := range map[string]string{
		"csv":          ",shop,Deployment,web,Drifted,1,",
		"markdown":     "| shop | Deployment | web | **Drifted** | 1 | istio-proxy: image 1.27.0 → 1.28.0, ",
		"junit":        `<testsuite name="shop" timestamp="1970-01-01T00:00:00" tests="2" failures="1" errors="0" skipped="1" time="0">`,
		"policyreport": "apiVersion: openreports.io/v1alpha1\nkind: Report\n",
	} {
		got := runAudit(t, audit, "--exit-code", "-o", format)
		if got.code != 1 || got.errOut != "" {
			t.Errorf("%s: exit code %d, stderr %q", format, got.code, got.errOut)
		}
		if !strings.Contains(got.out, want) || strings.Contains(got.out, "-secret") {
			t.Errorf("%s: no %q, or a secret, in\n%s", format, want, got.out)
		}
		if masks := strings.Count(strings.Join(strings.Fields(got.out), " "), "***"); format != "csv" && format != "policyreport" && masks < 2 {
			t.Errorf("%s: %d masks in\n%s", format, masks, got.out)
		}
		// Where all masks are the same, none tells anything.
		if format == "policyreport" && !strings.Contains(got.out, "env[PROXY_TOKEN].value") {
			t.Errorf("%s: not where a secret changed:\n%s", format, got.out)
		}
		if shown := strings.Contains(got.out, "debug"); shown != (format != "markdown") {
			t.Errorf("%s: shows what has no sidecar: %v", format, shown)
		}
	}
}

// What a pipeline is told, by what an audit found of what was selected.
func TestAuditExitCode(t *testing.T) {
	kubeconfig(t)
	all := func(states ...verdict.State) []report.Item {
		var items []report.Item
		for i, state := range states {
			items = append(items, workload("Deployment", fmt.Sprintf("web-%d", i), state))
		}
		return items
	}
	const drift, unjudged, nothing = "", "1 workload could not be judged", "nothing could be judged"
	for _, test := range []struct {
		items  []report.Item
		args   string
		code   int
		errOut string
	}{
		{nil, "", 0, ""},
		{nil, "--exit-code", 2, nothing},
		{nil, "--exit-code --allow-unknown", 2, nothing},
		{nil, "--fail-on Drifted", 2, nothing},
		{all(verdict.Unknown), "", 0, ""},
		{all(verdict.Unknown), "--exit-code", 2, nothing},
		{all(verdict.Unknown), "--exit-code --allow-unknown", 2, nothing},
		{all(verdict.Unknown, verdict.InSync), "--exit-code", 2, unjudged},
		{all(verdict.Unknown, verdict.InSync), "--exit-code --allow-unknown", 0, ""},
		{all(verdict.Unknown, verdict.InSync), "--exit-code --state InSync", 0, ""},
		{all(verdict.Unknown, verdict.Drifted), "--exit-code", 1, drift},
		{all(verdict.Unknown, verdict.Drifted), "--exit-code --state Unknown", 2, unjudged},
		{all(verdict.Missing, verdict.InSync), "--fail-on Drifted", 0, ""},
		{all(verdict.Missing, verdict.InSync), "--fail-on drifted,missing", 1, drift},
		{all(verdict.Unstable, verdict.InSync), "--fail-on Unstable", 1, drift},
		{all(verdict.Unknown, verdict.InSync), "--fail-on Unknown", 1, drift},
		{all(verdict.InSync), "--fail-on Drifted --state InSync", 2, "contradict"},
		{all(verdict.InSync), "--fail-on Driftet", 2, "unknown state"},
		{all(verdict.InSync), "--allow-unknown", 2, "needs --exit-code"},
		{all(verdict.InSync), "--dry-run-as controller --as x", 2, "can impersonate nobody"},
		{all(verdict.InSync), "--dry-run-as everybody", 2, "choose auto, controller or self"},
		{all(verdict.NotInjected), "--exit-code", 0, ""},
	} {
		var asked audit.Options
		got := runAudit(t, foundBy(&asked, test.items...), strings.Fields(test.args)...)
		if got.code != test.code || !strings.Contains(got.errOut, test.errOut) || test.code == 1 && strings.Contains(got.errOut, "error") {
			t.Errorf("%v with %q: exit code %d, %q; want %d, %q", test.items, test.args, got.code, got.errOut, test.code, test.errOut)
		}
	}
	for _, state := range verdict.States() {
		alarming := slices.Contains([]verdict.State{verdict.Drifted, verdict.Missing, verdict.Orphaned, verdict.Blocked}, state)
		var asked audit.Options
		if got := runAudit(t, foundBy(&asked, all(state, verdict.InSync)...), "--exit-code"); (got.code == 1) != alarming {
			t.Errorf("%s with --exit-code: exit code %d", state, got.code)
		}
	}
}

func TestAuditFailureIsExitCode2(t *testing.T) {
	kubeconfig(t)
	got := runAudit(t, func(context.Context, *rest.Config, audit.Options) (*report.Report, error) {
		return nil, errors.New("list pods: forbidden")
	}, "--exit-code")
	if diff := cmp.Diff(ran{errOut: "error: list pods: forbidden\n", code: 2}, got, cmp.AllowUnexported(ran{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAuditSelection(t *testing.T) {
	kubeconfig(t)
	for _, tt := range []struct {
		args []string
		want inventory.Selection
	}{
		{nil, inventory.Selection{}},
		{[]string{"-A"}, inventory.Selection{}},
		{[]string{"-n", "cart"}, inventory.Selection{Namespace: "cart"}},
		{[]string{"--all-namespaces=false"}, inventory.Selection{Namespace: "shop"}},
		{[]string{"deploy/web"}, inventory.Selection{
			Namespace: "shop",
			Workloads: []inventory.WorkloadRef{{Kind: "Deployment", Namespace: "shop", Name: "web"}},
		}},
		{[]string{"sts/db", "po/x", "-n", "cart"}, inventory.Selection{
			Namespace: "cart",
			Workloads: []inventory.WorkloadRef{{Kind: "StatefulSet", Namespace: "cart", Name: "db"}, {Kind: "Pod", Namespace: "cart", Name: "x"}},
		}},
		{[]string{"--include-namespace", "a,b", "--include-namespace=c", "--exclude-namespace", "d", "-l", "app=web"}, inventory.Selection{
			IncludeNamespaces: []string{"a", "b", "c"}, ExcludeNamespaces: []string{"d"}, LabelSelector: "app=web",
		}},
		{[]string{"-n", "cart", "--exclude-namespace=kube-system"}, inventory.Selection{
			Namespace: "cart", ExcludeNamespaces: []string{"kube-system"},
		}},
		{[]string{"--sidecar-container-name=a,b", "--sidecar-container-name", "c"}, inventory.Selection{WithContainers: []string{"a", "b", "c"}}},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			var asked audit.Options
			if got := runAudit(t, foundBy(&asked), tt.args...); got.code != 0 {
				t.Fatalf("exit code %d: %s", got.code, got.errOut)
			}
			want := audit.Options{Selection: tt.want, Concurrency: defaultConcurrency, DryRunAs: injection.Auto, DeclaredSidecars: tt.want.WithContainers}
			ignore := cmpopts.IgnoreFields(audit.Options{}, "Progress", "Log")
			if diff := cmp.Diff(want, asked, ignore, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAuditPace(t *testing.T) {
	kubeconfig(t)
	for _, tt := range []struct {
		args        []string
		concurrency int
		gentle      bool
	}{
		{nil, defaultConcurrency, false},
		{[]string{"--gentle"}, defaultConcurrency, true},
		{[]string{"--gentle=False", "--concurrency=3"}, 3, false},
	} {
		var asked audit.Options
		if got := runAudit(t, foundBy(&asked), tt.args...); got.code != 0 {
			t.Fatalf("%q: exit code %d: %s", tt.args, got.code, got.errOut)
		}
		if asked.Concurrency != tt.concurrency || asked.Gentle != tt.gentle {
			t.Errorf("%q: asked for %d at once, gentle %t", tt.args, asked.Concurrency, asked.Gentle)
		}
	}
}

func TestProgressIsSilentWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	bar := newProgress(&out)
	bar.count(1, 2)
	if _, err := bar.Write([]byte("a log line\n")); err != nil {
		t.Fatal(err)
	}
	bar.erase()
	if out.String() != "a log line\n" {
		t.Errorf("wrote %q", out.String())
	}
}

func TestProgressOnANarrowTerminal(t *testing.T) {
	var out bytes.Buffer
	bar := &progress{&statusLines{out: &out, size: func() (int, int) { return 20, 10 }}}
	bar.count(1, 2)
	bar.count(1, 2)
	if _, err := bar.Write([]byte("log\n")); err != nil {
		t.Fatal(err)
	}
	bar.erase()
	const line, erase = "Auditing █████████…", "\r\x1b[J"
	if want := line + erase + "log\n" + line + erase; out.String() != want {
		t.Errorf("wrote %q, want %q", out.String(), want)
	}
}

func TestFootOfSeveralLines(t *testing.T) {
	var out bytes.Buffer
	f := &statusLines{out: &out, size: func() (int, int) { return 20, 4 }}
	f.show("one", "two")
	f.show("one", "two")
	f.show("one", "two", "three", "four", "five")
	f.erase()
	f.erase()
	want := "one\ntwo" + "\r\x1b[1A\x1b[J" + "one\ntwo\n  … and 3 more" + "\r\x1b[2A\x1b[J"
	if out.String() != want {
		t.Errorf("wrote %q, want %q", out.String(), want)
	}
}

func TestLogLevels(t *testing.T) {
	for level, want := range map[logLevel]string{"info": "ie", "debug": "die", "warn": "e", "error": "e"} {
		var out bytes.Buffer
		log := (&logging{level: level, format: logJSON}).logger(&out)
		log.V(4).Info("d")
		log.Info("i")
		log.Error(nil, "e")
		got := ""
		for line := range strings.Lines(out.String()) {
			var record struct{ Msg string }
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Fatal(err)
			}
			got += record.Msg
		}
		if got != want {
			t.Errorf("level %s logs %q, want %q", level, got, want)
		}
	}
}
