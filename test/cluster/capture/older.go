package main

import (
	"context"
	"fmt"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
)

// startOlder runs another kube-apiserver, with an etcd of its own and no
// controllers, beside the cluster. It goes with the cluster, trusts the same
// tokens and asks the same injector.
func startOlder(ctx context.Context, c *cluster.Cluster, apiserver string) (kubernetes.Interface, error) {
	set, err := binaries.Kubernetes(ctx)
	if err != nil {
		return nil, err
	}
	etcdPort, err := cluster.FreePort()
	if err != nil {
		return nil, err
	}
	port, err := cluster.FreePort()
	if err != nil {
		return nil, err
	}
	const peer = "http://127.0.0.1:0" // a single member has no peers
	etcdURL := fmt.Sprintf("http://127.0.0.1:%d", etcdPort)
	etcd, err := c.Run("older-etcd", set.Path("etcd"), []string{
		"--data-dir=" + filepath.Join(c.Dir(), "older-etcd"),
		"--listen-client-urls=" + etcdURL,
		"--advertise-client-urls=" + etcdURL,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		"--unsafe-no-fsync",
		"--log-level=warn",
	}, nil)
	if err != nil {
		return nil, err
	}
	// The cluster's own API server reads these files, too.
	key := filepath.Join(c.Dir(), "service-account.key")
	older, err := c.Run("older-kube-apiserver", apiserver, []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + filepath.Join(c.Dir(), "tls.crt"),
		"--tls-private-key-file=" + filepath.Join(c.Dir(), "tls.key"),
		"--token-auth-file=" + filepath.Join(c.Dir(), "tokens.csv"),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + key,
		"--service-account-signing-key-file=" + key,
		"--service-cluster-ip-range=10.96.0.0/16",
	}, nil)
	if err != nil {
		return nil, err
	}
	config := c.RESTConfig()
	config.Host = fmt.Sprintf("https://127.0.0.1:%d", port)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	ready := func(ctx context.Context) error {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	}
	if err := cluster.Poll(ctx, "the older kube-apiserver's /readyz", ready, etcd, older); err != nil {
		return nil, err
	}
	webhook, err := c.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, webhookName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	webhook.ObjectMeta = metav1.ObjectMeta{Name: webhookName}
	_, err = client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(ctx, webhook, metav1.CreateOptions{})
	return client, err
}
