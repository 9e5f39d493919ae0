package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

const (
	reviewsPerSecond = 500
	// reviewers is how many reviews can be under way at once.
	reviewers = 32
	// What grew is told from the first and the last of so many equal spans of
	// time: a minute each of five.
	growthSpans = 5
)

// webhookRSS sends the review of an injected Pod to the stamper itself, so many
// times a second over one connection as an API server does, and measures what
// the process has in memory at most, and whether memory, goroutines and file
// descriptors grow. Megabytes are of 10^6 bytes. It needs Linux.
func webhookRSS(ctx context.Context, out io.Writer, duration time.Duration) (err error) {
	c, err := cluster.Start(ctx, cluster.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	programs, err := install.Build(ctx, c.Dir())
	if err != nil {
		return err
	}
	stamper, err := install.RunStamper(ctx, c, programs.Webhook)
	if err != nil {
		return err
	}
	review, err := capturedReview()
	if err != nil {
		return err
	}

	// Caches and pools are filled from here on.
	if _, err := sendReviews(ctx, stamper, review, duration/(2*growthSpans)); err != nil {
		return err
	}
	var usage usage
	group, running := errgroup.WithContext(ctx)
	loaded, unload := context.WithCancel(running)
	group.Go(func() error { return usage.sample(loaded, stamper) })
	var rate float64
	group.Go(func() (err error) {
		defer unload()
		rate, err = sendReviews(running, stamper, review, duration)
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return usage.print(out, stamper, len(review), rate)
}

// sendReviews sends each review at its own time, or as soon after it as there is
// a reviewer for it. It returns how many a second were answered.
func sendReviews(ctx context.Context, s *install.Stamper, review []byte, duration time.Duration) (float64, error) {
	client := s.Client()
	defer client.CloseIdleConnections()
	start, count := time.Now(), int64(duration.Seconds()*reviewsPerSecond)
	var sent atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range reviewers {
		group.Go(func() error {
			for n := sent.Add(1) - 1; n < count; n = sent.Add(1) - 1 {
				select {
				case <-time.After(time.Until(start.Add(time.Duration(n) * time.Second / reviewsPerSecond))):
				case <-ctx.Done():
					return ctx.Err()
				}
				if err := sendReview(ctx, client, s.URL(), review); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return float64(count) / time.Since(start).Seconds(), err
}

// sendReview fails unless the review is answered with a patch.
func sendReview(ctx context.Context, client *http.Client, url string, review []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(review))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 || !bytes.Contains(answer, []byte(`"patch":`)) {
		return fmt.Errorf("a review is answered with %s %s: %s", response.Proto, response.Status, answer)
	}
	return nil
}

// usage holds what the stamper took, second by second.
type usage struct{ megabytes, goroutines, descriptors []float64 }

// sample takes a sample each second until ctx is done, or a sample fails.
func (u *usage) sample(ctx context.Context, s *install.Stamper) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		metrics, err := s.Metrics(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil // the load has ended meanwhile
			}
			return err
		}
		memory, err := install.MemoryOf(s.PID())
		if err != nil {
			return err
		}
		u.megabytes = append(u.megabytes, float64(memory.Now)/1e6)
		u.goroutines = append(u.goroutines, metrics["go_goroutines"])
		u.descriptors = append(u.descriptors, metrics["process_open_fds"])
	}
}

// print prints the figures; rate is that of the reviews, a second.
func (u *usage) print(out io.Writer, s *install.Stamper, review int, rate float64) error {
	memory, err := install.MemoryOf(s.PID())
	if err != nil {
		return err
	}
	if len(u.megabytes) < growthSpans {
		return fmt.Errorf("%d samples, one a second, show no growth: give a longer -duration", len(u.megabytes))
	}
	fmt.Fprintf(out, "%d s of reviews of %d bytes; of %.1f MB in memory at the end, %.1f MB are pages of the program's file\n",
		len(u.megabytes), review, float64(memory.Now)/1e6, float64(memory.File)/1e6)
	figure(out, "webhook-rate", fmt.Sprintf("%.1f", rate), "reviews/s", fmt.Sprint(reviewsPerSecond))
	figure(out, "webhook-rss", fmt.Sprintf("%.1f", float64(memory.Most)/1e6), "MB", "<= 40")
	growth(out, "webhook-rss-growth", u.megabytes, "MB", "<= 1")
	growth(out, "webhook-goroutines-growth", u.goroutines, "goroutines", "<= 0")
	growth(out, "webhook-fds-growth", u.descriptors, "descriptors", "<= 0")
	return nil
}

// growth prints by how much the least of the values grew: what is under way at
// a moment comes on top of it, a leak raises it.
func growth(out io.Writer, name string, values []float64, unit, goal string) {
	span := len(values) / growthSpans
	first, last := slices.Min(values[:span]), slices.Min(values[len(values)-span:])
	fmt.Fprintf(out, "%s: from %.1f to %.1f\n", name, first, last)
	figure(out, name, fmt.Sprintf("%.1f", last-first), unit, goal)
}
