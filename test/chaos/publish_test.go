package chaos

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/test/chaos/churn"
)

// result is what an event came to.
type result struct {
	event
	churn.Tally
}

//go:embed head.md
var head string

//go:embed foot.md
var foot string

// publish writes the page, or checks that it has each event.
func publish(t *testing.T, results []result) {
	t.Helper()
	const page = "../../docs/reliability.md"
	if *reliability != "" {
		if err := os.WriteFile(*reliability, []byte(markdown(results)), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	published, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events() {
		if !strings.Contains(string(published), "| "+e.name+" |") {
			t.Errorf("docs/reliability.md does not have %q: make chaos", e.name)
		}
	}
	if !strings.HasPrefix(string(published), head) || !strings.HasSuffix(string(published), foot) {
		t.Error("docs/reliability.md does not say what head.md and foot.md do: make chaos")
	}
}

// The page names tests that there are.
func TestPageNamesTests(t *testing.T) {
	var code strings.Builder
	files, err := filepath.Glob("../acceptance/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	names := regexp.MustCompile(`Test\w+`).FindAllString(foot, -1)
	if len(names) == 0 {
		t.Error("the page names no test")
	}
	for _, name := range names {
		if !strings.Contains(code.String(), "func "+name+"(t ") {
			t.Errorf("there is no %s", name)
		}
	}
}

// markdown is docs/reliability.md.
func markdown(results []result) string {
	var b strings.Builder
	b.WriteString(head)
	for _, graceful := range []bool{true, false} {
		title := "What a cluster does in an orderly way"
		if !graceful {
			title = "What breaks"
		}
		fmt.Fprintf(&b, "\n### %s\n| event | Pods | not created | without a stamp |\n|---|---:|---:|---:|\n", title)
		for _, r := range results {
			if r.graceful == graceful {
				fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", r.name, r.Created, r.Failed, r.Unstamped)
			}
		}
	}
	b.WriteString(foot)
	return b.String()
}
