package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/sidecar-drift/sidecar-drift/test/install"
	"github.com/sidecar-drift/sidecar-drift/webhook"
)

// Rounds alternate between the two handlers, so that what else the machine does
// weighs on both; the ratio is the median of the rounds'. They count processor
// time, that of the garbage collector included.
const (
	handlerRounds = 41
	handlerRound  = 250 // requests to each
)

// handler measures the stamper from a review's bytes to the response's, beside
// controller-runtime's handler that decodes the same review and allows it.
func handler(ctx context.Context, out io.Writer) error {
	review, err := capturedReview()
	if err != nil {
		return err
	}
	log := logr.FromSlogHandler(slog.DiscardHandler)
	allow, err := admission.StandaloneWebhook(&admission.Webhook{
		Handler: admission.HandlerFunc(func(context.Context, admission.Request) admission.Response {
			return admission.Allowed("")
		}),
	}, admission.StandaloneOptions{Logger: log})
	if err != nil {
		return err
	}
	stamper := newCaller(webhook.NewHandler(log, prometheus.NewRegistry()), review)
	empty := newCaller(allow, review)
	for _, c := range []*caller{stamper, empty} {
		if err := c.check(); err != nil {
			return err
		}
	}

	var ratios, ours, theirs []float64
	for range handlerRounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		a, err := stamper.round()
		if err != nil {
			return err
		}
		b, err := empty.round()
		if err != nil {
			return err
		}
		ratios, ours, theirs = append(ratios, a/b), append(ours, a), append(theirs, b)
	}
	fmt.Fprintf(out, "stamper %.0f µs, empty controller-runtime handler %.0f µs of processor time a review of %d bytes (medians of %d rounds)\n",
		median(ours), median(theirs), len(review), handlerRounds)
	figure(out, "handler", fmt.Sprintf("%.2f", median(ratios)), "x", "<= 1.0")
	figure(out, "handler-allocs", fmt.Sprintf("%.0f", testing.AllocsPerRun(handlerRound, stamper.call)), "allocs", "< 200")
	return nil
}

// capturedReview returns the review of an injected Pod as an API server sent it.
func capturedReview() ([]byte, error) {
	root, err := install.Root()
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(root, "webhook", "testdata", "admissionreview-istio-1.27.json"))
}

// caller sends one review to a handler again and again. It is the response's
// writer itself and keeps what it can between requests: the handler is what is
// measured.
type caller struct {
	handler http.Handler
	review  []byte
	body    bytes.Reader
	request *http.Request
	header  http.Header
	status  int
	written bytes.Buffer
}

func newCaller(h http.Handler, review []byte) *caller {
	c := &caller{handler: h, review: review, header: http.Header{}}
	c.request = &http.Request{
		Method:        http.MethodPost,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(&c.body),
		ContentLength: int64(len(review)),
	}
	return c
}

func (c *caller) Header() http.Header { return c.header }

func (c *caller) WriteHeader(status int) { c.status = status }

func (c *caller) Write(p []byte) (int, error) { return c.written.Write(p) }

func (c *caller) call() {
	c.body.Reset(c.review)
	c.written.Reset()
	c.handler.ServeHTTP(c, c.request)
}

// check makes one call and fails if it was not allowed.
func (c *caller) check() error {
	c.call()
	if c.status != 0 || !bytes.Contains(c.written.Bytes(), []byte(`"allowed":true`)) {
		return fmt.Errorf("a handler answers with status %d: %s", c.status, c.written.Bytes())
	}
	return nil
}

// round returns the microseconds of processor time that a call took.
func (c *caller) round() (float64, error) {
	runtime.GC()
	start, err := processorTime()
	if err != nil {
		return 0, err
	}
	for range handlerRound {
		c.call()
	}
	end, err := processorTime()
	return float64(end-start) / float64(time.Microsecond) / handlerRound, err
}

func processorTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("read the processor time used: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
