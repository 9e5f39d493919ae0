package webhook

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/sidecar-drift/sidecar-drift/internal/memorylimit"
)

var update = flag.Bool("update", false, "write the golden files anew")

// stamperVariable makes the test binary a stamper, in a process of its own: it
// holds its two addresses and its certificate's directory.
const stamperVariable = "SIDECAR_DRIFT_TEST_STAMPER"

func TestMain(m *testing.M) {
	if arguments := os.Getenv(stamperVariable); arguments != "" {
		if err := serveAlone(strings.Fields(arguments)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func serveAlone(arguments []string) error {
	if err := memorylimit.Set(os.Getenv); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return Run(ctx, Options{
		BindAddress: arguments[0], HealthProbeBindAddress: arguments[1], MetricsBindAddress: disabled, CertDir: arguments[2],
		Log: logr.Discard(), Registry: prometheus.NewRegistry(),
	})
}
