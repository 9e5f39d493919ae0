// Package cluster runs a real Kubernetes control plane on this machine:
// etcd, kube-apiserver, kube-controller-manager and kube-scheduler, with kwok in
// the kubelets' place. Everything listens on loopback, on free ports, and is
// gone when the program that started it is, however that ended.
//
// Nothing runs in this cluster's Pods, and there is no Service network: what a
// Pod would run is started on the host with Run, under the Pod's own
// ServiceAccount (ServiceAccountKubeconfig), and webhooks are registered by URL
// (RegisterWebhook, InstallManifests).
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// ExternalKubeconfigVariable names an environment variable. Where it is set,
// Start uses the cluster of that kubeconfig and starts none.
const ExternalKubeconfigVariable = "TEST_KUBECONFIG"

// Options are what a caller may choose about a cluster.
type Options struct {
	// Nodes is the number of fake Nodes; 0 means 2. Each has 1,000 CPUs, 1 TiB
	// of memory and room for a million Pods.
	Nodes int
	// Dir is where the kubeconfig, the logs and etcd's data go, and what Stop
	// removes; it must not exist yet. Empty means a new temporary directory.
	Dir string
	// OneProcessor has each of the control plane's programs but the API server run on one
	// processor at a time, which costs less of them all where several clusters share few.
	OneProcessor bool
}

// Cluster is a running cluster. Its methods may be called concurrently.
type Cluster struct {
	dir        string
	kubeconfig string
	kubectl    string
	config     *rest.Config
	client     kubernetes.Interface
	objects    objects
	external   bool
	launcher   *launcher
	runtime    []string // settings of Go's, in the environment of the control plane

	etcdURL      string
	apiserver    *Process
	runAPIServer func() (*Process, error)

	mu        sync.Mutex
	processes []*Process
	keepDir   bool
}

// Start starts a cluster and returns when it is ready for use: the API server
// is, the Nodes take Pods, the namespace default has its ServiceAccount, and
// claims get volumes from the default StorageClass.
// Programs that are not cached are built first, which takes minutes.
//
// ctx bounds the start only. The caller must call Stop.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	if opts.Nodes == 0 {
		opts.Nodes = 2
	}
	dir, err := newDir(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("make a directory for the cluster: %w", err)
	}
	c := &Cluster{dir: dir, launcher: newLauncher(), runtime: []string{Seldom}}
	if opts.OneProcessor {
		c.runtime = append(c.runtime, "GOMAXPROCS=1")
	}
	if err := c.start(ctx, opts.Nodes); err != nil {
		c.KeepLogs()
		return nil, errors.Join(fmt.Errorf("start the cluster (logs in %s): %w", c.LogDir(), err), c.Stop())
	}
	return c, nil
}

func newDir(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "sidecar-drift-cluster-")
	}
	return dir, os.Mkdir(dir, 0o755)
}

func (c *Cluster) start(ctx context.Context, nodes int) error {
	if err := os.Mkdir(c.LogDir(), 0o755); err != nil {
		return err
	}
	if external := os.Getenv(ExternalKubeconfigVariable); external != "" {
		return c.useExternal(external)
	}
	if err := c.startControlPlane(ctx); err != nil {
		return err
	}
	if err := c.addStorageClass(ctx); err != nil {
		return err
	}
	return c.addNodes(ctx, nodes)
}

// Stop kills every process of the cluster, those of Run included, waits until
// they are gone and removes its directory, unless KeepLogs was called. Only what
// Run started is stopped if the cluster is External.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	processes, keep := c.processes, c.keepDir
	c.processes = nil
	c.mu.Unlock()
	for _, p := range processes {
		p.Kill()
	}
	c.launcher.stop()
	if keep {
		return os.RemoveAll(c.etcdDir())
	}
	return os.RemoveAll(c.dir)
}

// KeepLogs makes Stop leave LogDir in place. For when a test failed.
func (c *Cluster) KeepLogs() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keepDir = true
}

// Dir is the cluster's own directory, for files that should go when it does.
func (c *Cluster) Dir() string { return c.dir }

// LogDir holds a file NAME.log for every process.
func (c *Cluster) LogDir() string { return filepath.Join(c.dir, "logs") }

func (c *Cluster) etcdDir() string { return filepath.Join(c.dir, "etcd") }

// External tells that the cluster is the one of TEST_KUBECONFIG: it cannot
// reach webhooks on this machine, and may hold other people's workloads.
func (c *Cluster) External() bool { return c.external }

// Kubeconfig is the path of a kubeconfig file of a cluster administrator.
func (c *Cluster) Kubeconfig() string { return c.kubeconfig }

// RESTConfig returns a cluster administrator's client configuration, without
// limit on the client's side. The caller may change it.
func (c *Cluster) RESTConfig() *rest.Config { return rest.CopyConfig(c.config) }

// Client returns a cluster administrator's client.
func (c *Cluster) Client() kubernetes.Interface { return c.client }

// APIServer is the API server's process, until it is restarted; nil if the cluster
// is External.
func (c *Cluster) APIServer() *Process { return c.apiserver }

// connect reads the kubeconfig that the cluster's own client then uses.
func (c *Cluster) connect(kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig %s: %w", kubeconfig, err)
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client from kubeconfig %s: %w", kubeconfig, err)
	}
	if c.objects, err = newObjects(config, client); err != nil {
		return fmt.Errorf("make a client from kubeconfig %s: %w", kubeconfig, err)
	}
	c.kubeconfig, c.config, c.client = kubeconfig, config, client
	return nil
}

// pollTimeout bounds every wait for something that normally takes seconds: on a machine
// that does much else meanwhile, too.
const pollTimeout = 10 * time.Minute

// Who has waited for long asks less often: what is asked, and asking, costs as much of the
// processors as that which is waited for.
const (
	pollFirst  = 25 * time.Millisecond
	pollLast   = 500 * time.Millisecond
	pollSeldom = 2 * time.Second
)

// Poll calls condition, at first 40 times a second and then less and less often, down to
// twice, until it returns nil, one of the needed processes has ended, ctx is done or ten
// minutes have passed. The error holds condition's last one; what completes the sentence
// "wait for …".
func Poll(ctx context.Context, what string, condition func(context.Context) error, needed ...*Process) error {
	return poll(ctx, pollFirst, pollLast, what, condition, needed)
}

// PollSeldom is Poll for what takes long and a program of its own to ask: every two seconds.
func PollSeldom(ctx context.Context, what string, condition func(context.Context) error, needed ...*Process) error {
	return poll(ctx, pollSeldom, pollSeldom, what, condition, needed)
}

func poll(ctx context.Context, first, last time.Duration, what string, condition func(context.Context) error, needed []*Process) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	for wait := first; ; wait = min(wait*5/4, last) {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		for _, p := range needed {
			select {
			case <-p.Done():
				return fmt.Errorf("wait for %s: %s ended; its log %s ends:\n%s", what, p.Name(), p.LogFile(), p.logTail())
			default:
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; last: %w", what, ctx.Err(), err)
		case <-time.After(wait):
		}
	}
}
