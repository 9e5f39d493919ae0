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
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/webhook"
)

// Rounds alternate between the two handlers and all sizes, so that what else the
// machine does weighs on all; ratios are the medians of the rounds'. They count
// processor time, that of the garbage collector included.
const (
	handlerRounds = 41
	handlerRound  = 2 << 20 // bytes of reviews to each
)

// handler measures the stamper from a review's bytes to the response's, beside
// controller-runtime's handler that decodes the same review and allows it: the
// review of an injected Pod, and those of Pods of which the app has less or more.
func handler(ctx context.Context, out io.Writer) error {
	log := logr.FromSlogHandler(slog.DiscardHandler)
	allow, err := admission.StandaloneWebhook(&admission.Webhook{
		Handler: admission.HandlerFunc(func(context.Context, admission.Request) admission.Response {
			return admission.Allowed("")
		}),
	}, admission.StandaloneOptions{Logger: log})
	if err != nil {
		return err
	}
	stamper := webhook.NewHandler(log, prometheus.NewRegistry())
	sizes, err := handlerSizes(stamper, allow)
	if err != nil {
		return err
	}
	for range handlerRounds {
		for _, size := range sizes {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := size.round(); err != nil {
				return err
			}
		}
	}
	printHandler(out, sizes)
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

// round returns the microseconds of processor time that a call took, of many one
// after the other: pools are filled.
func (c *caller) round() (float64, error) {
	runtime.GC()
	c.call()
	start, err := processorTime()
	if err != nil {
		return 0, err
	}
	calls := handlerRound / len(c.review)
	for range calls {
		c.call()
	}
	end, err := processorTime()
	return float64(end-start) / float64(time.Microsecond) / float64(calls), err
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
