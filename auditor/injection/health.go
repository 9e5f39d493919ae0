package injection

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"syscall"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

const (
	// healthFor is how long an answer about a webhook is believed.
	healthFor = 10 * time.Second
	// handshakeTimeout is how long a webhook with a URL has to answer.
	handshakeTimeout = 2 * time.Second
)

// Health finds the webhooks that cannot answer. Where one fails open, a Pod is made
// without what it injects, and the dry run shows just that. Its methods may be called
// concurrently.
type Health struct {
	client rest.Interface
	// local: the API server is on this machine, as its own loopback addresses are.
	local bool

	mu    sync.Mutex
	known map[string]answered // by webhook, CONFIGURATION/WEBHOOK
}

type answered struct {
	at   time.Time
	down string
}

// NewHealth returns a Health for the cluster of the client, at a configuration's host.
func NewHealth(client rest.Interface, cfg *rest.Config) *Health {
	host, _, err := rest.DefaultServerUrlFor(cfg)
	return &Health{client: client, local: err == nil && loopback(host.Hostname()), known: map[string]answered{}}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Down says why a webhook cannot answer; empty if it can, if nothing tells, and of
// policies, which the API server asks itself.
func (h *Health) Down(ctx context.Context, step Step) string {
	if step.client == nil {
		return ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if last, known := h.known[step.Name]; known && time.Since(last.at) < healthFor {
		return last.down
	}
	down := h.ask(ctx, *step.client)
	if ctx.Err() != nil {
		return ""
	}
	h.known[step.Name] = answered{time.Now(), down}
	return down
}

// FirstDown names the first injector, of the steps that a Pod passes or may pass, that
// cannot answer, and says why; empty if there is none.
func (h *Health) FirstDown(ctx context.Context, steps []Step) (name, why string) {
	for _, step := range steps {
		if step.Match == MatchesNot || !step.Injects() {
			continue
		}
		if why := h.Down(ctx, step); why != "" {
			return step.Name, why
		}
	}
	return "", ""
}

func (h *Health) ask(ctx context.Context, client admissionregistrationv1.WebhookClientConfig) string {
	switch {
	case client.Service != nil:
		return h.service(ctx, client.Service.Namespace, client.Service.Name)
	case client.URL != nil:
		return h.handshake(ctx, *client.URL, client.CABundle)
	}
	return ""
}

// service says why a Service has nobody to answer. Who may not read that knows nothing.
func (h *Health) service(ctx context.Context, namespace, name string) string {
	raw, err := h.client.Get().AbsPath("/apis/discovery.k8s.io/v1").Namespace(namespace).Resource("endpointslices").
		Param("labelSelector", discoveryv1.LabelServiceName+"="+name).Do(ctx).Raw()
	if err != nil {
		return ""
	}
	var slices discoveryv1.EndpointSliceList
	if err := json.Unmarshal(raw, &slices); err != nil {
		return ""
	}
	for _, slice := range slices.Items {
		for _, endpoint := range slice.Endpoints {
			// Nil is to be taken for ready.
			if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
				return ""
			}
		}
	}
	raw, err = h.client.Get().AbsPath("/api/v1").Namespace(namespace).Resource("services").Name(name).Do(ctx).Raw()
	if apierrors.IsNotFound(err) {
		return fmt.Sprintf("its Service %s/%s does not exist", namespace, name)
	}
	var service corev1.Service
	if err == nil && json.Unmarshal(raw, &service) == nil && service.Spec.Type == corev1.ServiceTypeExternalName {
		return "" // which has no endpoints
	}
	return fmt.Sprintf("its Service %s/%s has no ready endpoint", namespace, name)
}

// handshake says why a server does not answer. One that cannot be reached from here
// may well be from the API server; least of all is that one's loopback address ours.
func (h *Health) handshake(ctx context.Context, address string, bundle []byte) string {
	at, err := url.Parse(address)
	if err != nil || loopback(at.Hostname()) && !h.local {
		return ""
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(bundle) > 0 {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(bundle)
	}
	port := at.Port()
	if port == "" {
		port = "443"
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	connection, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", net.JoinHostPort(at.Hostname(), port))
	if err == nil {
		_ = connection.Close()
		return ""
	}
	_, distrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens at " + at.Host
	case distrusted:
		return fmt.Sprintf("%s has a certificate that its caBundle does not vouch for", at.Host)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return at.Host + " breaks the connection"
	}
	return ""
}
