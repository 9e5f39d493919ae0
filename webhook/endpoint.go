package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Limits of a request, from its first byte to the answer's last. The API server
// itself waits two seconds for the stamper.
const (
	requestTimeout  = 10 * time.Second
	idleTimeout     = 90 * time.Second
	shutdownTimeout = 5 * time.Second
)

// serve answers plain HTTP at address until ctx is done; it returns nil then,
// and at once where address is "0".
func serve(ctx context.Context, address string, handler http.Handler) error {
	if address == disabled {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", address, err)
	case <-ctx.Done():
	}
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(leave); err != nil {
		_ = server.Close() // what is left are clients that do not read their answer
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", address, err)
	}
	return nil
}

// withDeadlines bounds the time for which a client can hold on to a request,
// body and answer: controller-runtime's server bounds the headers alone.
func withDeadlines(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		deadline := time.Now().Add(requestTimeout)
		control := http.NewResponseController(w)
		if err := errors.Join(control.SetReadDeadline(deadline), control.SetWriteDeadline(deadline)); err != nil {
			http.Error(w, "the connection has no deadlines", http.StatusInternalServerError)
			return
		}
		handler.ServeHTTP(w, r)
	})
}
