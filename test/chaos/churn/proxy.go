package churn

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// lookEvery is how often the proxy asks replicas whether they are ready. A cluster
// needs longer to learn of a replica that dies, and about as long to be told of
// one that is asked to go.
const lookEvery = 100 * time.Millisecond

// Fault is what a Proxy does to connections.
type Fault int32

// Faults.
const (
	None    Fault = iota
	Slow          // answers come after seconds
	Cut           // connections end in the middle of an answer
	Garbage       // answers are noise
	Away          // connections end at once
)

// Proxy stands where kube-proxy does: it leads each new connection to one of the
// replicas that are ready, and leaves those that there are alone.
type Proxy struct {
	replicas []*install.Replica
	listener net.Listener
	fault    atomic.Int32
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu    sync.Mutex
	ready []*install.Replica
	next  int
	open  map[net.Conn]bool
}

// NewProxy starts a proxy on loopback.
func NewProxy(ctx context.Context, replicas []*install.Replica) (*Proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{replicas: replicas, listener: listener, open: map[net.Conn]bool{}}
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	p.running.Go(func() { p.look(ctx) })
	p.running.Go(p.accept)
	return p, nil
}

// Port is where the proxy listens.
func (p *Proxy) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// Close ends the proxy and its connections.
func (p *Proxy) Close() {
	p.stop()
	_ = p.listener.Close()
	p.closeAll()
	p.running.Wait()
}

// Set changes what happens to connections. Those that there are end.
func (p *Proxy) Set(f Fault) {
	p.fault.Store(int32(f))
	p.closeAll()
}

func (p *Proxy) is(f Fault) bool { return p.fault.Load() == int32(f) }

// look keeps the list of replicas that are ready.
func (p *Proxy) look(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		var ready []*install.Replica
		for _, r := range p.replicas {
			if r.Ready(ctx) == nil {
				ready = append(ready, r)
			}
		}
		p.mu.Lock()
		p.ready = ready
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// leads tells whether new connections may go to the replica.
func (p *Proxy) leads(r *install.Replica) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.ready, r)
}

// Start starts the replica of that number, and returns when connections are led to
// it.
func (p *Proxy) Start(ctx context.Context, i int) error {
	if err := p.replicas[i].Start(ctx); err != nil {
		return err
	}
	return cluster.Poll(ctx, "connections to be led to the replica", func(context.Context) error {
		if !p.leads(p.replicas[i]) {
			return errors.New("they are not")
		}
		return nil
	})
}

// Update replaces the first two of three replicas as their Deployment does: none
// goes before another has come. The third must not run, and does not afterwards.
func (p *Proxy) Update(ctx context.Context) error {
	for _, step := range []struct{ start, stop int }{{2, 0}, {0, 1}, {1, 2}} {
		if err := p.Start(ctx, step.start); err != nil {
			return err
		}
		if err := p.replicas[step.stop].Stop(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.is(Away) {
			_ = client.Close()
			continue
		}
		p.running.Go(func() { p.serve(client) })
	}
}

// pick returns the replicas in turn; nil if none is ready.
func (p *Proxy) pick() *install.Replica {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready) == 0 {
		return nil
	}
	p.next++
	return p.ready[p.next%len(p.ready)]
}

func (p *Proxy) serve(client net.Conn) {
	defer p.keep(client)()
	replica := p.pick()
	if replica == nil {
		return
	}
	server, err := net.Dial("tcp", replica.Address())
	if err != nil {
		return
	}
	defer p.keep(server)()
	var both sync.WaitGroup
	both.Go(func() { copyThen(server, client, io.Copy) })
	both.Go(func() { copyThen(client, server, p.answer) })
	both.Wait()
}

// copyThen copies, and then tells the receiver that nothing more comes.
func copyThen(to, from net.Conn, copying func(io.Writer, io.Reader) (int64, error)) {
	if _, err := copying(to, from); err != nil {
		_ = to.Close()
		_ = from.Close()
		return
	}
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}

// answer copies what a replica says, as the fault has it.
func (p *Proxy) answer(to io.Writer, from io.Reader) (int64, error) {
	switch {
	case p.is(Slow):
		return io.Copy(slowly{to}, from)
	case p.is(Cut):
		// The handshake passes, and the beginning of the first answer.
		n, _ := io.CopyN(to, from, 1200)
		return n, io.ErrUnexpectedEOF
	case p.is(Garbage):
		return io.Copy(noisy{to}, from)
	}
	return io.Copy(to, from)
}

// slowly passes bytes on after longer than API servers wait for the stamper.
type slowly struct{ to io.Writer }

func (s slowly) Write(b []byte) (int, error) {
	time.Sleep(3 * time.Second)
	return s.to.Write(b)
}

// noisy turns every bit around.
type noisy struct{ to io.Writer }

func (n noisy) Write(b []byte) (int, error) {
	noise := make([]byte, len(b))
	for i := range b {
		noise[i] = ^b[i]
	}
	return n.to.Write(noise)
}

// keep remembers an open connection until what it returns is called.
func (p *Proxy) keep(c net.Conn) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[c] = true
	return func() {
		_ = c.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, c)
	}
}

func (p *Proxy) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
}
