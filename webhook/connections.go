package webhook

import (
	"net"
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// An API server needs one connection to the stamper, and opens another for each
// maxStreams reviews that it has under way.
const (
	maxConnections = 128
	// maxPerAddress keeps one client from taking all of them.
	maxPerAddress = 32
)

// connections is a listener that closes at once what is too much. To let it
// wait would keep an API server waiting.
type connections struct {
	net.Listener
	rejected prometheus.Counter

	mu   sync.Mutex
	open int
	from map[netip.Addr]int
}

// newConnections counts with rejected what is closed.
func newConnections(listener net.Listener, rejected prometheus.Counter) *connections {
	return &connections{Listener: listener, rejected: rejected, from: map[netip.Addr]int{}}
}

// Accept returns the next connection that there is room for.
func (c *connections) Accept() (net.Conn, error) {
	for {
		accepted, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := addressOf(accepted.RemoteAddr().String())
		if c.enter(address) {
			return &connection{Conn: accepted, leave: sync.OnceFunc(func() { c.leave(address) })}, nil
		}
		c.rejected.Inc()
		_ = accepted.Close()
	}
}

func (c *connections) enter(from netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= maxConnections || c.from[from] >= maxPerAddress {
		return false
	}
	c.open++
	c.from[from]++
	return true
}

func (c *connections) leave(from netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.from[from]--; c.from[from] == 0 {
		delete(c.from, from)
	}
}

// addressOf returns the client's address; all that are of no IP network count
// as one.
func addressOf(remote string) netip.Addr {
	address, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return address.Addr().Unmap()
}

// connection leaves when it is closed.
type connection struct {
	net.Conn
	leave func()
}

func (c *connection) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
