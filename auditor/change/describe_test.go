package change

import (
	"encoding/json"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func TestDescribe(t *testing.T) {
	change := func(path, from, to string) verdict.Change {
		c := verdict.Change{Part: "container/p", Path: path}
		if from != "" {
			c.From = json.RawMessage(from)
		}
		if to != "" {
			c.To = json.RawMessage(to)
		}
		return c
	}
	for _, tt := range []struct {
		change verdict.Change
		want   string
	}{
		{change("image", `"a/b:1"`, `"a/b:2"`), "image 1 → 2"},
		{change("image", `"host:5000/b"`, `"host:5000/b:2"`), "image host:5000/b → host:5000/b:2"},
		{change("image", `"host:5000/b:1"`, `"host:5000/b@sha256:ab"`), "image 1 → sha256:ab"},
		{change("image", `"a/b:1"`, `"mirror/a/b:1"`), "image a/b:1 → mirror/a/b:1"},
		{change("tty", `false`, `true`), "tty false → true"},
		{change("args", `["a"]`, `["b"]`), "args changed"},
		{change("resources", `{}`, `{"limits":{"cpu":"1"}}`), "resources changed"},
		{change("env[X].value", `"a value that is far too long for one line"`, `"b"`), "env[X].value changed"},
		{change("env[X]", ``, `{"name":"X"}`), "env[X] added"},
		{change("", `{"name":"p"}`, ``), "removed"},
	} {
		if got := Describe(tt.change); got != tt.want {
			t.Errorf("describe(%s %s → %s) = %q, want %q", tt.change.Path, tt.change.From, tt.change.To, got, tt.want)
		}
	}
}
