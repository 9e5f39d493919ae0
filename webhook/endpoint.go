package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
)

// Limits of what a client can hold on to. The API server itself waits two
// seconds for the stamper.
const (
	// headerTimeout is that of a TLS handshake, too.
	headerTimeout = 5 * time.Second
	// bodyTimeout is until the body's last byte, answerTimeout from the headers
	// to the answer's: a client that was too slow is told so.
	bodyTimeout     = 8 * time.Second
	answerTimeout   = 10 * time.Second
	idleTimeout     = 90 * time.Second
	pingInterval    = 30 * time.Second
	shutdownTimeout = answerTimeout

	maxHeader = 16 << 10
	// maxStreams are the requests at once of an HTTP/2 connection. Go's server
	// itself ends a connection that resets them faster than they are handled.
	maxStreams = 100
	// A connection keeps a buffer as large as the largest frame that it got:
	// this is the least that HTTP/2 allows.
	maxFrame               = 16 << 10
	unreadBodies, unreadOf = 256 << 10, 128 << 10 // of a connection, of a stream
)

// newServer returns a server with all limits.
func newServer(handler http.Handler, log logr.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReadFrameSize:              maxFrame,
			MaxReceiveBufferPerConnection: unreadBodies,
			MaxReceiveBufferPerStream:     unreadOf,
			SendPingTimeout:               pingInterval,
			WriteByteTimeout:              answerTimeout,
		},
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(log), slog.LevelInfo),
	}
}

// plain answers plain HTTP at address until ctx is done; it returns nil then,
// and at once where address is "0".
func (s *server) plain(ctx context.Context, what, address string, handler http.Handler) error {
	if address == disabled {
		return nil
	}
	listener, err := s.listen(ctx, address)
	if err != nil {
		return err
	}
	s.options.Log.Info("Serving "+what, "address", listener.Addr().String())
	server := newServer(handler, s.options.Log)
	return serve(ctx, server, func() error { return server.Serve(listener) })
}

func (s *server) listen(ctx context.Context, address string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return newConnections(listener, s.rejected), nil
}

// serve runs a server until ctx is done and what is under way then is answered.
func serve(ctx context.Context, server *http.Server, run func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- run() }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(leave); err != nil {
		_ = server.Close() // what is left are clients that do not read their answer
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
