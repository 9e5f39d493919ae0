package cli

import (
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	mask := newMask()
	for _, test := range []struct {
		name, value string
		masked      bool
	}{
		{"DB_PASSWORD", "hunter2", true},
		{"api_key", "1234", true},
		{"GITHUB_TOKEN", "ghp_1", true},
		{"VAULT_TOKENS", "a,b", true},
		{"X", "eyJhbGciOiJIUzI1NiJ9.e30.abc", true},
		{"X", "-----BEGIN EC PRIVATE KEY-----\nabc", true},
		{"X", "d2hhdCBhIHNlY3JldCB2YWx1ZSB0aGlzIGlz0", true},
		{"PASSWORD", "", false},
		{"TOKENIZER", "fast", false},
		{"MONKEY", "see", false},
		{"CA_ADDR", "istiod.istio-system.svc:15012", false},
		{"ISTIO_META_WORKLOAD_NAME", "averyveryverylongworkloadnamewithoutdigits", false},
		{"PROXY_CONFIG", `{"concurrency":2}`, false},
	} {
		got := mask(test.name, test.value)
		if masked := got != test.value; masked != test.masked || masked && strings.Contains(got, test.value) {
			t.Errorf("%s=%q is shown as %q", test.name, test.value, got)
		}
	}
	if mask("A_TOKEN", "x") != mask("B_TOKEN", "x") || mask("A_TOKEN", "x") == mask("A_TOKEN", "y") {
		t.Error("masks must be equal where values are, and only there")
	}
	if mask("A_TOKEN", "x") == newMask()("A_TOKEN", "x") {
		t.Error("the mask of a value is the same in every run")
	}
}
