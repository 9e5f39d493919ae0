package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
)

// controlPlane is what the flags of the components are made of.
type controlPlane struct {
	dir     string
	etcdURL string
	port    int
	cert    *ServingCert
	saKey   string
	tokens  map[string]string // user → bearer token
}

// Seldom has a Go program collect its garbage less often: a machine that tests has
// memory, and lacks processors. Measured: an eighth of all that tests take.
const Seldom = "GOGC=400"

// Users that the components and the administrator authenticate as; the API
// server's own bootstrap roles know the first two.
const (
	controllerManagerUser = "system:kube-controller-manager"
	schedulerUser         = "system:kube-scheduler"
	adminUser             = "admin"
)

func (c *Cluster) startControlPlane(ctx context.Context) error {
	kubernetes, err := binaries.Kubernetes(ctx)
	if err != nil {
		return err
	}
	kwok, err := binaries.Kwok(ctx)
	if err != nil {
		return err
	}
	c.kubectl = kubernetes.Path("kubectl")
	plane, err := newControlPlane(c.dir)
	if err != nil {
		return err
	}
	c.etcdURL = plane.etcdURL
	kubeconfigs, err := plane.writeKubeconfigs()
	if err != nil {
		return err
	}
	if err := c.connect(kubeconfigs[adminUser]); err != nil {
		return err
	}

	etcd, err := c.Run("etcd", kubernetes.Path("etcd"), plane.etcdArgs(c.etcdDir()), c.runtime)
	if err != nil {
		return err
	}
	c.runAPIServer = func() (*Process, error) {
		return c.Run("kube-apiserver", kubernetes.Path("kube-apiserver"), plane.apiserverArgs(), []string{Seldom})
	}
	apiserver, err := c.runAPIServer()
	if err != nil {
		return err
	}
	c.apiserver = apiserver
	if err := Poll(ctx, "kube-apiserver's /readyz", c.apiserverReady, etcd, apiserver); err != nil {
		return err
	}
	if _, err := c.Run("kube-controller-manager", kubernetes.Path("kube-controller-manager"),
		plane.controllerManagerArgs(kubeconfigs[controllerManagerUser]), c.runtime); err != nil {
		return err
	}
	if _, err := c.Run("kube-scheduler", kubernetes.Path("kube-scheduler"),
		plane.schedulerArgs(kubeconfigs[schedulerUser]), c.runtime); err != nil {
		return err
	}
	_, err = c.Run("kwok", kwok.Path("kwok"), []string{
		"--kubeconfig=" + c.kubeconfig,
		"--config=" + filepath.Join(kwok.Dir, binaries.StagesFile),
		"--manage-nodes-with-annotation-selector=" + fakeNodeAnnotation + "=fake",
		"--node-lease-duration-seconds=40",
	}, append(slices.Clip(c.runtime), "KWOK_WORKDIR="+c.dir))
	return err
}

// RestartAPIServer kills the API server, as a crash would, starts it again after
// the given time and returns when it answers.
func (c *Cluster) RestartAPIServer(ctx context.Context, after time.Duration) error {
	if c.external {
		return fmt.Errorf("restart the API server: %w", ErrExternal)
	}
	c.apiserver.Kill()
	select {
	case <-time.After(after):
	case <-ctx.Done():
		return ctx.Err()
	}
	var err error
	if c.apiserver, err = c.runAPIServer(); err != nil {
		return err
	}
	return Poll(ctx, "kube-apiserver's /readyz", c.apiserverReady, c.apiserver)
}

func (c *Cluster) apiserverReady(ctx context.Context) error {
	return c.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

func newControlPlane(dir string) (*controlPlane, error) {
	plane := &controlPlane{
		dir:    dir,
		saKey:  filepath.Join(dir, "service-account.key"),
		tokens: map[string]string{},
	}
	etcdPort, err := FreePort()
	if err != nil {
		return nil, err
	}
	plane.etcdURL = "http://" + loopback(etcdPort)
	if plane.port, err = FreePort(); err != nil {
		return nil, err
	}
	if plane.cert, err = NewServingCert(dir); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if err := writeKey(plane.saKey, key); err != nil {
		return nil, err
	}
	return plane, plane.writeTokens()
}

func (p *controlPlane) tokenFile() string { return filepath.Join(p.dir, "tokens.csv") }
func (p *controlPlane) caFile() string    { return filepath.Join(p.dir, "ca.crt") }

// writeTokens writes a line "token,user,uid,groups" for each user.
func (p *controlPlane) writeTokens() error {
	var lines []byte
	for user, groups := range map[string]string{
		controllerManagerUser: "",
		schedulerUser:         "",
		adminUser:             "system:masters",
	} {
		secret := make([]byte, 16)
		if _, err := rand.Read(secret); err != nil {
			return err
		}
		p.tokens[user] = hex.EncodeToString(secret)
		lines = fmt.Appendf(lines, "%s,%s,%s,%s\n", p.tokens[user], user, user, groups)
	}
	if err := os.WriteFile(p.caFile(), p.cert.CA, 0o644); err != nil {
		return err
	}
	return os.WriteFile(p.tokenFile(), lines, 0o600)
}

// writeKubeconfigs writes a kubeconfig file per user and returns their paths.
func (p *controlPlane) writeKubeconfigs() (map[string]string, error) {
	names := map[string]string{
		controllerManagerUser: "kube-controller-manager.kubeconfig",
		schedulerUser:         "kube-scheduler.kubeconfig",
		adminUser:             "kubeconfig",
	}
	paths := map[string]string{}
	for user, token := range p.tokens {
		paths[user] = filepath.Join(p.dir, names[user])
		err := writeKubeconfig(paths[user], &rest.Config{
			Host:            "https://" + loopback(p.port),
			BearerToken:     token,
			TLSClientConfig: rest.TLSClientConfig{CAData: p.cert.CA},
		})
		if err != nil {
			return nil, err
		}
	}
	return paths, nil
}

func (p *controlPlane) etcdArgs(dataDir string) []string {
	const peer = "http://127.0.0.1:0" // a single member has no peers
	return []string{
		"--data-dir=" + dataDir,
		"--listen-client-urls=" + p.etcdURL,
		"--advertise-client-urls=" + p.etcdURL,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		"--unsafe-no-fsync",
		"--log-level=warn",
	}
}

func (p *controlPlane) apiserverArgs() []string {
	return []string{
		"--etcd-servers=" + p.etcdURL,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", p.port),
		// No machine need have an address of its own, and nothing here uses the
		// Service kubernetes.
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + p.cert.CertFile,
		"--tls-private-key-file=" + p.cert.KeyFile,
		"--token-auth-file=" + p.tokenFile(),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + p.saKey,
		"--service-account-signing-key-file=" + p.saKey,
		"--service-cluster-ip-range=10.96.0.0/16",
		"--allow-privileged=true",
	}
}

func (p *controlPlane) controllerManagerArgs(kubeconfig string) []string {
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--secure-port=0",
		"--leader-elect=false",
		// As in a real cluster, Pods are created by kube-system's
		// replicaset-controller, job-controller and so on.
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + p.saKey,
		"--root-ca-file=" + p.caFile(),
		"--kube-api-qps=2000",
		"--kube-api-burst=4000",
		// A machine busy with tests must not look like Nodes that are lost.
		"--node-monitor-grace-period=10m",
	}
}

func (p *controlPlane) schedulerArgs(kubeconfig string) []string {
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--secure-port=0",
		"--leader-elect=false",
		"--kube-api-qps=2000",
		"--kube-api-burst=4000",
	}
}
