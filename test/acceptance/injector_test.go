package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

var errNotInjected = errors.New("a Pod was not injected")

// injector is an injector of our own: it adds one container to the Pods of
// namespaces that are labelled test-injectors=yes, and fails open.
type injector struct {
	container string
	server    *http.Server

	mu    sync.Mutex
	image string
	// more returns further operations for the next Pod; nil: none.
	more func() []map[string]any
	// env returns the variables of the next container; nil: none.
	env func() []corev1.EnvVar
}

func startInjector(t *testing.T, c *cluster.Cluster, container, image string) *injector {
	t.Helper()
	dir := filepath.Join(c.Dir(), "injector-"+container)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cert, err := cluster.NewServingCert(dir)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i := &injector{container: container, image: image}
	i.server = &http.Server{Handler: i, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := i.server.ServeTLS(listener, cert.CertFile, cert.KeyFile); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	ignore, none, path := admissionregistrationv1.Ignore, admissionregistrationv1.SideEffectClassNone, "/inject"
	name := "test-injector-" + container
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: container + ".injector.test", FailurePolicy: &ignore, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				Service: &admissionregistrationv1.ServiceReference{Namespace: "default", Name: "injector", Path: &path},
			},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"test-injectors": "yes"}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}
	t.Cleanup(func() {
		i.stop()
		<-done
		err := c.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(context.Background(), name, metav1.DeleteOptions{})
		if err != nil {
			t.Error(err)
		}
	})
	if err := c.RegisterWebhook(t.Context(), configuration, listener.Addr().(*net.TCPAddr).Port, cert.CA); err != nil {
		t.Fatal(err)
	}
	return i
}

// injectedNamespace is a namespace in which so many of these injectors are asked.
func injectedNamespace(t *testing.T, c *cluster.Cluster, injectors int) string {
	t.Helper()
	namespace := namespaceWith(t, c, map[string]string{"test-injectors": "yes"})
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

// setImage changes the injection template.
func (i *injector) setImage(image string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.image = image
}

// setEnv has each injected container get the variables that env returns then.
func (i *injector) setEnv(env func() []corev1.EnvVar) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.env = env
}

// setMore has each Pod changed by the operations that more returns then, too.
func (i *injector) setMore(more func() []map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.more = more
}

func (i *injector) stop() { _ = i.server.Close() }

func (i *injector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	i.mu.Lock()
	sidecar := corev1.Container{Name: i.container, Image: i.image}
	if i.env != nil {
		sidecar.Env = i.env()
	}
	operations := []map[string]any{{"op": "add", "path": "/spec/containers/-", "value": sidecar}}
	if i.more != nil {
		operations = append(operations, i.more()...)
	}
	patch, err := json.Marshal(operations)
	i.mu.Unlock()
	if err != nil {
		http.Error(w, fmt.Sprint(err), http.StatusInternalServerError)
		return
	}
	patchType := admissionv1.PatchTypeJSONPatch
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, Patch: patch, PatchType: &patchType}
	review.Request = nil
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review)
}
