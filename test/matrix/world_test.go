package matrix

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

// plain is the namespace of rows that name none.
const plain = "matrix"

const rowLabel = "matrix-row"

// deployment is the manifest of rows that have none.
const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: IN}
spec:
  selector: {matchLabels: {matrix-row: "ROW"}}
  template: {metadata: {labels: {matrix-row: "ROW"}}, spec: {containers: [{name: app, image: "app:1"}]}}
`

// matrix is the table on the cluster: a workload a row.
type matrix struct {
	*cluster.Cluster
	rows      []row
	injectors map[string]*injector.Injector
	istio     []*istio.Injector
	// Who audits: the installation's identity as itself, and as the Pods' controllers.
	self, controller *asker
}

// step does something to a row's workload.
type step func(context.Context, *workload) error

// workload is a row's workload on the cluster.
type workload struct {
	*matrix
	row
	n int
}

func (w *workload) id() string        { return name(w.n) }
func (w *workload) namespace() string { return cmp.Or(w.in, plain) }

func name(n int) string { return fmt.Sprintf("row-%04d", n) }

// selected returns the rows that -only names.
func selected(all []row) []row {
	return slices.DeleteFunc(all, func(r row) bool {
		return !strings.Contains(r.group, *only) && !strings.Contains(r.name, *only)
	})
}

func newMatrix(t *testing.T, rows []row) *matrix {
	t.Helper()
	c := clustertest.New(t, cluster.Options{})
	product, err := install.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := product.Stop(); err != nil {
			t.Error(err)
		}
	})
	m := &matrix{Cluster: c, rows: rows, injectors: map[string]*injector.Injector{}}
	rest.SetDefaultWarningHandler(rest.NoWarnings{}) // deprecated fields are part of it
	if err := m.askers(t.Context(), product); err != nil {
		t.Fatal(err)
	}
	for _, opts := range []injector.Options{
		{Name: first, Configuration: "a-first"},
		{Name: second, Configuration: "b-second"},
		{Name: again, Configuration: "c-again", Reinvoke: true},
		{Name: late, Configuration: "zzz-late"},
		{Name: alikeDapr, Configuration: "d-like-dapr", Namespaces: alikeDapr, Webhook: injector.DaprWebhook},
		{Name: controllersOnly, Configuration: "e-controllers", Namespaces: controllersOnly, MatchConditions: []admissionregistrationv1.MatchCondition{{
			Name: "by-a-controller", Expression: "request.userInfo.username.startsWith('system:serviceaccount:kube-system:')",
		}}},
	} {
		i, err := injector.Start(t.Context(), c, opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := i.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		m.injectors[opts.Name] = i
	}
	return m
}

// inject has every injector do to the Pods of each row what answersOf says.
func (m *matrix) inject(answersOf func(row) answers) {
	for name, i := range m.injectors {
		i.Inject(func(r injector.Request) []injector.Operation {
			n, err := strconv.Atoi(r.Pod.Labels[rowLabel])
			if err != nil || n >= len(m.rows) {
				return nil
			}
			if answer := answersOf(m.rows[n])[name]; answer != nil {
				return answer(r)
			}
			return nil
		})
	}
}

// namespaces are those of the rows, sorted.
func (m *matrix) namespaces() []string {
	var all []string
	for n := range m.rows {
		all = append(all, m.workload(n).namespace())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (m *matrix) workload(n int) *workload { return &workload{m, m.rows[n], n} }

// create makes the workloads and waits for their Pods.
func (m *matrix) create(t *testing.T) {
	t.Helper()
	m.startIstio(t)
	var namespaces, manifests strings.Builder
	for _, namespace := range m.namespaces() {
		asked := "yes"
		if namespace == controllersOnly || namespace == alikeDapr {
			asked = namespace
		}
		fmt.Fprintf(&namespaces, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {%s: %q%s}}\n", namespace, injector.NamespaceLabel, asked, istioLabels[namespace])
	}
	for n, r := range m.rows {
		manifests.WriteString("\n---")
		manifests.WriteString(m.workload(n).text(cmp.Or(r.manifest, deployment)))
	}
	if err := m.Apply(t.Context(), namespaces.String()); err != nil {
		t.Fatal(err)
	}
	if err := m.serviceAccounts(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.Apply(t.Context(), manifests.String()); err != nil {
		t.Fatal(err)
	}
	m.each(t, func(r row) step {
		if r.noPods {
			return nil
		}
		return waitForPods
	})
	m.each(t, func(r row) step { return r.made })
}

// serviceAccounts waits until Pods can be created in every namespace.
func (m *matrix) serviceAccounts(ctx context.Context) error {
	return cluster.Poll(ctx, "the ServiceAccounts", func(ctx context.Context) error {
		for _, namespace := range m.namespaces() {
			if _, err := m.Client().CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (m *matrix) change(t *testing.T) {
	t.Helper()
	m.changeIstio(t)
	m.each(t, func(r row) step { return r.change })
}

// each does a step of every row that has it.
func (m *matrix) each(t *testing.T, of func(row) step) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(4)
	for n, r := range m.rows {
		if do := of(r); do != nil {
			group.Go(func() error {
				if err := do(ctx, m.workload(n)); err != nil {
					return fmt.Errorf("%s: %s: %w", r.group, r.name, err)
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// text replaces what stands for the workload in a manifest.
func (w *workload) text(manifest string) string {
	return strings.NewReplacer("NAME", w.id(), "IN", w.namespace(), "ROW", strconv.Itoa(w.n)).Replace(manifest)
}

// kubectl runs kubectl in the workload's namespace; NAME in an argument is the
// workload's name.
func (w *workload) kubectl(ctx context.Context, args ...string) error {
	full := []string{"-n", w.namespace()}
	for _, arg := range args {
		full = append(full, w.text(arg))
	}
	_, err := w.Kubectl(ctx, "", full...)
	return err
}

// live returns the workload's Pods that are neither finished nor being deleted,
// sorted by name.
func (w *workload) live(ctx context.Context) ([]corev1.Pod, error) {
	list, err := w.Client().CoreV1().Pods(w.namespace()).List(ctx, metav1.ListOptions{LabelSelector: fmt.Sprintf("%s=%d", rowLabel, w.n)})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	}), nil
}

// waitForPods waits for the row's Pods, ready ones unless it says otherwise.
func waitForPods(ctx context.Context, w *workload) error { return w.waitFor(ctx, max(w.pods, 1)) }

func (w *workload) waitFor(ctx context.Context, pods int) error {
	err := cluster.Poll(ctx, fmt.Sprintf("%d Pods of %s", pods, w.id()), func(ctx context.Context) error {
		live, err := w.live(ctx)
		if err != nil {
			return err
		}
		ready := slices.DeleteFunc(slices.Clone(live), func(p corev1.Pod) bool { return !isReady(p) })
		if len(live) != pods || !w.pending && len(ready) != pods {
			return fmt.Errorf("there are %d, %d ready", len(live), len(ready))
		}
		return nil
	})
	if err != nil {
		return errors.Join(err, w.warnings(ctx))
	}
	return nil
}

// warnings are what Events say of the row.
func (w *workload) warnings(ctx context.Context) error {
	events, err := w.Client().CoreV1().Events(w.namespace()).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"})
	if err != nil {
		return err
	}
	var warnings []error
	for _, event := range events.Items {
		if strings.HasPrefix(event.InvolvedObject.Name, w.id()) {
			warnings = append(warnings, errors.New(event.Message))
		}
	}
	return errors.Join(warnings...)
}

func isReady(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
