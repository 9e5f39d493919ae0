package acceptance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// fault does something to a request, or to what send returns for it.
type fault func(r *http.Request, send roundTrip) (*http.Response, error)

// through is the configuration with a fault between client and API server.
func through(config *rest.Config, f fault) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) { return f(r, next.RoundTrip) })
	})
	return config
}

func isList(r *http.Request) bool { return r.Method == http.MethodGet && r.URL.Query().Has("limit") }

func isDryRun(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Get("dryRun") == "All"
}

// firstDryRuns holds of dry runs, but not of the same one another time.
func firstDryRuns() func(*http.Request) bool {
	var asked sync.Map
	return func(r *http.Request) bool {
		if !isDryRun(r) {
			return false
		}
		copied, err := r.GetBody()
		if err != nil {
			return false
		}
		pod, err := io.ReadAll(copied)
		_, again := asked.LoadOrStore(string(pod), true)
		return err == nil && !again
	}
}

// laterPage is a request for more of a list of Pods.
func laterPage(r *http.Request) bool {
	return isList(r) && r.URL.Query().Has("continue") && strings.HasSuffix(r.URL.Path, "/pods")
}

// smallPages has lists read ten objects at a time.
func smallPages(r *http.Request, send roundTrip) (*http.Response, error) {
	if isList(r) {
		r = r.Clone(r.Context())
		query := r.URL.Query()
		query.Set("limit", "10")
		r.URL.RawQuery = query.Encode()
	}
	return send(r)
}

// answer is what the API server would say in so many words.
func answer(r *http.Request, code int, reason metav1.StatusReason, more string) *http.Response {
	status := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"message":"injected","code":%d%s}`, reason, code, more)
	return &http.Response{
		StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(status)), Request: r,
	}
}

// cutOff is half of a response, and then a lost connection.
func cutOff(response *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	half := bytes.NewReader(body[:len(body)/2])
	response.Body = io.NopCloser(io.MultiReader(half, failingBody{io.ErrUnexpectedEOF}))
	return response, nil
}

// failingBody is what cannot be read.
type failingBody struct{ error }

func (e failingBody) Read([]byte) (int, error) { return 0, e.error }

// barePods creates Pods that nothing controls, schedules or starts.
func barePods(t *testing.T, c *cluster.Cluster, namespace string, names ...string) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(8)
	for _, name := range names {
		group.Go(func() error { return barePod(t.Context(), c, namespace, name) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

func barePod(ctx context.Context, c *cluster.Cluster, namespace, name string) error {
	_, err := c.Client().CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{SchedulerName: "nobody", Containers: []corev1.Container{{Name: "app", Image: "app:1"}}},
	}, metav1.CreateOptions{})
	return err
}

// numbered returns NAME-000, NAME-001, …
func numbered(name string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%03d", name, i)
	}
	return names
}

// auditBy audits a namespace with this configuration, as four workers.
func auditBy(t *testing.T, config *rest.Config, namespace string) (*report.Report, error) {
	t.Helper()
	ctx := logr.NewContext(t.Context(), logr.Discard()) // client-go logs each fault
	return audit.Run(ctx, config, audit.Options{
		Selection: inventory.Selection{Namespace: namespace}, Concurrency: 4,
	})
}

// checkSame checks that a report says what another one says.
func checkSame(t *testing.T, want, got *report.Report) {
	t.Helper()
	// Which workloads are asked about for the others is chance.
	if diff := cmp.Diff(want.Items, got.Items, cmpopts.IgnoreFields(report.Revision{}, "Told")); diff != "" {
		t.Errorf("not what an audit without a fault says (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.Summary, got.Summary); diff != "" {
		t.Errorf("the summary is not that of an audit without a fault (-want +got):\n%s", diff)
	}
}

// every injects a fault into each nth of some requests; the first times, if that
// is not 0.
type every struct {
	nth, times int64
	of         func(*http.Request) bool
	fault      fault

	seen, injected atomic.Int64
}

func (e *every) through(r *http.Request, send roundTrip) (*http.Response, error) {
	if !e.of(r) || e.seen.Add(1)%e.nth != 0 || e.times != 0 && e.injected.Load() >= e.times {
		return send(r)
	}
	e.injected.Add(1)
	return e.fault(r, send)
}

// What goes wrong on the way between auditor and API server costs time, or the
// audit as a whole; it changes no verdict and loses no Pod.
func TestAuditThroughFaults(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	config := auditorConfig(t, c)
	namespace, setImage := ownInjector(t, c)
	deployWeb(t, c, namespace, 2, "a", "b", "c")
	barePods(t, c, namespace, numbered("old", 20)...)
	setImage("proxy:2")
	barePods(t, c, namespace, numbered("new", 10)...)
	want, err := auditBy(t, through(config, smallPages), namespace)
	if err != nil {
		t.Fatal(err)
	}
	if n := want.Summary.Pods; n["Drifted"] != 26 || n["InSync"] != 10 {
		t.Fatalf("without a fault: %v\n%s", n, details(want))
	}

	expired := func(more string) fault {
		return func(r *http.Request, _ roundTrip) (*http.Response, error) {
			return answer(r, http.StatusGone, metav1.StatusReasonExpired, more), nil
		}
	}
	fromNow := func(r *http.Request, _ roundTrip) (*http.Response, error) {
		return answer(r, http.StatusGone, metav1.StatusReasonExpired, fmt.Sprintf(`,"metadata":{"continue":%q}`, r.URL.Query().Get("continue"))), nil
	}
	tooMany := func(retryAfter string) fault {
		return func(r *http.Request, _ roundTrip) (*http.Response, error) {
			response := answer(r, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "")
			response.Header.Set("Retry-After", retryAfter)
			return response, nil
		}
	}
	cut := func(r *http.Request, send roundTrip) (*http.Response, error) { return cutOff(send(r)) }
	lost := func(r *http.Request, send roundTrip) (*http.Response, error) {
		response, err := send(r)
		if err == nil {
			_ = response.Body.Close()
		}
		return nil, syscall.ECONNRESET
	}
	each := func(*http.Request) bool { return true }
	for name, test := range map[string]struct {
		*every
		err string // part of it; empty: the report is what it is without a fault
	}{
		"too many requests":                  {every: &every{nth: 6, of: each, fault: tooMany("1")}},
		"too many requests for long":         {every: &every{nth: 1, times: 100, of: isDryRun, fault: tooMany("0")}},
		"a list expires":                     {every: &every{nth: 2, times: 2, of: laterPage, fault: expired("")}},
		"a list goes on from now":            {every: &every{nth: 2, of: laterPage, fault: fromNow}},
		"lists expire over and over":         {every: &every{nth: 1, of: laterPage, fault: expired("")}, err: "the list expired while it was read"},
		"a list's body is cut off":           {every: &every{nth: 3, times: 2, of: isList, fault: cut}},
		"each list is cut off":               {every: &every{nth: 1, of: isList, fault: cut}, err: "the list was cut off while it was read"},
		"answers are cut off":                {every: &every{nth: 1, of: firstDryRuns(), fault: cut}},
		"connections are lost":               {every: &every{nth: 1, of: firstDryRuns(), fault: lost}},
		"connections are lost between pages": {every: &every{nth: 2, times: 2, of: laterPage, fault: lost}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := through(through(config, test.every.through), smallPages)
			got, err := auditBy(t, faults, namespace)
			t.Logf("%d faults", test.injected.Load())
			if test.injected.Load() == 0 {
				t.Error("no fault was injected")
			}
			switch {
			case err == nil && test.err == "":
				checkSame(t, want, got)
			case err == nil:
				t.Errorf("a report of %v, want an error with %q", got.Summary.Pods, test.err)
			case test.err == "" || !strings.Contains(err.Error(), test.err):
				t.Errorf("error %v, want one with %q", err, test.err)
			}
		})
	}
}

// auditRules are what an audit of bare Pods needs.
var auditRules = []string{
	readPods, createPods, readReplicaSets,
	`{apiGroups: [apps], resources: [statefulsets, daemonsets, controllerrevisions], verbs: [list]}`,
	`{apiGroups: [batch], resources: [jobs], verbs: [list]}`,
}

// Pods that are created and deleted while a list is read are in the report or not;
// all others are in it once.
func TestAuditWhilePodsComeAndGo(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	config := through(auditorConfig(t, c), smallPages)
	namespace := namespaceWith(t, c, nil)
	barePods(t, c, namespace, numbered("web", 30)...)
	want, err := auditBy(t, config, namespace)
	if err != nil {
		t.Fatal(err)
	}
	second := &every{nth: 1, times: 1, of: laterPage, fault: func(r *http.Request, send roundTrip) (*http.Response, error) {
		if err := comeAndGo(r.Context(), c, namespace); err != nil {
			return nil, err
		}
		return send(r)
	}}
	got, err := auditBy(t, through(config, second.through), namespace)
	if err != nil {
		t.Fatal(err)
	}
	checkSame(t, without(want, comers), without(got, comers))
	if n := len(without(want, comers).Items); n != 28 || second.injected.Load() == 0 {
		t.Errorf("%d Pods were there all the time, want 28, while %d changes were made", n, second.injected.Load())
	}
}

// comers are the Pods of comeAndGo, in the first page of a list and in later ones.
var comers = []string{"web-000-new", "web-003", "web-020-new", "web-023"}

// comeAndGo creates two Pods and deletes two.
func comeAndGo(ctx context.Context, c *cluster.Cluster, namespace string) error {
	var errs []error
	for _, name := range comers {
		if strings.HasSuffix(name, "-new") {
			errs = append(errs, barePod(ctx, c, namespace, name))
		} else {
			errs = append(errs, c.Client().CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{}))
		}
	}
	return errors.Join(errs...)
}

// without is the report without some workloads, which need not be in it.
func without(r *report.Report, names []string) *report.Report {
	items := slices.DeleteFunc(slices.Clone(r.Items), func(item report.Item) bool { return slices.Contains(names, item.Name) })
	return report.New(r.Kind, r.GeneratedAt, items, r.Summary.NotJudged)
}
