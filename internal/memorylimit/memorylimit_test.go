package memorylimit

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestLimitOf(t *testing.T) {
	for name, test := range map[string]struct {
		limit, goLimit string
		want           int64
		fails          bool
	}{
		"no limit":              {},
		"a limit":               {limit: "134217728", want: 120795948},
		"Go's own comes first":  {limit: "134217728", goLimit: "64MiB"},
		"Go's own is off":       {limit: "134217728", goLimit: "off"},
		"a quantity":            {limit: "128Mi", fails: true},
		"nothing":               {limit: "0", fails: true},
		"negative":              {limit: "-1", fails: true},
		"more than an int64":    {limit: "9223372036854775808", fails: true},
		"Go's own beside a bad": {limit: "128Mi", goLimit: "64MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := limitOf(func(key string) string {
				return map[string]string{Variable: test.limit, "GOMEMLIMIT": test.goLimit}[key]
			})
			if got != test.want || (err != nil) != test.fails {
				t.Errorf("got %d, %v", got, err)
			}
			if err != nil && !strings.Contains(err.Error(), Variable) {
				t.Errorf("the message names no variable: %v", err)
			}
		})
	}
}

func TestSet(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	if err := Set(func(key string) string {
		return map[string]string{Variable: "1000000000"}[key]
	}); err != nil {
		t.Fatal(err)
	}
	if got := debug.SetMemoryLimit(-1); got != 900_000_000 {
		t.Errorf("the limit is %d", got)
	}
}
