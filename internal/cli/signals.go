package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// stopSignals ask the program to end.
var stopSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM}

// untilNextSignal returns a context that outlives ctx, which ends with the
// first signal, and ends with the next one.
func untilNextSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	leave, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() {
		second, stop := signal.NotifyContext(leave, stopSignals...)
		defer stop()
		<-second.Done()
		cancel()
	})
	return leave, func() {
		unhook()
		cancel()
	}
}
