// Package injector runs small injectors of our own beside a test cluster: real
// MutatingWebhooks, whose answer a test chooses.
package injector

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// NamespaceLabel with the value "yes", or that of Options.Namespaces, has the
// injectors asked about a namespace's Pods.
const NamespaceLabel = "test-injectors"

// Options are how an injector is registered.
type Options struct {
	// Name is unique among the injectors of a cluster.
	Name string
	// Configuration names the webhook configuration, by which webhooks are
	// ordered; empty means test-injector-NAME, which comes before the stamper's.
	Configuration string
	// Namespaces is the value of NamespaceLabel that selects namespaces; empty
	// means "yes".
	Namespaces string
	// Reinvoke has the injector asked again about a Pod that others have changed
	// after it (reinvocationPolicy IfNeeded).
	Reinvoke bool
	// Webhook is the webhook's name; empty means NAME.injector.test.
	Webhook string
	// Unregistered: it only serves, at URL, and the API server does not know it.
	Unregistered bool
	// MatchConditions are those of the webhook.
	MatchConditions []admissionregistrationv1.MatchCondition
}

// Operation is one of a JSON patch (RFC 6902).
type Operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// Request is what an injector is asked about.
type Request struct {
	Pod       *corev1.Pod
	Namespace string
	User      authenticationv1.UserInfo
	DryRun    bool
	// Client is for what an injector looks up.
	Client kubernetes.Interface

	refusal *string // set by Refuse
}

// Refuse has the Pod refused, with a message; what the Answer returns is of no effect.
func (r Request) Refuse(message string) []Operation {
	*r.refusal = message
	return nil
}

// Answer is what an injector does to a Pod.
type Answer func(Request) []Operation

// AddContainer adds a container behind all others.
func AddContainer(container any) Operation {
	return Operation{Op: "add", Path: "/spec/containers/-", Value: container}
}

// Injector is a running injector. It fails open.
type Injector struct {
	cluster       *cluster.Cluster
	client        kubernetes.Interface
	configuration string
	cert          *cluster.ServingCert
	address       string
	server        *http.Server
	serving       chan error

	mu     sync.Mutex
	answer Answer
}

// Start runs an injector. Until Inject is called it changes nothing. The caller
// must Close it.
func Start(ctx context.Context, c *cluster.Cluster, opts Options) (*Injector, error) {
	opts.Configuration = cmp.Or(opts.Configuration, "test-injector-"+opts.Name)
	dir := filepath.Join(c.Dir(), "injector-"+opts.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	cert, err := cluster.NewServingCert(dir)
	if err != nil {
		return nil, err
	}
	i := &Injector{
		cluster: c, client: c.Client(), configuration: opts.Configuration, cert: cert, address: "127.0.0.1:0",
		answer: func(Request) []Operation { return nil },
	}
	port, err := i.serve(ctx)
	if err != nil {
		return nil, err
	}
	if opts.Unregistered {
		return i, nil
	}
	if err := i.register(ctx, opts, port, cert.CA); err != nil {
		return nil, errors.Join(err, i.Close(ctx))
	}
	return i, nil
}

// URL is where it answers.
func (i *Injector) URL() string { return "https://" + i.address + "/inject" }

// CAFile vouches for it (PEM).
func (i *Injector) CAFile() string { return i.cert.CAFile }

// serve has the injector answer, at the address that it had before, if any.
func (i *Injector) serve(ctx context.Context) (port int, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", i.address)
	if err != nil {
		return 0, err
	}
	i.address, i.serving = listener.Addr().String(), make(chan error, 1)
	i.server = &http.Server{Handler: i, ReadHeaderTimeout: 10 * time.Second}
	go func() { i.serving <- i.server.ServeTLS(listener, i.cert.CertFile, i.cert.KeyFile) }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// Restart has an injector answer again that was stopped.
func (i *Injector) Restart(ctx context.Context) error {
	_, err := i.serve(ctx)
	return err
}

func (i *Injector) register(ctx context.Context, opts Options, port int, ca []byte) error {
	ignore, none, path := admissionregistrationv1.Ignore, admissionregistrationv1.SideEffectClassNone, "/inject"
	reinvocation := admissionregistrationv1.NeverReinvocationPolicy
	if opts.Reinvoke {
		reinvocation = admissionregistrationv1.IfNeededReinvocationPolicy
	}
	return i.cluster.RegisterWebhook(ctx, &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: i.configuration},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: cmp.Or(opts.Webhook, opts.Name+".injector.test"), FailurePolicy: &ignore, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				Service: &admissionregistrationv1.ServiceReference{Namespace: "default", Name: "injector", Path: &path},
			},
			NamespaceSelector:  &metav1.LabelSelector{MatchLabels: map[string]string{NamespaceLabel: cmp.Or(opts.Namespaces, "yes")}},
			ReinvocationPolicy: &reinvocation, MatchConditions: opts.MatchConditions,
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}, port, ca)
}

// Inject has each Pod from now on changed by what answer returns, which is never
// called concurrently.
func (i *Injector) Inject(answer Answer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

// Stop stops the injector and leaves its webhook registered: from here on Pods
// are created without it.
func (i *Injector) Stop() error {
	if i.serving == nil {
		return nil
	}
	_ = i.server.Close()
	err := <-i.serving
	i.serving = nil
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close stops the injector and deletes its webhook configuration.
func (i *Injector) Close(ctx context.Context) error {
	err := i.cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().
		Delete(ctx, i.configuration, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		err = nil
	}
	return errors.Join(err, i.Stop())
}

func (i *Injector) ask(r Request) []Operation {
	i.mu.Lock()
	defer i.mu.Unlock() // an answer may panic with http.ErrAbortHandler
	return i.answer(r)
}

// Fails is the answer of an injector that is down.
func Fails(Request) []Operation { panic(http.ErrAbortHandler) }

// ServeHTTP answers an AdmissionReview.
func (i *Injector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
		http.Error(w, fmt.Sprint("no AdmissionReview: ", err), http.StatusBadRequest)
		return
	}
	var pod corev1.Pod
	if err := json.Unmarshal(review.Request.Object.Raw, &pod); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	dryRun := review.Request.DryRun != nil && *review.Request.DryRun
	refusal := ""
	operations := i.ask(Request{
		Pod: &pod, Namespace: review.Request.Namespace, User: review.Request.UserInfo, DryRun: dryRun,
		Client: i.client, refusal: &refusal,
	})
	switch {
	case refusal != "":
		review.Response.Allowed = false
		review.Response.Result = &metav1.Status{Code: http.StatusForbidden, Message: refusal}
	case len(operations) > 0:
		patch, err := json.Marshal(operations)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		kind := admissionv1.PatchTypeJSONPatch
		review.Response.Patch, review.Response.PatchType = patch, &kind
	}
	review.Request = nil
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review)
}
