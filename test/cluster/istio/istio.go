// Package istio runs the real Istio sidecar injector beside a test cluster and
// changes its template as an upgrade of Istio would.
package istio

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
)

// ProxyContainer is the name of the container that Istio injects.
const ProxyContainer = "istio-proxy"

// Options are how Istio is installed.
type Options struct {
	// Revision is Istio's; empty is the default one. Another one's injector has
	// a webhook configuration of its own, which selects namespaces, and Pods in
	// namespaces that select nothing, by istio.io/rev=REVISION.
	Revision string
	// Set are values of Istio's charts, each PATH=VALUE as in istioctl's --set,
	// such as values.global.tag=1.27.0, or meshConfig.accessLogFile=/dev/stdout
	// for the mesh configuration.
	Set []string
	// ProxyConfigs are the ProxyConfig resources that exist, as YAML documents.
	ProxyConfigs string
	// Unregistered: the injector only serves, and the API server does not know it.
	Unregistered bool
	// NativeSidecars renders istio-proxy as a restartable init container
	// (ENABLE_NATIVE_SIDECARS).
	NativeSidecars bool
}

// Values are values of Istio's charts for Options.Set and Update: the proxy's
// image tag and CPU request, which is what most template changes here change,
// and what else the caller wants.
func Values(tag, cpuRequest string, more ...string) []string {
	return append([]string{
		"values.global.hub=istio",
		"values.global.tag=" + tag,
		"values.global.proxy.resources.requests.cpu=" + cpuRequest,
	}, more...)
}

// Injector is a running injector with its webhook registered.
type Injector struct {
	cluster *cluster.Cluster
	binary  string
	dir     string
	port    int
	cert    *cluster.ServingCert
	opts    Options
	client  *http.Client
	process *cluster.Process

	rendered map[string]rendering // by what it was rendered with
}

// Start renders Istio's charts, serves the injection template in them, registers
// the charts' own webhook configuration (failurePolicy Fail; the default
// revision's selects namespaces by istio-injection=enabled and Pods by
// sidecar.istio.io/inject=true) and returns when the API server injects.
// The injector ends with the cluster, or by Stop.
func Start(ctx context.Context, c *cluster.Cluster, opts Options) (*Injector, error) {
	if c.External() {
		return nil, fmt.Errorf("run Istio's injector: %w", cluster.ErrExternal)
	}
	set, err := binaries.Istio(ctx)
	if err != nil {
		return nil, err
	}
	i := &Injector{cluster: c, binary: set.Path("istio-injector"), opts: opts, rendered: map[string]rendering{}}
	if i.dir, err = os.MkdirTemp(c.Dir(), "istio-"); err != nil {
		return nil, err
	}
	if i.port, err = cluster.FreePort(); err != nil {
		return nil, err
	}
	if i.cert, err = cluster.NewServingCert(i.dir); err != nil {
		return nil, err
	}
	if i.client, err = httpClient(i.cert.CA); err != nil {
		return nil, err
	}
	if err := i.start(ctx); err != nil {
		return nil, fmt.Errorf("start Istio's injector (logs in %s): %w", c.LogDir(), err)
	}
	return i, nil
}

func (i *Injector) start(ctx context.Context) error {
	digest, err := i.render(ctx)
	if err != nil {
		return err
	}
	if err := i.serve(); err != nil {
		return err
	}
	if i.opts.Unregistered {
		return i.waitLoaded(ctx, digest)
	}
	if err := i.register(ctx); err != nil {
		return err
	}
	if err := i.waitLoaded(ctx, digest); err != nil {
		return err
	}
	return i.waitInjected(ctx)
}

// URL is where it injects, and CAFile vouches for it.
func (i *Injector) URL() string { return fmt.Sprintf("https://127.0.0.1:%d/inject", i.port) }

// CAFile holds the certificate of its authority (PEM).
func (i *Injector) CAFile() string { return i.cert.CAFile }

// Update replaces the injection template by the one that the charts render with
// these values alone (those of Start or an earlier Update do not persist), as
// istioctl upgrade would, and returns when the injector uses it. It works on a
// stopped injector too; the new template then holds from Restart on.
func (i *Injector) Update(ctx context.Context, set ...string) error {
	opts := i.opts
	opts.Set = set
	return i.Configure(ctx, opts)
}

// Configure is Update for all that Start was given but the revision, which stays.
// Other NativeSidecars restart a running injector.
func (i *Injector) Configure(ctx context.Context, opts Options) error {
	restart := opts.NativeSidecars != i.opts.NativeSidecars && i.running()
	opts.Revision, opts.Unregistered = i.opts.Revision, i.opts.Unregistered
	i.opts = opts
	digest, err := i.render(ctx)
	if err != nil {
		return err
	}
	if restart {
		if err := errors.Join(i.Stop(), i.Restart(ctx)); err != nil {
			return err
		}
	}
	if !i.running() {
		return nil
	}
	return i.waitLoaded(ctx, digest)
}

// Stop stops the injector and leaves its webhook registered: from here on the
// API server refuses Pods that would be injected.
func (i *Injector) Stop() error { return i.process.Stop() }

// Restart starts a stopped injector again, on its port, and returns when it
// answers.
func (i *Injector) Restart(ctx context.Context) error {
	if err := i.serve(); err != nil {
		return err
	}
	return i.poll(ctx, "to answer", func(ctx context.Context) error {
		_, err := i.loaded(ctx)
		return err
	})
}

// Uninstall stops the injector and deletes its webhook configuration.
func (i *Injector) Uninstall(ctx context.Context) error {
	configuration, err := i.configuration()
	if err != nil {
		return err
	}
	err = i.cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().
		Delete(ctx, configuration.Name, metav1.DeleteOptions{})
	return errors.Join(err, i.Stop())
}

func (i *Injector) serve() (err error) {
	name := "istio-injector"
	if i.opts.Revision != "" {
		name += "-" + i.opts.Revision
	}
	if i.opts.Unregistered {
		name += "-candidate"
	}
	i.process, err = i.cluster.Run(name, i.binary,
		[]string{
			"serve", "--dir", i.dir, "--address", "127.0.0.1:" + strconv.Itoa(i.port),
			"--tls-cert", i.cert.CertFile, "--tls-key", i.cert.KeyFile, "--revision", i.opts.Revision,
		},
		[]string{cluster.Seldom, "ENABLE_NATIVE_SIDECARS=" + strconv.FormatBool(i.opts.NativeSidecars)})
	return err
}

func (i *Injector) running() bool {
	select {
	case <-i.process.Done():
		return false
	default:
		return true
	}
}

func (i *Injector) register(ctx context.Context) error {
	configuration, err := i.configuration()
	if err != nil {
		return err
	}
	return i.cluster.RegisterWebhook(ctx, configuration, i.port, i.cert.CA)
}

func (i *Injector) configuration() (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	rendered, err := os.ReadFile(filepath.Join(i.dir, "webhook.yaml"))
	if err != nil {
		return nil, err
	}
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := yaml.Unmarshal(rendered, configuration); err != nil {
		return nil, fmt.Errorf("read the webhook configuration of Istio's charts: %w", err)
	}
	return configuration, nil
}

// waitLoaded waits until the injector reports that it uses the files of digest.
func (i *Injector) waitLoaded(ctx context.Context, digest string) error {
	return i.poll(ctx, "to use its new template", func(ctx context.Context) error {
		loaded, err := i.loaded(ctx)
		if err == nil && loaded != digest {
			err = fmt.Errorf("it uses the files of digest %.12s, not %.12s", loaded, digest)
		}
		return err
	})
}

// loaded asks the injector for the digest of the files that it uses.
func (i *Injector) loaded(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/loaded", i.port), nil)
	if err != nil {
		return "", err
	}
	response, err := i.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", request.URL, response.Status)
	}
	return string(body), err
}

// waitInjected waits until a Pod that asks for injection gets it, in a dry run.
func (i *Injector) waitInjected(ctx context.Context) error {
	probe := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "istio-probe-",
			Labels:       map[string]string{"sidecar.istio.io/inject": "true"},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
	if i.opts.Revision != "" {
		probe.Labels["istio.io/rev"] = i.opts.Revision
	}
	return i.poll(ctx, "to be asked by the API server", func(ctx context.Context) error {
		pod, err := i.cluster.Client().CoreV1().Pods(metav1.NamespaceDefault).
			Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err
		}
		for _, container := range append(pod.Spec.Containers, pod.Spec.InitContainers...) {
			if container.Name == ProxyContainer {
				return nil
			}
		}
		return errors.New("a Pod was not injected")
	})
}

// poll waits until condition returns nil or the injector has ended.
func (i *Injector) poll(ctx context.Context, what string, condition func(context.Context) error) error {
	return cluster.Poll(ctx, "Istio's injector "+what, condition, i.process)
}

func httpClient(ca []byte) (*http.Client, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the CA is not a PEM certificate")
	}
	return &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true},
	}, nil
}
