// Package dapr runs the real Dapr sidecar injector beside a test cluster and
// changes what it injects as an upgrade of Dapr would.
package dapr

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
)

// Names of Dapr's.
const (
	// Namespace is that of Dapr's control plane.
	Namespace = "dapr-system"
	// SidecarContainer is the container that Dapr injects.
	SidecarContainer = "daprd"
	// Configuration is the webhook configuration.
	Configuration = "dapr-sidecar-injector"

	account = "dapr-injector"
)

// Options are how Dapr is installed: values of its chart.
type Options struct {
	// Unregistered: the injector only serves, and the API server does not know it. Another
	// one must be installed.
	Unregistered bool
	// SidecarImage is the sidecars' image; empty is that of Dapr 1.14.0.
	SidecarImage string
	// TrustAnchors are the CA certificates (PEM) that sidecars get; empty are
	// those of an authority that Start made.
	TrustAnchors string
	// AllowedServiceAccounts, NAMESPACE:NAME, are injected for beside the
	// controllers. Dapr tells either by the account's UID.
	AllowedServiceAccounts []string
	// AllowedServiceAccountsPrefixNames, NAMESPACE:NAME or with a * at the end of
	// either, are injected for, too. Dapr tells these by their names.
	AllowedServiceAccountsPrefixNames []string
}

// environment is what the chart's Deployment sets from its values.
func (o Options) environment() []string {
	image := o.SidecarImage
	if image == "" {
		image = "daprio/daprd:1.14.0"
	}
	return []string{
		"SIDECAR_IMAGE=" + image,
		"SIDECAR_IMAGE_PULL_POLICY=IfNotPresent",
		"KUBE_CLUSTER_DOMAIN=cluster.local",
		"DAPR_CONTROL_PLANE_TRUST_DOMAIN=cluster.local",
		"ACTORS_ENABLED=true",
		"ALLOWED_SERVICE_ACCOUNTS=" + strings.Join(o.AllowedServiceAccounts, ","),
		"ALLOWED_SERVICE_ACCOUNTS_PREFIX_NAMES=" + strings.Join(o.AllowedServiceAccountsPrefixNames, ","),
	}
}

// Injector is a running injector with its webhook registered. It mounts no token
// for Dapr's sentry into Pods (global.mtls.mountSentryVolume of the chart): that it
// has such a token itself is what Dapr goes by, and there is no sentry here.
type Injector struct {
	cluster *cluster.Cluster
	binary  string
	chart   chart
	dir     string
	port    int
	cert    *cluster.ServingCert
	opts    Options
	process *cluster.Process
}

// Start installs what Dapr's injector needs of Dapr's chart, serves it under an
// account of its own, registers the chart's webhook configuration (failurePolicy
// Ignore, for every Pod) and returns when the API server injects: into Pods with the
// annotation dapr.io/enabled that a controller creates, or somebody else for whom
// Dapr injects. The injector ends with the cluster, or by Stop.
func Start(ctx context.Context, c *cluster.Cluster, opts Options) (*Injector, error) {
	if c.External() {
		return nil, fmt.Errorf("run Dapr's injector: %w", cluster.ErrExternal)
	}
	set, err := binaries.Dapr(ctx)
	if err != nil {
		return nil, err
	}
	i := &Injector{cluster: c, binary: set.Path("dapr-injector"), chart: chart(filepath.Join(set.Dir, binaries.ChartsDir)), opts: opts}
	if i.dir, err = os.MkdirTemp(c.Dir(), "dapr-"); err != nil {
		return nil, err
	}
	if i.port, err = cluster.FreePort(); err != nil {
		return nil, err
	}
	if i.cert, err = cluster.NewServingCert(i.dir); err != nil {
		return nil, err
	}
	if err := i.start(ctx); err != nil {
		return nil, fmt.Errorf("start Dapr's injector (logs in %s): %w", c.LogDir(), err)
	}
	return i, nil
}

func (i *Injector) start(ctx context.Context) error {
	if i.opts.Unregistered {
		if err := i.serve(ctx); err != nil {
			return err
		}
		return i.waitServing(ctx)
	}
	if err := i.install(ctx); err != nil {
		return err
	}
	if err := i.serve(ctx); err != nil {
		return err
	}
	configuration, err := i.configuration()
	if err != nil {
		return err
	}
	if err := i.cluster.RegisterWebhook(ctx, configuration, i.port, i.cert.CA); err != nil {
		return err
	}
	return i.waitInjected(ctx)
}

// URL is where it injects.
func (i *Injector) URL() string { return fmt.Sprintf("https://127.0.0.1:%d/mutate", i.port) }

// CAFile vouches for it (PEM).
func (i *Injector) CAFile() string { return i.cert.CAFile }

// waitServing waits until somebody listens.
func (i *Injector) waitServing(ctx context.Context) error {
	return cluster.Poll(ctx, "Dapr's injector to serve", func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", i.port))
		if err == nil {
			_ = conn.Close()
		}
		return err
	}, i.process)
}

// controlPlane is what else the injector looks for: it tells sidecars where the
// scheduler's replicas are.
const controlPlane = `
apiVersion: v1
kind: Namespace
metadata: {name: ` + Namespace + `}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: dapr-scheduler-server, namespace: ` + Namespace + `}
spec:
  replicas: 1
  serviceName: dapr-scheduler-server
  selector: {matchLabels: {app: dapr-scheduler-server}}
  template:
    metadata: {labels: {app: dapr-scheduler-server}}
    spec: {containers: [{name: dapr-scheduler-server, image: "scheduler:1.14.0"}]}
`

// install applies what the injector needs, and waits for the accounts that it looks
// up once, at its start: the controller manager makes each when it needs it.
func (i *Injector) install(ctx context.Context) error {
	definitions, err := i.chart.definitions()
	if err != nil {
		return err
	}
	rights, err := i.chart.render(rightsTemplate)
	if err != nil {
		return err
	}
	for _, manifests := range []string{controlPlane, definitions} {
		if err := i.cluster.Apply(ctx, manifests); err != nil {
			return err
		}
	}
	// Helm installs what names no namespace into the release's.
	if _, err := i.cluster.Kubectl(ctx, rights, "apply", "--server-side", "--namespace", Namespace, "-f", "-"); err != nil {
		return err
	}
	if _, err := i.cluster.Kubectl(ctx, "", "wait", "--for=condition=Established", "--timeout=5m",
		"crd/components.dapr.io", "crd/configurations.dapr.io"); err != nil {
		return err
	}
	return cluster.Poll(ctx, "the controllers' ServiceAccounts", func(ctx context.Context) error {
		for _, name := range []string{"replicaset-controller", "statefulset-controller", "daemon-set-controller", "job-controller", "cronjob-controller"} {
			if _, err := i.cluster.Client().CoreV1().ServiceAccounts(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Configure restarts the injector with other options, and returns when it injects
// with them. In between no Pod is injected.
func (i *Injector) Configure(ctx context.Context, opts Options) error {
	i.opts = opts
	return errors.Join(i.Stop(), i.Restart(ctx))
}

// Stop stops the injector and leaves its webhook registered: from here on the API
// server creates Pods without it.
func (i *Injector) Stop() error {
	err := i.process.Stop()
	// Dapr gives connections five seconds, and exits with 1 where one stays open.
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil
	}
	return err
}

// Restart starts a stopped injector again, on its port, and returns when it injects.
func (i *Injector) Restart(ctx context.Context) error {
	if err := i.serve(ctx); err != nil {
		return err
	}
	return i.waitInjected(ctx)
}

// Uninstall stops the injector and deletes its webhook configuration.
func (i *Injector) Uninstall(ctx context.Context) error {
	err := i.cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().
		Delete(ctx, Configuration, metav1.DeleteOptions{})
	return errors.Join(err, i.Stop())
}

func (i *Injector) serve(ctx context.Context) error {
	kubeconfig, err := i.cluster.ServiceAccountKubeconfig(ctx, Namespace, account)
	if err != nil {
		return err
	}
	trustAnchors := filepath.Join(i.dir, "trust-anchors.pem")
	if err := os.WriteFile(trustAnchors, []byte(i.trustAnchors()), 0o644); err != nil {
		return err
	}
	name := account
	if i.opts.Unregistered {
		name += "-candidate"
	}
	i.process, err = i.cluster.Run(name, i.binary, []string{
		"--kubeconfig", kubeconfig, "--namespace", Namespace, "--port", strconv.Itoa(i.port),
		"--tls-cert", i.cert.CertFile, "--tls-key", i.cert.KeyFile, "--trust-anchors", trustAnchors,
	}, append(i.opts.environment(), cluster.Seldom))
	return err
}

func (i *Injector) trustAnchors() string {
	if i.opts.TrustAnchors != "" {
		return i.opts.TrustAnchors
	}
	return string(i.cert.CA)
}

func (i *Injector) configuration() (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	rendered, err := i.chart.render(webhookTemplate)
	if err != nil {
		return nil, err
	}
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := yaml.UnmarshalStrict([]byte(rendered), configuration); err != nil {
		return nil, fmt.Errorf("read the webhook configuration of Dapr's chart: %w", err)
	}
	return configuration, nil
}

// waitInjected waits until a Pod that asks for injection gets it, in a dry run, by
// an administrator, for whom Dapr injects, too.
func (i *Injector) waitInjected(ctx context.Context) error {
	probe := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "dapr-probe-",
			Annotations:  map[string]string{"dapr.io/enabled": "true", "dapr.io/app-id": "probe"},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
	return cluster.Poll(ctx, "Dapr's injector to be asked by the API server", func(ctx context.Context) error {
		pod, err := i.cluster.Client().CoreV1().Pods(metav1.NamespaceDefault).
			Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err
		}
		for _, container := range pod.Spec.Containers {
			if container.Name == SidecarContainer {
				return nil
			}
		}
		return errors.New("a Pod was not injected")
	}, i.process)
}
