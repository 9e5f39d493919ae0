package service

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// identityTimeout bounds how long an audit that has ended waits for the cluster's name.
const identityTimeout = 10 * time.Second

// identity knows what the cluster is called: as the configuration says or, where that says
// nothing, by the UID of the namespace kube-system, which no other cluster has and which stays
// as long as the cluster does.
type identity struct {
	namespaces corev1client.NamespaceInterface
	server     string
	log        logr.Logger

	mu   sync.Mutex
	uid  string
	said bool // why there is none
}

// newIdentity is that of the cluster whose API server is called so.
func newIdentity(namespaces corev1client.NamespaceInterface, server string, log logr.Logger) *identity {
	if fromWithin(server) {
		server = "" // each cluster calls its own so
	}
	return &identity{namespaces: namespaces, server: server, log: log}
}

// fromWithin reports whether an address is that by which Pods reach their cluster's API server.
func fromWithin(server string) bool {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	return host != "" && strings.HasSuffix(server, "//"+net.JoinHostPort(host, port))
}

// of returns it, without a name where none is known: then it asks again the next time.
func (i *identity) of(ctx context.Context, c config.Configuration) report.ClusterIdentity {
	if c.ClusterName != "" {
		return report.IdentityOf(c.ClusterName, i.server)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.uid == "" {
		ctx, cancel := context.WithTimeout(ctx, identityTimeout)
		defer cancel()
		home, err := i.namespaces.Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
		switch {
		case err == nil:
			i.uid = string(home.UID)
		case !i.said && ctx.Err() == nil:
			i.said = true
			i.log.Error(explained(err), "The cluster has no name in reports and notifications")
		}
	}
	return report.IdentityOf(i.uid, i.server)
}

func explained(err error) error {
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("%w: give clusterName (--cluster-name), or the right to get that namespace", err)
	}
	return fmt.Errorf("read the UID of namespace %s: %w: it is asked for again after the next audit", metav1.NamespaceSystem, err)
}
