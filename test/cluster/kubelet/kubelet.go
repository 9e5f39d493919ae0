// Package kubelet plays the part of a kubelet that a port-forward needs: nothing
// runs in the test cluster's Pods, so that what their ports stand for is on this
// machine.
package kubelet

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// PortForward connects one stream a request to the address of the port that is
// asked for, and says on the error stream that nothing listens on any other port.
func PortForward(addresses map[string]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardV1Name}); err != nil {
			return // it has answered
		}
		streams := make(chan httpstream.Stream, 2)
		conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
			streams <- s
			return nil
		})
		if conn == nil {
			return // it has answered
		}
		defer func() { _ = conn.Close() }()
		var failure, data httpstream.Stream
		for failure == nil || data == nil {
			select {
			case s := <-streams:
				if s.Headers().Get(corev1.StreamType) == corev1.StreamTypeData {
					data = s
				} else {
					failure = s
				}
			case <-conn.CloseChan():
				return
			}
		}
		port := data.Headers().Get(corev1.PortHeader)
		if err := connect(data, addresses[port]); err != nil {
			fmt.Fprintf(failure, "nothing listens on port %s", port)
		}
		_ = failure.Close()
		_ = data.Close()
		<-conn.CloseChan()
	})
}

// connect copies both ways until either side ends.
func connect(stream httpstream.Stream, address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(conn, stream)
		_ = conn.Close()
	})
	_, _ = io.Copy(stream, conn)
	_ = stream.Reset()
	both.Wait()
	return nil
}
