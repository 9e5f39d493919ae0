package acceptance

import (
	"context"
	"errors"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/injector"
)

var errNotInjected = errors.New("a Pod was not injected")

// sidecarInjector adds one container to each Pod, and what else a test wants.
type sidecarInjector struct {
	*injector.Injector
	container string

	mu    sync.Mutex
	image string
	// env returns the variables of the next container, and more further
	// operations for its Pod; nil: none.
	env  func() []corev1.EnvVar
	more func() []injector.Operation
}

func startInjector(t *testing.T, c *cluster.Cluster, container, image string) *sidecarInjector {
	t.Helper()
	running, err := injector.Start(t.Context(), c, injector.Options{Name: container})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	i := &sidecarInjector{Injector: running, container: container, image: image}
	running.Inject(i.patch)
	return i
}

func (i *sidecarInjector) patch(injector.Request) []injector.Operation {
	i.mu.Lock()
	defer i.mu.Unlock()
	sidecar := corev1.Container{Name: i.container, Image: i.image}
	if i.env != nil {
		sidecar.Env = i.env()
	}
	operations := []injector.Operation{injector.AddContainer(sidecar)}
	if i.more != nil {
		operations = append(operations, i.more()...)
	}
	return operations
}

// setImage changes the injection template.
func (i *sidecarInjector) setImage(image string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.image = image
}

// setEnv has each injected container get the variables that env returns then.
func (i *sidecarInjector) setEnv(env func() []corev1.EnvVar) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.env = env
}

// setMore has each Pod changed by the operations that more returns then, too.
func (i *sidecarInjector) setMore(more func() []injector.Operation) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.more = more
}

// injectedNamespace is a namespace in which so many of these injectors are asked.
func injectedNamespace(t *testing.T, c *cluster.Cluster, injectors int) string {
	t.Helper()
	namespace := namespaceWith(t, c, map[string]string{injector.NamespaceLabel: "yes"})
	err := cluster.Poll(t.Context(), "the injectors", func(ctx context.Context) error {
		pod, err := c.Client().CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"}, Spec: podSpec(),
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && len(pod.Spec.Containers) != 1+injectors {
			err = errNotInjected
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return namespace
}
