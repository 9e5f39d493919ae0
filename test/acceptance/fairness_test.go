package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// auditLevel is the name of both objects of the component fairness.
const auditLevel = "sidecar-drift-audit"

// flow is what the API server says that it judged a request by: the UIDs of a
// FlowSchema and of a PriorityLevelConfiguration.
type flow struct{ schema, level string }

// asker is a client that knows the flow of its last request, and how many were
// rejected.
type asker struct {
	kubernetes.Interface
	last     atomic.Pointer[flow]
	rejected atomic.Int64
}

func newAsker(t *testing.T, config *rest.Config) *asker {
	t.Helper()
	a := &asker{}
	config = through(config, func(r *http.Request, send roundTrip) (*http.Response, error) {
		response, err := send(r)
		if err == nil {
			a.last.Store(&flow{response.Header.Get("X-Kubernetes-PF-FlowSchema-UID"), response.Header.Get("X-Kubernetes-PF-PriorityLevel-UID")})
			if response.StatusCode == http.StatusTooManyRequests {
				a.rejected.Add(1)
			}
		}
		return response, err
	})
	config.QPS = -1
	var err error
	if a.Interface, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *asker) listPods(ctx context.Context) error {
	_, err := a.CoreV1().Pods("").List(ctx, metav1.ListOptions{Limit: 1})
	return err
}

func (a *asker) dryRun(ctx context.Context) error {
	_, err := a.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"}, Spec: podSpec(),
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// installFairness installs what the component fairness adds, for one test, and
// returns the flow of what it is for.
func installFairness(t *testing.T, c *cluster.Cluster) flow {
	t.Helper()
	var added strings.Builder
	for _, object := range render(t, c, withFairness) {
		if strings.HasPrefix(object.GetAPIVersion(), "flowcontrol.") {
			text, err := json.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			added.Write(append(text, '\n'))
		}
	}
	clusterWide(t, c, added.String())
	schema, err := c.Client().FlowcontrolV1().FlowSchemas().Get(t.Context(), auditLevel, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	level, err := c.Client().FlowcontrolV1().PriorityLevelConfigurations().Get(t.Context(), auditLevel, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := flow{string(schema.UID), string(level.UID)}
	who := newAsker(t, auditorConfig(t, c))
	err = cluster.Poll(t.Context(), "the FlowSchema "+auditLevel, func(ctx context.Context) error {
		if err := who.listPods(ctx); err != nil {
			return err
		}
		if got := *who.last.Load(); got != want {
			return fmt.Errorf("judged by %+v, want %+v", got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// An audit's requests come under the level of its own, for both identities;
// everybody else's, and all else that these do, do not.
func TestFairnessIsForAuditsAlone(t *testing.T) {
	c := testCluster(t)
	ours := installFairness(t, c)
	other := newAsker(t, account(t, c, namespaceWith(t, c, nil), readPods, createPods))
	auditing := newAsker(t, auditorConfig(t, c))
	config, err := c.ServiceAccountConfig(t.Context(), install.Namespace, install.RolloutAccount)
	if err != nil {
		t.Fatal(err)
	}
	rolling := newAsker(t, config)
	for _, tt := range []struct {
		name string
		who  *asker
		do   func(context.Context) error
		ours bool
	}{
		{"the auditor's list", auditing, auditing.listPods, true},
		{"the auditor's dry run", auditing, auditing.dryRun, true},
		{"the auditor's look at owners", auditing, func(ctx context.Context) error {
			_, err := auditing.AppsV1().ReplicaSets("").List(ctx, metav1.ListOptions{Limit: 1})
			return err
		}, true},
		{"the auditor's look at policies", auditing, func(ctx context.Context) error {
			_, err := auditing.AdmissionregistrationV1().ValidatingAdmissionPolicies().List(ctx, metav1.ListOptions{})
			return err
		}, true},
		{"the rollout's list", rolling, rolling.listPods, true},
		{"the rollout's dry run", rolling, rolling.dryRun, true},
		{"the auditor's Lease", auditing, func(ctx context.Context) error {
			_, err := auditing.CoordinationV1().Leases(install.Namespace).Get(ctx, "sidecar-drift-auditor", metav1.GetOptions{})
			return client.IgnoreNotFound(err) // no auditor need be running
		}, false},
		{"another one's list", other, other.listPods, false},
		{"another one's dry run", other, other.dryRun, false},
	} {
		if err := tt.do(t.Context()); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := *tt.who.last.Load()
		if got.schema == "" || got.level == "" || (got.schema == ours.schema) != tt.ours || (got.level == ours.level) != tt.ours {
			t.Errorf("%s: judged by %+v; ours is %+v, and should be: %v", tt.name, got, ours, tt.ours)
		}
	}
}

// levelSum adds up a metric of the API server about the level.
func levelSum(ctx context.Context, c *cluster.Cluster, metric string) (sum float64, err error) {
	text, err := c.Client().Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, err
	}
	found := false
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); strings.HasPrefix(line, metric+"{") && strings.Contains(line, fmt.Sprintf("priority_level=%q", auditLevel)) {
			value, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			if err != nil {
				return 0, err
			}
			sum, found = sum+value, true
		}
	}
	if !found {
		return 0, fmt.Errorf("the API server has no metric %s of %s", metric, auditLevel)
	}
	return sum, nil
}

// saturated checks that an audit's requests take all the seats of their level, and
// no more, and that others wait for one.
func saturated(ctx context.Context, c *cluster.Cluster) error {
	var values [3]float64
	for i, metric := range []string{"nominal_limit_seats", "current_executing_seats", "current_inqueue_requests"} {
		var err error
		if values[i], err = levelSum(ctx, c, "apiserver_flowcontrol_"+metric); err != nil {
			return err
		}
	}
	if values[0] < 1 || values[1] != values[0] || values[2] == 0 {
		return fmt.Errorf("of %v seats %v are taken, and %v requests wait", values[0], values[1], values[2])
	}
	return nil
}

// While an injector holds up as many dry runs as there are seats, nobody else's
// requests wait or are rejected, and the audits end well. They are several, as each
// begins with few dry runs at once.
func TestSaturatedAuditsRejectNobody(t *testing.T) {
	c := testCluster(t)
	config := auditorConfig(t, c)
	namespace := namespaceWith(t, c, nil)
	const audits, pods = 10, 10
	barePods(t, c, namespace, numbered("bare", pods)...)
	running, err := injector.Start(t.Context(), c, injector.Options{Name: namespace, Namespaces: namespace})
	if err != nil {
		t.Fatal(err)
	}
	running.Inject(addsProxy("proxy:1"))
	label(t, c, namespace, fmt.Sprintf(`{%q:%q}`, injector.NamespaceLabel, namespace), isInjected)
	held := make(chan struct{})
	release := func() { close(held) }
	t.Cleanup(func() {
		if release != nil {
			release()
		}
		if err := running.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	running.Inject(func(injector.Request) []injector.Operation {
		<-held
		return nil
	})
	other := newAsker(t, account(t, c, namespace, readPods, createPods))
	installFairness(t, c)

	type outcome struct {
		report *report.Report
		err    error
	}
	ended := make(chan outcome, audits)
	for range audits {
		go func() {
			r, err := audit.Run(logr.NewContext(t.Context(), logr.Discard()), config, audit.Options{
				Selection: inventory.Selection{Namespace: namespace}, Concurrency: 64,
			})
			ended <- outcome{r, err}
		}()
	}
	full := func(ctx context.Context) error { return saturated(ctx, c) }
	if err := cluster.Poll(t.Context(), "the audits to take all of their seats", full); err != nil {
		t.Fatal(err)
	}
	if seats, err := levelSum(t.Context(), c, "apiserver_flowcontrol_nominal_limit_seats"); err == nil {
		t.Logf("the level has %v seats", seats)
	}
	for range 50 {
		if err := other.listPods(t.Context()); err != nil {
			t.Error(err)
		}
		if err := other.dryRun(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := full(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if n := other.rejected.Load(); n > 0 {
		t.Errorf("%d requests of another client were rejected", n)
	}
	release()
	release = nil
	for range audits {
		got := <-ended
		if got.err != nil {
			t.Fatal(got.err)
		}
		if n := got.report.Summary.Pods["NotInjected"]; n != pods {
			t.Errorf("%v; want %d that are not injected\n%s", got.report.Summary.Pods, pods, details(got.report))
		}
	}
}
