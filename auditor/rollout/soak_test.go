package rollout

import "testing"

func TestHealth(t *testing.T) {
	before := health{wanted: 3, available: 3, restarts: 4}
	for name, test := range map[string]struct {
		now  health
		want string
	}{
		"the same":            {now: before},
		"deleted":             {now: health{gone: true}, want: "it was deleted"},
		"a Pod is away":       {now: health{wanted: 3, available: 2, restarts: 4}, want: "it became unavailable: 2 of 3 Pods are available"},
		"scaled up":           {now: health{wanted: 5, available: 3, restarts: 4}},
		"scaled down":         {now: health{wanted: 2, available: 2, restarts: 1}},
		"scaled down and ill": {now: health{wanted: 2, available: 1, restarts: 1}, want: "it became unavailable: 1 of 2 Pods are available"},
		"restarted":           {now: health{wanted: 3, available: 3, restarts: 6}, want: "its containers were restarted 2 times"},
	} {
		if got := test.now.worseThan(before); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
