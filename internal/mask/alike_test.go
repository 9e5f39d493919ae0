package mask

import (
	"strings"
	"testing"
)

func TestAlike(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"plain":                             "plain",
		"***":                               "***",
		"a=***0123456789ab":                 "a=***masked***",
		"***masked***":                      "***masked***",
		"****0123456789ab***ba9876543210**": "****masked******masked*****",
		"***0123456789a":                    "***0123456789a",
	} {
		if got := Alike(text); got != want {
			t.Errorf("Alike(%q) = %q, want %q", text, got, want)
		}
		if got := In(text); got != strings.Contains(want, constant) {
			t.Errorf("In(%q) = %v", text, got)
		}
	}
	keyed := New([]byte("key"))
	if one, other := keyed.Value("password", "hunter2"), keyed.Value("password", "hunter3"); one == other || Alike(one) != Alike(other) {
		t.Errorf("%q and %q", one, other)
	}
}
