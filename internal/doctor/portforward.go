package doctor

import (
	"context"
	"net"

	"github.com/sidecar-drift/sidecar-drift/internal/portforward"
)

// forward returns how to connect to a port of one of our Pods through the API server.
func (e *examiner) forward(pod string, port int32) func(context.Context) (net.Conn, error) {
	dial, err := portforward.Dialer(e.config, e.home(), pod, port)
	if err != nil {
		return func(context.Context) (net.Conn, error) { return nil, err }
	}
	return dial
}
