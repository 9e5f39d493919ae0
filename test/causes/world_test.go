package causes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/cause"
	"github.com/sidecar-drift/sidecar-drift/auditor/cause/inputs"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/dapr"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// world is a cluster with injectors, what they go by, and an auditor that remembers, with the
// identity of the installation.
type world struct {
	*cluster.Cluster
	dynamic dynamic.Interface
	auditor *rest.Config
	asks    kubernetes.Interface // as the auditor
	reader  *inputs.Reader
	ledger  cause.Ledger
	journal journal.Journal
	clock   clock

	istio *istio.Injector
	mesh  mesh
	dapr  *dapr.Injector
}

// patience is the longest that a write may take to be in force.
const patience = time.Minute

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clustertest.New(t, cluster.Options{})
	w := &world{Cluster: c}
	w.lookBefore(t)
	product, err := install.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := product.Stop(); err != nil {
			t.Error(err)
		}
	})
	if w.dynamic, err = dynamic.NewForConfig(c.RESTConfig()); err != nil {
		t.Fatal(err)
	}
	if w.auditor, err = c.ServiceAccountConfig(t.Context(), install.Namespace, install.AuditorAccount); err != nil {
		t.Fatal(err)
	}
	w.auditor.QPS, w.auditor.Burst = 200, 400
	if w.asks, err = kubernetes.NewForConfig(w.auditor); err != nil {
		t.Fatal(err)
	}
	if w.reader, err = inputs.New(w.auditor); err != nil {
		t.Fatal(err)
	}
	w.allow(t)
	w.build(t)
	return w
}

// lookBefore is the first look, which a daemon has long behind it.
func (w *world) lookBefore(t *testing.T) {
	t.Helper()
	reader, err := inputs.New(w.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	seen, err := reader.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.ledger.Observe(seen)
}

// allow gives the auditor the component's rights, and a Role in each injector's namespace, as
// docs/changes.md has it.
func (w *world) allow(t *testing.T) {
	t.Helper()
	root, err := install.Root()
	if err != nil {
		t.Fatal(err)
	}
	rights, err := os.ReadFile(filepath.Join(root, "manifests", "components", "causes", "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Apply(t.Context(), string(rights)); err != nil {
		t.Fatal(err)
	}
	var manifests strings.Builder
	for _, name := range systems {
		fmt.Fprintf(&manifests, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", name)
	}
	for _, r := range []resource{proxyConfigs, instrumentation, podDefaults, agents} {
		manifests.WriteString(definition(r))
	}
	if err := w.Apply(t.Context(), manifests.String()); err != nil {
		t.Fatal(err)
	}
	w.kubectl(t, "wait", "--for=condition=Established", "--timeout=5m", "crd", "--all")
	for _, namespace := range systems {
		w.kubectl(t, "-n", namespace, "create", "role", "sidecar-drift-causes", "--verb=list", "--resource=configmaps,services,agents.own.example.com")
		w.kubectl(t, "-n", namespace, "create", "rolebinding", "sidecar-drift-causes", "--role=sidecar-drift-causes", "--serviceaccount=sidecar-drift:sidecar-drift-auditor")
	}
}

func (w *world) kubectl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := w.Kubectl(t.Context(), "", args...); err != nil {
		t.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
}

// audit is a round of the daemon's.
func (w *world) audit(ctx context.Context) (*report.Report, error) {
	began := time.Now()
	found, err := audit.Run(ctx, w.auditor, audit.Options{
		Selection: inventory.Selection{IncludeNamespaces: apps()}, Concurrency: 8, DryRunAs: injection.Self,
	})
	if err != nil {
		return nil, err
	}
	found.Group()
	observed := found.Observed()
	observed.Began, observed.At, observed.Asked = w.clock.of(began), w.clock.of(time.Now()), true
	w.journal.Observe(observed)
	return found, nil
}

func (w *world) look(ctx context.Context) error {
	seen, err := w.reader.Look(ctx)
	if err != nil {
		return err
	}
	w.ledger.Observe(w.clock.seen(seen))
	return nil
}

// run makes one change between two rounds, and asks whose it is, as the daemon does. Apart: an
// hour after all that was written before, and of the other writes three of four times, too.
func (w *world) run(t *testing.T, s scenario, manager string, round, n int, apart bool) outcome {
	t.Helper()
	ctx := t.Context()
	if s.before != nil {
		if err := s.before(ctx, w, manager, round); err != nil {
			t.Fatalf("%s: %v", s.kind, err)
		}
		w.heal(t)
	}
	write := func(decoys []decoy) {
		t.Helper()
		for _, d := range decoys {
			if err := d(ctx, w); err != nil {
				t.Fatalf("%s: a decoy: %v", s.kind, err)
			}
		}
	}
	number := round*31 + n
	crowded := !apart || n%4 == 3
	if apart && crowded {
		number = 8*number + 7 // with one that may have made it
	}
	decoys := w.decoys(s, number)
	if !crowded {
		write(decoys)
		decoys = nil
	}
	if apart {
		w.clock.anHourLater()
	}
	w.becomesCalm(t, s.kind)
	answered := w.probe(t, s.at)
	if s.manager != "" {
		manager = s.manager
	}
	write(decoys[:len(decoys)/2])
	if err := s.change(ctx, w, manager, round); err != nil {
		t.Fatalf("%s: %v", s.kind, err)
	}
	write(decoys[len(decoys)/2:])
	soon, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := cluster.Poll(soon, s.kind+" to be in force", func(context.Context) error {
		switch given := w.probe(t, s.at); {
		case given == answered:
			return errors.New("a Pod is given the same as before")
		case given == "":
			return errors.New("a Pod is refused")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	found, err := w.audit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	o := outcome{scenario: s, manager: manager, apart: apart, crowded: crowded}
	for _, v := range w.explain(t, found) {
		// Of several changes that one write made, the worst answer counts.
		this := o
		this.verdict = v
		this.rank = 1 + slices.IndexFunc(v.Writes, func(c cause.Write) bool { return s.truth(c, manager) })
		if o.verdict.By == "" || this.wrong() || !o.wrong() && (this.rank == 0 || this.rank > o.rank) {
			o = this
		}
	}
	if o.verdict.By == "" {
		t.Errorf("%s by %s opened no change: %s", s.kind, manager, states(found))
	}
	if s.after != nil {
		if err := s.after(ctx, w, manager, round); err != nil {
			t.Fatal(err)
		}
	}
	w.heal(t)
	return o
}

// becomesCalm has the Pods be what injection answers, which is known, and all that it goes by.
func (w *world) becomesCalm(t *testing.T, kind string) {
	t.Helper()
	soon, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := cluster.Poll(soon, "everything to be in sync before "+kind, func(ctx context.Context) error {
		found, err := w.audit(ctx)
		if err != nil {
			return err
		}
		w.explain(t, found)
		var left []string
		for _, item := range found.Items {
			if item.State.Drift() || item.State == verdict.Blocked {
				left = append(left, fmt.Sprintf("%s/%s is %s", item.Namespace, item.Name, item.State))
			}
		}
		if len(left) > 0 {
			w.heal(t)
			return errors.New(strings.Join(left, ", "))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// The same change comes again in the next round: of a journal that knows it, it would be
	// the same one.
	w.journal = journal.Journal{}
	found, err := w.audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.explain(t, found)
}

// explain looks, and says whose the changes are that began, as the daemon does after a round.
func (w *world) explain(t *testing.T, found *report.Report) (verdicts []cause.Verdict) {
	t.Helper()
	if err := w.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := w.journal.Unexplained()
	for _, q := range found.Questions() {
		at, open := began[q.ID]
		if !open {
			continue
		}
		q.After, q.By = at.After, at.By
		q.Injectors, q.Beside = w.reader.Makers(q.Change, q.Webhook, q.Mutators)
		v := w.ledger.Judge(q.Change)
		w.journal.Explain(q.ID, at, v)
		verdicts = append(verdicts, v)
	}
	return verdicts
}

// heal re-creates all Pods of the apps that drift.
func (w *world) heal(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	found, err := w.audit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w.explain(t, found)
	for _, item := range found.Items {
		if !item.State.Drift() {
			continue
		}
		if err := w.Client().CoreV1().Pods(item.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}, metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		err := cluster.Poll(ctx, "the Pods of "+item.Namespace, func(ctx context.Context) error { return w.running(ctx, item.Namespace) })
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) running(ctx context.Context, namespace string) error {
	pods, err := w.Client().CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, p := range pods.Items {
		if p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodRunning {
			return nil
		}
	}
	return errors.New("none runs")
}

// states says how the apps stand.
func states(found *report.Report) string {
	var b strings.Builder
	for _, item := range found.Items {
		fmt.Fprintf(&b, "%s/%s is %s", item.Namespace, item.Name, item.State)
		for _, r := range item.Revisions {
			fmt.Fprintf(&b, " %s %d", r.Reason, len(r.Changes))
		}
		b.WriteString("; ")
	}
	return b.String()
}

var random = regexp.MustCompile(`kube-api-access-\w{5}`)

// probe is what a Pod of a namespace would be.
func (w *world) probe(t *testing.T, namespace string) string {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe", Namespace: namespace, Labels: map[string]string{"app": "web"}, Annotations: daprAnnotations(namespace)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:1"}}},
	}
	pod, err := w.asks.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return "" // it is refused
	}
	text, err := json.Marshal(pod.Spec)
	if err != nil {
		t.Fatal(err)
	}
	return random.ReplaceAllString(string(text), "")
}
