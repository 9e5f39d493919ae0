package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec/podtest"
)

// The sizes of reviews, by their index: without a sidecar's containers, as
// captured, and with more and more settings of the app.
const (
	bare = iota
	captured
	grown
	huge
)

// handlerSize is one size of review, with what each handler took of it.
type handlerSize struct {
	stamper, empty *caller
	ours, theirs   []float64 // microseconds a review, round by round
}

func handlerSizes(stamper, empty http.Handler) ([]*handlerSize, error) {
	review, err := capturedReview()
	if err != nil {
		return nil, err
	}
	var sizes []*handlerSize
	for _, bytes := range []int{bare: 4_000, captured: len(review), grown: 64_000, huge: 512_000} {
		sized, err := podtest.Grown(review, bytes)
		if err != nil {
			return nil, err
		}
		s := &handlerSize{stamper: newCaller(stamper, sized), empty: newCaller(empty, sized)}
		for _, c := range []*caller{s.stamper, s.empty} {
			if err := c.check(); err != nil {
				return nil, err
			}
		}
		sizes = append(sizes, s)
	}
	return sizes, nil
}

func (s *handlerSize) round() error {
	a, err := s.stamper.round()
	if err != nil {
		return err
	}
	b, err := s.empty.round()
	s.ours, s.theirs = append(s.ours, a), append(s.theirs, b)
	return err
}

// ratio is what the stamper took of what the empty handler did.
func (s *handlerSize) ratio() float64 {
	var ratios []float64
	for i := range s.ours {
		ratios = append(ratios, s.ours[i]/s.theirs[i])
	}
	return median(ratios)
}

// printHandler prints the sizes, and the figures.
func printHandler(out io.Writer, sizes []*handlerSize) {
	fmt.Fprintf(out, "%8s %12s %8s %12s %8s %12s %12s\n", "bytes", "stamper µs", "ns/byte", "empty µs", "ratio", "allocations", "their bytes")
	var used []allocations
	for _, s := range sizes {
		a := measureAllocations(s.stamper.call)
		ours := median(slices.Clone(s.ours))
		fmt.Fprintf(out, "%8d %12.0f %8.1f %12.0f %8.2f %12d %12d\n", len(s.stamper.review), ours, 1000*ours/float64(len(s.stamper.review)),
			median(slices.Clone(s.theirs)), s.ratio(), a.count, a.bytes)
		used = append(used, a)
	}
	figure(out, "handler", fmt.Sprintf("%.2f", sizes[captured].ratio()), "x", "<= 0.75")
	figure(out, "handler-allocs", fmt.Sprint(used[captured].count), "allocs", "< 200")
	figure(out, "handler-linear", fmt.Sprintf("%.2f", linear(sizes)), "x", "<= 1.2")

	// A body above what is kept takes its memory each time.
	body := measureAllocations(func() { new(bytes.Buffer).Grow(len(sizes[huge].stamper.review) + bytes.MinRead) })
	figure(out, "handler-growth", fmt.Sprint(used[huge].count-used[captured].count-body.count), "allocs", "<= 0")
	figure(out, "handler-growth-bytes", fmt.Sprint(used[huge].bytes-used[captured].bytes-body.bytes), "bytes", "<= 1024")
}

// linear is what a byte more of an app costs from the grown to the huge Pod, over
// what it costs from the captured one to the grown: 1 if time grows as the Pod
// does, 8 if as its square. What is injected, and each call, cost the same in
// all three.
func linear(sizes []*handlerSize) float64 {
	slope := func(round, from, to int) float64 {
		a, b := sizes[from], sizes[to]
		return (b.ours[round] - a.ours[round]) / float64(len(b.stamper.review)-len(a.stamper.review))
	}
	var ratios []float64
	for round := range handlerRounds {
		ratios = append(ratios, slope(round, grown, huge)/slope(round, captured, grown))
	}
	return median(ratios)
}

// allocations are those of one call.
type allocations struct{ count, bytes int64 }

// measureAllocations calls f often, when pools are filled.
func measureAllocations(f func()) allocations {
	const calls = 200
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range calls {
		f()
	}
	runtime.ReadMemStats(&after)
	return allocations{int64(after.Mallocs-before.Mallocs) / calls, int64(after.TotalAlloc-before.TotalAlloc) / calls}
}
