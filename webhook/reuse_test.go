package webhook

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// TestReviewsLeaveNothingBehind: reviews are read in memory that others were read
// in, and in that of some under way. Each gets the answer that it gets alone.
func TestReviewsLeaveNothingBehind(t *testing.T) {
	fixture := string(readFixture(t))
	reviews := []string{
		fixture,
		fixture[:len(fixture)/2],
		"{}",
		strings.Replace(fixture, `"metadata":{`, `"metadata":{"x":"`+strings.Repeat("y", 2*ordinaryBody)+`",`, 1), // another lane
	}
	for i := range 20 {
		reviews = append(reviews, strings.NewReplacer("istio-proxy", fmt.Sprintf("proxy-%d", i), "istiod", fmt.Sprint("istiod-", i%3)).Replace(fixture))
	}
	for _, pod := range forgedPods {
		reviews = append(reviews, pod.reviewOf(20_000))
	}
	type answered struct {
		status int
		body   string
	}
	answers := func(h *harness, review string) answered {
		recorder := h.post(strings.NewReader(review))
		for recorder.Code == http.StatusServiceUnavailable {
			recorder = h.post(strings.NewReader(review)) // it waited for its turn too long
		}
		return answered{recorder.Code, recorder.Body.String()}
	}
	want := make([]answered, len(reviews))
	stamps := map[string]bool{}
	for i, review := range reviews {
		want[i] = answers(newHarness(), review)
		stamps[want[i].body] = true
	}
	if len(stamps) < 25 {
		t.Fatalf("only %d different answers", len(stamps))
	}
	h := newHarness()
	var all sync.WaitGroup
	for worker := range uint64(4) {
		all.Go(func() {
			chance := rand.New(rand.NewPCG(worker, 1))
			for range 150 {
				i := chance.IntN(len(reviews))
				if got := answers(h, reviews[i]); got != want[i] {
					t.Errorf("review %d gets another answer among others:\n%v\nalone:\n%v", i, got, want[i])
					return
				}
			}
		})
	}
	all.Wait()
}
