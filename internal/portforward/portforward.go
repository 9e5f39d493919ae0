// Package portforward connects to a port of a Pod through the API server, by the rights of
// whoever asks: create pods/portforward.
package portforward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	constants "k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// Dialer returns how to connect to a port of a Pod, as kubectl port-forward does, but
// without a local listener: what keeps a connection from coming about is then an error,
// and not a line in a log.
func Dialer(config *rest.Config, namespace, pod string, port int32) (func(context.Context) (net.Conn, error), error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	at := client.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").Name(pod).SubResource("portforward").URL()
	return func(ctx context.Context) (net.Conn, error) {
		dialer, err := newDialer(config, at)
		if err != nil {
			return nil, err
		}
		return orDone(ctx, func() (net.Conn, error) {
			tunnel, _, err := dialer.Dial(constants.PortForwardV1Name)
			if err != nil {
				return nil, err
			}
			conn, err := connectTo(tunnel, port)
			if err != nil {
				return nil, errors.Join(err, tunnel.Close())
			}
			return conn, nil
		})
	}, nil
}

// orDone returns when dial does, which takes no context, or when the context is
// done. A connection that comes too late is closed again.
func orDone(ctx context.Context, dial func() (net.Conn, error)) (net.Conn, error) {
	type dialled struct {
		conn net.Conn
		err  error
	}
	done := make(chan dialled)
	go func() {
		conn, err := dial()
		select {
		case done <- dialled{conn, err}:
		case <-ctx.Done():
			if err == nil {
				_ = conn.Close()
			}
		}
	}()
	select {
	case d := <-done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// newDialer speaks SPDY over a WebSocket, or plainly to API servers and proxies
// that do not know that (it is on by default since Kubernetes 1.31, KEP 4006).
func newDialer(config *rest.Config, at *url.URL) (httpstream.Dialer, error) {
	overWebSocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(at, config)
	if err != nil {
		return nil, err
	}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	plain := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, at)
	return portforward.NewFallbackDialerForStreaming(overWebSocket, plain, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// connectTo opens the two streams that a connection through the tunnel takes.
func connectTo(tunnel httpstream.Connection, port int32) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(int(port)))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	failure, err := tunnel.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("open the stream for errors: %w", err)
	}
	if err := failure.Close(); err != nil { // for writing
		return nil, err
	}
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := tunnel.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("open the stream for data: %w", err)
	}
	return &podConn{data, tunnel, failure}, nil
}

// podConn is a connection to a port of a Pod. Deadlines are not supported: to
// close it ends what waits.
type podConn struct {
	httpstream.Stream
	tunnel  httpstream.Connection
	failure io.Reader // what the kubelet says went wrong
}

// Read returns, where the connection ends, why the kubelet ended it.
func (c *podConn) Read(b []byte) (int, error) {
	n, err := c.Stream.Read(b)
	if err == nil || n > 0 {
		return n, nil
	}
	if said, _ := io.ReadAll(io.LimitReader(c.failure, 4096)); len(said) > 0 {
		return 0, errors.New(string(said))
	}
	return 0, err
}

func (c *podConn) Close() error                     { return c.tunnel.Close() }
func (c *podConn) LocalAddr() net.Addr              { return podAddr{} }
func (c *podConn) RemoteAddr() net.Addr             { return podAddr{} }
func (c *podConn) SetDeadline(time.Time) error      { return nil }
func (c *podConn) SetReadDeadline(time.Time) error  { return nil }
func (c *podConn) SetWriteDeadline(time.Time) error { return nil }

// podAddr is the address of something that is reached through an API server.
type podAddr struct{}

func (podAddr) Network() string { return "portforward" }
func (podAddr) String() string  { return "pod" }
