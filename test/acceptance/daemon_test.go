package acceptance

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// daemon is a running "serve", as the manifests run it.
type daemon struct {
	*cluster.Process
	metrics, page string
}

func startDaemon(t *testing.T, c *cluster.Cluster, args ...string) *daemon {
	t.Helper()
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), install.Namespace, install.AuditorAccount)
	if err != nil {
		t.Fatal(err)
	}
	return runDaemon(t, c, kubeconfig, args...)
}

func runDaemon(t *testing.T, c *cluster.Cluster, kubeconfig string, args ...string) *daemon {
	t.Helper()
	var addresses [2]string
	for i := range addresses {
		port, err := cluster.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		addresses[i] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	// Replicas write into one log, and daemons of other namespaces into theirs.
	log := "sidecar-drift-serve"
	if at := slices.Index(args, "--namespace"); at >= 0 {
		log += "-" + args[at+1]
	}
	process, err := c.Run(log, testProduct(t).CLI, append([]string{
		"serve", "--kubeconfig", kubeconfig, "--health-probe-bind-address", "0", "--metrics-bind-address", addresses[0], "--page-bind-address", addresses[1],
	}, args...), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(process.Kill)
	return &daemon{process, "http://" + addresses[0] + "/metrics", "http://" + addresses[1] + "/"}
}

// value returns a metric that has these labels; absent tells that there is none.
func (d *daemon) value(ctx context.Context, name string, labels model.LabelSet) (value float64, absent bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.metrics, nil)
	if err != nil {
		return 0, false, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, false, err
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return 0, false, err
	}
	for _, m := range families[name].GetMetric() {
		matches := true
		for label, want := range labels {
			found := false
			for _, pair := range m.GetLabel() {
				found = found || pair.GetName() == string(label) && pair.GetValue() == string(want)
			}
			matches = matches && found
		}
		if matches {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue(), false, nil
		}
	}
	return 0, true, nil
}

// becomes waits until a metric of one of the daemons has the value.
func becomes(t *testing.T, want float64, name string, labels model.LabelSet, daemons ...*daemon) *daemon {
	t.Helper()
	var leader *daemon
	err := cluster.Poll(t.Context(), fmt.Sprintf("%s%v to be %v", name, labels, want), func(ctx context.Context) error {
		last := fmt.Errorf("no series")
		for _, d := range daemons {
			switch value, absent, err := d.value(ctx, name, labels); {
			case err != nil:
				last = err
			case !absent && value == want:
				leader = d
				return nil
			case !absent:
				last = fmt.Errorf("it is %v", value)
			}
		}
		return last
	})
	if err != nil {
		t.Fatal(err)
	}
	return leader
}

// checkPage checks what a browser would get.
func checkPage(t *testing.T, url string, status int, part string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != status || !strings.Contains(string(body), part) {
		t.Errorf("the page: %s, %d bytes, without %q", response.Status, len(body), part)
	}
}

// TestServe runs daemons beside each other, since they mostly wait: the first in the
// installation's namespace, the others each in a namespace of its own.
func TestServe(t *testing.T) {
	t.Parallel()
	t.Run("audits and hands over", serveAudits)
	t.Run("hands the journal over", serveHandsTheJournalOver)
	t.Run("rolls out", serveRollsOut)
	t.Run("gives way to people", serveGivesWay)
	t.Run("counts failures by cause", serveCountsFailuresByCause)
	t.Run("rolls out in waves", serveRollsOutInWaves)
	t.Run("resizes", serveResizes)
	t.Run("notifies", serveNotifies)
	t.Run("tells of trouble", serveTellsOfTrouble)
	t.Run("stands a hostile tenant", serveStandsATenant)
	t.Run("requires authorization", serveRequiresAuthorization)
}

// ownInjector starts an injector that is asked about one new namespace alone: the
// daemon's tests run beside others. Its proxy's image is changed by the function.
func ownInjector(t *testing.T, c *cluster.Cluster) (namespace string, setImage func(string)) {
	t.Helper()
	namespace, running := startOwnInjector(t, c, addsProxy("proxy:1"))
	return namespace, func(image string) { running.Inject(addsProxy(image)) }
}

func addsProxy(image string) injector.Answer {
	return func(injector.Request) []injector.Operation {
		return []injector.Operation{injector.AddContainer(corev1.Container{Name: "proxy", Image: image})}
	}
}

// startOwnInjector starts an injector of one new namespace, which it injects into.
func startOwnInjector(t *testing.T, c *cluster.Cluster, answer injector.Answer) (namespace string, running *injector.Injector) {
	t.Helper()
	namespace = namespaceWith(t, c, nil)
	running, err := injector.Start(t.Context(), c, injector.Options{Name: namespace, Namespaces: namespace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	running.Inject(answer)
	label(t, c, namespace, fmt.Sprintf(`{%q:%q}`, injector.NamespaceLabel, namespace), isInjected)
	return namespace, running
}

func isInjected(pod *corev1.Pod) bool { return len(pod.Spec.Containers) == 2 }

func isNotInjected(pod *corev1.Pod) bool { return !isInjected(pod) }

// The daemon audits when what it watches changes, exports what it finds, and hands
// over to another replica, which knows the ages of drift.
func serveAudits(t *testing.T) {
	t.Parallel()
	c := fenced(t)
	namespace, setImage := ownInjector(t, c)
	apply(t, c, namespace, `
apiVersion: v1
kind: ConfigMap
metadata: {name: injector}
data: {version: "1"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: watch-injector}
rules: [{apiGroups: [""], resources: [configmaps], resourceNames: [injector], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: watch-injector}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: watch-injector}
subjects: [{kind: ServiceAccount, name: sidecar-drift-auditor, namespace: sidecar-drift}]
`)
	deployWeb(t, c, namespace, 2, "web")
	args := []string{"--lease-duration", "10s", "--include-namespace", namespace, "--interval", "1h", "--watch", "ConfigMap/" + namespace + "/injector", "--page-host", pageHost}
	one, other := startDaemon(t, c, args...), startDaemon(t, c, args...)
	pods := func(state string) model.LabelSet {
		return model.LabelSet{"namespace": model.LabelValue(namespace), "state": model.LabelValue(state)}
	}

	leader := becomes(t, 2, "sidecar_drift_pods", pods("InSync"), one, other)
	becomes(t, 0, "sidecar_drift_ratio", nil, leader)
	becomes(t, 1, "sidecar_drift_audit_progress", nil, leader)
	follower := one
	if leader == one {
		follower = other
	}
	if _, absent, err := follower.value(t.Context(), "sidecar_drift_ratio", nil); err != nil || !absent {
		t.Errorf("the other replica exports numbers, too (%v)", err)
	}
	if _, absent, err := follower.value(t.Context(), "sidecar_drift_audit_progress", nil); err != nil || !absent {
		t.Errorf("the other replica exports progress, too (%v)", err)
	}

	// The injection template changes, and its ConfigMap with it.
	setImage("proxy:2")
	apply(t, c, namespace, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"injector"},"data":{"version":"2"}}`)
	becomes(t, 1, "sidecar_drift_ratio", nil, leader)
	becomes(t, 2, "sidecar_drift_pods", pods("Drifted"), leader)
	becomes(t, 1, "sidecar_drift_workloads", model.LabelSet{"kind": "Deployment", "state": "Drifted"}, leader)
	becomes(t, 2, "sidecar_drift_versions", model.LabelSet{"injector": "other", "current": "false"}, leader)

	announced(t, c, "proxy image 1 → 2: 1 workloads")

	checkPage(t, leader.page, http.StatusOK, namespace)
	checkPage(t, follower.page, http.StatusServiceUnavailable, "holder of the Lease")
	checkHosts(t, leader.page)

	// Its replica is killed: the other takes over, and knows since when.
	leader.Kill()
	becomes(t, 1, "sidecar_drift_ratio", nil, follower)
	age, absent, err := follower.value(t.Context(), "sidecar_drift_oldest_drift_seconds", nil)
	if err != nil || absent || age < 5 {
		t.Errorf("the oldest drift is %v seconds old (absent: %t, %v): the age was lost", age, absent, err)
	}

	// A namespace's label ends injection, and begins it again.
	label(t, c, namespace, fmt.Sprintf(`{%q:null}`, injector.NamespaceLabel), isNotInjected)
	becomes(t, 2, "sidecar_drift_pods", pods("Orphaned"), follower)
	label(t, c, namespace, fmt.Sprintf(`{%q:%q}`, injector.NamespaceLabel, namespace), isInjected)
	becomes(t, 2, "sidecar_drift_pods", pods("Drifted"), follower)

	// The workload's new revision is in sync.
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "rollout", "restart", "deployment/web"); err != nil {
		t.Fatal(err)
	}
	becomes(t, 0, "sidecar_drift_ratio", nil, follower)
	if _, absent, err := follower.value(t.Context(), "sidecar_drift_oldest_drift_seconds", nil); err != nil || !absent {
		t.Errorf("an age is left where nothing drifts (%v)", err)
	}
	if err := follower.Stop(); err != nil {
		t.Errorf("it does not stop in an orderly way: %v", err)
	}
}

// announced waits for an Event that says that injection changed so.
func announced(t *testing.T, c *cluster.Cluster, note string) {
	t.Helper()
	err := cluster.Poll(t.Context(), "an Event of the change", func(ctx context.Context) error {
		found, err := c.Client().EventsV1().Events(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, e := range found.Items {
			if e.Reason == "InjectionChanged" && strings.Contains(e.Note, note) {
				return nil
			}
		}
		return fmt.Errorf("none of %d Events says %q", len(found.Items), note)
	})
	if err != nil {
		t.Error(err)
	}
}

// While the API server is away the numbers stay, and say how old they are; then
// it goes on.
func TestServeWhileTheAPIServerIsAway(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, cluster.Options{})
	namespace := namespaceWith(t, c, nil)
	deployWeb(t, c, namespace, 2, "web")
	d := runDaemon(t, c, c.Kubeconfig(), "--namespace", "default", "--include-namespace", namespace, "--interval", "5s")
	pods := model.LabelSet{"namespace": model.LabelValue(namespace), "state": "NotInjected"}
	becomes(t, 2, "sidecar_drift_pods", pods, d)
	away := 20 * time.Second
	if *full {
		away = time.Minute
	}
	back := make(chan error, 1)
	go func() { back <- c.RestartAPIServer(context.Background(), away) }()
	failed := func(times float64) {
		t.Helper()
		err := cluster.Poll(t.Context(), "audits that fail", func(ctx context.Context) error {
			n, _, err := d.value(ctx, "sidecar_drift_audit_errors_total", model.LabelSet{"reason": "unavailable"})
			if err == nil && n < times {
				err = fmt.Errorf("%v have", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	lastSuccess := func() float64 {
		t.Helper()
		at, absent, err := d.value(t.Context(), "sidecar_drift_audit_last_success_timestamp_seconds", nil)
		if err != nil || absent {
			t.Fatalf("no last success: %v", err)
		}
		return at
	}
	failed(1)
	before := lastSuccess()
	failed(2)
	if now := lastSuccess(); now != before {
		t.Errorf("a success at %v without an API server, after one at %v", now, before)
	}
	if value, absent, err := d.value(t.Context(), "sidecar_drift_pods", pods); err != nil || absent || value != 2 {
		t.Errorf("the numbers of the last audit: %v, absent: %t (%v)", value, absent, err)
	}
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	if _, err := c.Kubectl(t.Context(), "", "-n", namespace, "scale", "deployment/web", "--replicas=3"); err != nil {
		t.Fatal(err)
	}
	becomes(t, 3, "sidecar_drift_pods", pods, d)
	select {
	case <-d.Done():
		t.Error("the daemon has ended")
	default:
	}
}
