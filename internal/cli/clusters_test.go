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
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// fleet points KUBECONFIG at a kubeconfig with a context for each name, of an API
// server of its own that knows its version only, and the namespace "of-NAME".
func fleet(t *testing.T, names ...string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"gitVersion":"v1.37.2"}`)
	}))
	t.Cleanup(server.Close)
	var clusters, contexts []string
	for _, name := range names {
		clusters = append(clusters, fmt.Sprintf(`{"name":%[1]q,"cluster":{"server":"%[2]s/%[1]s"}}`, name, server.URL))
		contexts = append(contexts, fmt.Sprintf(`{"name":%[1]q,"context":{"cluster":%[1]q,"namespace":"of-%[1]s"}}`, name))
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"clusters":[%s],"contexts":[%s]}`, strings.Join(clusters, ","), strings.Join(contexts, ","))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", path)
}

// audits are each cluster's, by its context's name, and what they were asked.
type audits struct {
	found map[string][]report.Item // a cluster without an entry fails

	mu    sync.Mutex
	asked map[string]audit.Options
}

func (a *audits) audit(_ context.Context, config *rest.Config, options audit.Options) (*report.Report, error) {
	name := filepath.Base(config.Host)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asked == nil {
		a.asked = map[string]audit.Options{}
	}
	a.asked[name] = options
	items, ok := a.found[name]
	if !ok {
		return nil, errors.New("list pods: forbidden\nsee the log")
	}
	return report.New(report.DriftReport, time.Unix(0, 0), items, 0), nil
}

func TestAuditOfSeveralClusters(t *testing.T) {
	fleet(t, "eu", "us")
	a := &audits{found: map[string][]report.Item{
		"eu": {workload("Deployment", "web", verdict.Drifted, newImage), workload("DaemonSet", "agent", verdict.InSync)},
		"us": {workload("Deployment", "web", verdict.InSync), workload("StatefulSet", "db", verdict.Drifted, newImage)},
	}}
	want := ran{
		out: `#1  istio-proxy image 1.27.0 → 1.28.0  2 workloads  2 Pods  2 namespaces  version  b60c6a0c91

CLUSTER  NAMESPACE  KIND         NAME   STATE    PODS  CHANGES
eu       shop       Deployment   web    Drifted  1     #1
us       shop       StatefulSet  db     Drifted  1     #1
eu       shop       DaemonSet    agent  InSync   1
us       shop       Deployment   web    InSync   1

2 clusters: 4 workloads, 4 Pods: 2 Drifted, 2 InSync; drift 50.0 %
  eu: 1 Drifted, 1 InSync; drift 50.0 %
  us: 1 Drifted, 1 InSync; drift 50.0 %
`,
		errOut: `
To see what would change:
  sidecar-drift audit --contexts us,eu --diff

To plan a rollout (nothing is changed):
  sidecar-drift rollout --context eu --include-statefulset
  sidecar-drift rollout --context us --include-statefulset
`,
	}
	if diff := cmp.Diff(want, runAudit(t, a.audit, "--contexts", "us,eu"), cmp.AllowUnexported(ran{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := runAudit(t, a.audit, "--all-contexts", "--exit-code"); got.code != 1 || got.out != want.out {
		t.Errorf("--all-contexts --exit-code: %+v", got)
	}
}

// A cluster that fails counts for more than drift that another one has.
func TestAuditWithAClusterThatFails(t *testing.T) {
	fleet(t, "eu", "us")
	for _, state := range []verdict.State{verdict.Drifted, verdict.InSync} {
		a := &audits{found: map[string][]report.Item{"eu": {workload("Deployment", "web", state)}}}
		for _, args := range [][]string{{}, {"--exit-code"}} {
			got := runAudit(t, a.audit, slices.Concat(args, []string{"--contexts", "eu,us", "-o", "json"})...)
			if want := "error: 1 of 2 clusters could not be audited:\n  us: list pods: forbidden see the log\n"; got.code != 2 || got.errOut != want {
				t.Errorf("%s %v: exit code %d, stderr %q", state, args, got.code, got.errOut)
			}
			var r report.Report
			if err := json.Unmarshal([]byte(got.out), &r); err != nil {
				t.Fatal(err)
			}
			if len(r.Items) != 1 || r.Items[0].Cluster != "eu" {
				t.Errorf("items %+v", r.Items)
			}
			if len(r.Clusters) != 2 || r.Clusters[0].Error != "" || r.Clusters[1].Error == "" || r.Clusters[1].Summary != nil {
				t.Errorf("clusters %+v", r.Clusters)
			}
			if want := []string{"Cluster us could not be audited: list pods: forbidden see the log"}; !slices.Equal(r.Notes, want) {
				t.Errorf("notes %q", r.Notes)
			}
		}
	}
}

func TestAuditOfSeveralClustersSelectsInEachAlike(t *testing.T) {
	fleet(t, "eu", "us")
	for _, tt := range []struct {
		args       []string
		namespaces map[string]string
	}{
		{nil, map[string]string{"eu": "", "us": ""}},
		{[]string{"-n", "shop"}, map[string]string{"eu": "shop", "us": "shop"}},
		{[]string{"--all-namespaces=false"}, map[string]string{"eu": "of-eu", "us": "of-us"}},
		{[]string{"deploy/web"}, map[string]string{"eu": "of-eu", "us": "of-us"}},
	} {
		a := &audits{found: map[string][]report.Item{"eu": nil, "us": nil}}
		args := slices.Concat(tt.args, []string{"--all-contexts", "--concurrency", "3", "--with-label", "rev=2"})
		if got := runAudit(t, a.audit, args...); got.code != 0 {
			t.Fatalf("%v: %s", tt.args, got.errOut)
		}
		got := map[string]string{}
		for name, options := range a.asked {
			got[name] = options.Selection.Namespace
			if options.Concurrency != 3 || options.Preview.Labels["rev"] != "2" {
				t.Errorf("%s was asked %+v", name, options)
			}
		}
		if diff := cmp.Diff(tt.namespaces, got); diff != "" {
			t.Errorf("%v: namespaces (-want +got):\n%s", tt.args, diff)
		}
	}
}

// An interrupt ends the audits of all clusters, and nothing is reported.
func TestAuditOfSeveralClustersIsInterrupted(t *testing.T) {
	fleet(t, "eu", "us")
	ctx, interrupt := context.WithCancel(t.Context())
	var underWay sync.WaitGroup
	underWay.Add(2)
	audit := func(ctx context.Context, _ *rest.Config, _ audit.Options) (*report.Report, error) {
		underWay.Done()
		<-ctx.Done()
		return nil, fmt.Errorf("audit: %w", context.Cause(ctx))
	}
	go func() {
		underWay.Wait()
		interrupt()
	}()
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	root := NewCommand("sidecar-drift", streams)
	replaceCommand(root, newAuditCommandWith("sidecar-drift", streams, audit))
	root.SetArgs([]string{"audit", "--all-contexts"})
	code := exitCode(root.ExecuteContext(ctx), "audit", streams)
	if code != 2 || out.Len() > 0 || errOut.String() != "error: interrupted\n" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, out, errOut)
	}
}

func TestConnectionAtAContextKeepsWhatIsOfNoCluster(t *testing.T) {
	c := newConnection()
	*c.flags.Timeout, *c.flags.Impersonate, *c.flags.ImpersonateGroup = "7s", "jane", []string{"ops"}
	fleet(t, "eu")
	config, err := c.at("eu").restConfig()
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(config.Timeout, " ", config.Impersonate.UserName, config.Impersonate.Groups); got != "7s jane[ops]" {
		t.Errorf("timeout and identity %s", got)
	}
	if filepath.Base(config.Host) != "eu" {
		t.Errorf("host %s", config.Host)
	}
}

func TestClusterDisplay(t *testing.T) {
	var out bytes.Buffer
	b := newClusterDisplay(&out, 2)
	b.size = func() (int, int) { return 60, 10 }
	shown := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, b.lines); diff != "" {
			t.Errorf("shown (-want +got):\n%s", diff)
		}
	}
	const none, half = "░░░░░░░░░░░░░░░░░░░░░░░░", "████████████░░░░░░░░░░░░"
	b.count("eu", 0, 0)
	b.count("us\x1b", 0, 0)
	b.count("eu", 5, 10)
	shown("Auditing "+none+" 0/2 clusters", "  eu  "+half+" 5/10", `  us\x1b  …`)
	b.pause(true)
	shown()
	b.done("eu")
	shown()
	b.pause(false)
	shown("Auditing "+half+" 1/2 clusters", `  us\x1b  …`)
	b.erase()
	shown()
}
