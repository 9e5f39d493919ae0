package candidate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/util"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/sidecar-drift/sidecar-drift/internal/portforward"
)

// reach finds the servers of one cluster.
type reach struct {
	config      *rest.Config
	cluster     kubernetes.Interface
	ca          []byte // PEM, besides what a webhook's configuration has; nil: none
	concurrency int
}

// whereOf is where the API server finds a webhook.
func whereOf(c admissionregistrationv1.WebhookClientConfig) (Where, error) {
	switch {
	case c.URL != nil:
		return ParseWhere(*c.URL)
	case c.Service == nil:
		return Where{}, errors.New("its configuration names neither a URL nor a Service")
	}
	s := &Service{Namespace: c.Service.Namespace, Name: c.Service.Name, Port: webhookPort}
	if c.Service.Port != nil {
		s.Port = *c.Service.Port
	}
	if c.Service.Path != nil {
		s.Path = *c.Service.Path
	}
	return Where{Service: s}, nil
}

// to returns the server at a place. Its certificate is verified by the given bundle (PEM) and
// --webhook-ca; by the system's authorities where there is neither.
func (r reach) to(w Where, bundle []byte) (server, error) {
	if w.Command != "" {
		return command(w.Command), nil
	}
	roots, err := r.roots(bundle)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout: 10 * time.Second,
		// A connection of a port-forward takes a tunnel, and a handshake of its own.
		MaxIdleConnsPerHost: r.concurrency, MaxConnsPerHost: r.concurrency, IdleConnTimeout: time.Minute,
		// As the API server does: one connection for all.
		ForceAttemptHTTP2:  true,
		DisableCompression: true,
	}
	if w.URL != nil {
		transport.Proxy = http.ProxyFromEnvironment
		transport.DialContext = dialling((&net.Dialer{}).DialContext)
		return newHTTPServer(*w.URL, transport), nil
	}
	transport.TLSClientConfig.ServerName = w.Service.serverName()
	transport.DialContext = dialling(func(ctx context.Context, _, _ string) (net.Conn, error) { return r.dial(ctx, *w.Service) })
	at := url.URL{Scheme: "https", Host: fmt.Sprintf("%s:%d", w.Service.serverName(), w.Service.Port), Path: w.Service.Path}
	return newHTTPServer(at, transport), nil
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dialling has errors say that they are about the way.
func dialling(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, dialError{err}
		}
		return conn, nil
	}
}

func (r reach) roots(bundle []byte) (*x509.CertPool, error) {
	if len(bundle)+len(r.ca) == 0 {
		return nil, nil // the system's
	}
	pool := x509.NewCertPool()
	for _, pem := range [][]byte{bundle, r.ca} {
		if len(pem) > 0 && !pool.AppendCertsFromPEM(pem) {
			return nil, errors.New("its certificate authority (caBundle, or --webhook-ca) holds no PEM certificate")
		}
	}
	return pool, nil
}

// dial connects to one of the ready Pods behind a Service.
func (r reach) dial(ctx context.Context, s Service) (net.Conn, error) {
	service, err := r.cluster.CoreV1().Services(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get Service %s/%s: %w", s.Namespace, s.Name, err)
	}
	if len(service.Spec.Selector) == 0 {
		return nil, fmt.Errorf("Service %s/%s selects no Pods, to which a port could be forwarded: give an https:// address", s.Namespace, s.Name)
	}
	pods, err := r.cluster.CoreV1().Pods(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(service.Spec.Selector).String()})
	if err != nil {
		return nil, fmt.Errorf("list the Pods of Service %s/%s: %w", s.Namespace, s.Name, err)
	}
	pod := readyOf(pods.Items)
	if pod == nil {
		return nil, fmt.Errorf("Service %s/%s has no ready Pod", s.Namespace, s.Name)
	}
	port, err := util.LookupContainerPortNumberByServicePort(*service, *pod, s.Port)
	if err != nil {
		return nil, fmt.Errorf("Service %s/%s: %w", s.Namespace, s.Name, err)
	}
	forward, err := portforward.Dialer(r.config, s.Namespace, pod.Name, port)
	if err != nil {
		return nil, err
	}
	conn, err := forward(ctx)
	if err != nil {
		return nil, fmt.Errorf("forward a port to Pod %s/%s: %w", s.Namespace, pod.Name, err)
	}
	return conn, nil
}

// readyOf is any of the ready Pods.
func readyOf(pods []corev1.Pod) *corev1.Pod {
	var ready []*corev1.Pod
	for i := range pods {
		if pods[i].DeletionTimestamp == nil && podutils.IsPodReady(&pods[i]) {
			ready = append(ready, &pods[i])
		}
	}
	if len(ready) == 0 {
		return nil
	}
	return ready[rand.IntN(len(ready))]
}
