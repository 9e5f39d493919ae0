package acceptance

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

// faulty answers one in n requests in the API server's place: a patch with a
// conflict, another one with 429.
func faulty(config *rest.Config, n int64) *atomic.Int64 {
	var asked, faults atomic.Int64
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			// By chance: who asks in a circle of as many requests must not fail for ever.
			// But once at least.
			if asked.Add(1) != 2 && rand.Int64N(n) != 0 {
				return next.RoundTrip(r)
			}
			faults.Add(1)
			status := `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"TooManyRequests","message":"injected","code":429}`
			response := &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}, Request: r}
			if r.Method == http.MethodPatch {
				status = strings.NewReplacer("TooManyRequests", "Conflict", "429", "409").Replace(status)
				response.StatusCode, response.Header = http.StatusConflict, http.Header{}
			}
			response.Header.Set("Content-Type", "application/json")
			response.Body = io.NopCloser(bytes.NewReader([]byte(status)))
			return response, nil
		})
	})
	return &faults
}

// Conflicts and "too many requests" cost time and nothing else.
func TestRolloutThroughFaults(t *testing.T) {
	for _, strategy := range []rollout.Strategy{rollout.Restart, rollout.Evict} {
		t.Run(string(strategy), func(t *testing.T) {
			t.Parallel()
			e := newEngine(t)
			deployWeb(t, e.Cluster, e.namespace, 2, "a", "b", "c")
			var items []report.Item
			want := map[string]report.Result{}
			for _, name := range []string{"a", "b", "c"} {
				items = append(items, e.drifted("Deployment", name, podsOf(t, e.Cluster, e.namespace, "app="+name)...))
				want["Deployment/"+name] = report.RolledOut
			}
			e.opts.Strategy, e.opts.Pace.Parallel = strategy, 3
			plan := e.plan(t, items...)
			faults := faulty(e.config, 4)
			checkResults(t, e.run(t.Context(), t, plan), want)
			if faults.Load() == 0 {
				t.Error("no fault was injected")
			}
		})
	}
}

// An API server that goes away and comes back is waited for.
func TestRolloutWhileTheAPIServerRestarts(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, cluster.Options{})
	namespace := namespaceWith(t, c, nil)
	deployWeb(t, c, namespace, 2, "a", "b", "evicted")
	for strategy, names := range map[rollout.Strategy][]string{rollout.Restart: {"a", "b"}, rollout.Evict: {"evicted"}} {
		e := &engine{
			Cluster: c, namespace: namespace, config: c.RESTConfig(), state: verdict.InSync,
			opts: rollout.Options{Strategy: strategy, Pace: rollout.Pace{Timeout: 2 * time.Minute, Parallel: 1}},
		}
		var items []report.Item
		want := map[string]report.Result{}
		for _, name := range names {
			items = append(items, e.drifted("Deployment", name, podsOf(t, c, namespace, "app="+name)...))
			want["Deployment/"+name] = report.RolledOut
		}
		plan := e.plan(t, items...)
		restarted := make(chan error, 1)
		once := false
		e.opts.Progress = func(event rollout.Event) {
			if event.Phase == rollout.Started && !once {
				once = true
				go func() { restarted <- c.RestartAPIServer(context.Background(), 3*time.Second) }()
			}
		}
		checkResults(t, e.run(t.Context(), t, plan), want)
		if err := <-restarted; err != nil {
			t.Fatal(err)
		}
	}
	// The API server's own controllers may still be on their way.
	awaitPods(t, c, namespace, map[string]int{"a": 2, "b": 2, "evicted": 2})
	for _, pod := range podsOf(t, c, namespace, "app=a") {
		if pod.Annotations["sidecarRollout.rollout.timestamp"] == "" {
			t.Errorf("Pod %s was not restarted", pod.Name)
		}
	}
}

// One of two injectors no longer serves a workload, or is down and fails open: the
// fresh Pod would lack its sidecar, so that what drifted by the other one is left
// alone, too.
func TestRolloutThatWouldLoseASidecar(t *testing.T) {
	c := fenced(t)
	agent := startInjector(t, c, "vault-agent", "agent:1")
	proxy := startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 2)
	deployWeb(t, c, namespace, 2, "web")
	proxy.setImage("proxy:2")
	before := versionsIn(t, c, namespace)
	skipped := func(state verdict.State, reason string) {
		t.Helper()
		for _, args := range [][]string{{"--strategy", "restart"}, {"--strategy", "evict", "--all"}} {
			r := rolloutCommand(t, c, 0, append([]string{"-n", namespace, "--confirm"}, args...)...)
			checkReasons(t, args[1], r, map[string]string{"Deployment/web": reason})
			if r.Items[0].State != state {
				t.Errorf("state %s, want %s", r.Items[0].State, state)
			}
		}
	}
	agent.Inject(func(injector.Request) []injector.Operation { return nil })
	skipped(verdict.Drifted, "would lose the sidecar vault-agent")
	if err := agent.Stop(); err != nil {
		t.Fatal(err)
	}
	skipped(verdict.Unknown, "test-injector-vault-agent/vault-agent.injector.test does not answer, as nobody listens at 127.0.0.1")
	if got := versionsIn(t, c, namespace); got != before {
		t.Errorf("something has changed:\n%s\n%s", before, got)
	}
}

// An injector that adds variables alone is gone: no container is lost, and nothing
// would come but the loss. Where it is down, that is not known.
func TestRolloutThatWouldOnlyTakeAway(t *testing.T) {
	c := fenced(t)
	instrumentation := startInjector(t, c, "otel", "none")
	variables := func(injector.Request) []injector.Operation {
		return []injector.Operation{{Op: "add", Path: "/spec/containers/0/env", Value: []corev1.EnvVar{
			{Name: "OTEL_SERVICE_NAME", Value: "web"}, {Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: "http://otel:4317"},
		}}}
	}
	instrumentation.Inject(variables)
	startInjector(t, c, "proxy", "proxy:1")
	namespace := injectedNamespace(t, c, 1)
	deployWeb(t, c, namespace, 2, "web")
	before := versionsIn(t, c, namespace)

	instrumentation.Inject(func(injector.Request) []injector.Operation { return nil })
	r := rolloutCommand(t, c, 0, "-n", namespace, "--confirm")
	checkReasons(t, "gone", r, map[string]string{"Deployment/web": "would only take away what was injected (app/app:env[OTEL_EXPORTER_OTLP_ENDPOINT], 2 in all)"})
	if err := instrumentation.Stop(); err != nil {
		t.Fatal(err)
	}
	r = rolloutCommand(t, c, 0, "-n", namespace, "--confirm", "--all")
	checkReasons(t, "down", r, map[string]string{"Deployment/web": "test-injector-otel/otel.injector.test does not answer"})
	if got := versionsIn(t, c, namespace); got != before {
		t.Errorf("something has changed:\n%s\n%s", before, got)
	}
	found := auditOf(t, c, inventory.Selection{Namespace: namespace})
	if !slices.ContainsFunc(found.Outages, func(o report.Outage) bool { return o.Webhook == "test-injector-otel/otel.injector.test" }) {
		t.Errorf("outages %+v", found.Outages)
	}
	inThisOrder(t, explainCommand(t, c, "-n", namespace, "deploy/web"), "web: Unknown", "does not answer",
		"asked MutatingWebhook test-injector-otel/otel.injector.test", "DOES NOT ANSWER: nobody listens at")
}

// An injector that goes down after the plan was made keeps what it serves from being
// begun with.
func TestRolloutAsksInjectorsBeforeEachStart(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	namespace, proxy := startOwnInjector(t, e.Cluster, addsProxy("proxy:1"))
	e.namespace = namespace
	deployWeb(t, e.Cluster, namespace, 1, "web", "later")
	plan := e.plan(t, e.item("Deployment", "web", verdict.Drifted), e.item("Deployment", "later", verdict.Drifted))
	before := uids(t, e.Cluster, namespace, "app=later")
	e.opts.Progress = func(event rollout.Event) {
		if event.Phase == rollout.Started {
			if err := proxy.Stop(); err != nil {
				t.Error(err)
			}
			time.Sleep(11 * time.Second) // for longer than an answer of it is believed
		}
	}
	e.opts.Pace.Parallel, e.opts.Pace.Order = 1, rollout.ByName
	done := e.run(t.Context(), t, plan)
	results := map[string]report.Rollout{}
	for _, item := range done.Items {
		results[item.Name] = item.Rollout
	}
	if r := results["web"]; r.Result != report.Skipped || !strings.Contains(r.Reason, "does not answer, as nobody listens") {
		t.Errorf("web, which comes second: %+v", r)
	}
	if r := results["later"]; r.StartedAt == nil {
		t.Errorf("later, which comes first: %+v", r)
	}
	if diff := cmp.Diff(before, uids(t, e.Cluster, namespace, "app=later")); diff == "" {
		t.Error("the first one was not begun with")
	}
}
