package main

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	fence   = regexp.MustCompile("^ *(````*)")
	link    = regexp.MustCompile(`\]\(([^()\s]+(?:\([^()\s]*\))?[^()\s]*)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.*)$`)
	linked  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// TestLinks follows every link within the repository, to the heading that it names.
func TestLinks(t *testing.T) {
	root := filepath.Dir(docs)
	headings := map[string]map[string]bool{}
	followed := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "bin" || entry.Name() == "node_modules" || entry.Name() == "test"): // parts of pages
			return filepath.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		for _, found := range link.FindAllStringSubmatch(prose(string(read(t, path))), -1) {
			target, err := url.Parse(found[1])
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			if target.Scheme != "" || target.Host != "" {
				continue
			}
			followed++
			to := path
			if target.Path != "" {
				to = filepath.Join(filepath.Dir(path), filepath.FromSlash(target.Path))
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %s: there is no such file", path, found[1])
				continue
			}
			if target.Fragment == "" || filepath.Ext(to) != ".md" {
				continue
			}
			if headings[to] == nil {
				headings[to] = anchors(string(read(t, to)))
			}
			if !headings[to][target.Fragment] {
				t.Errorf("%s: %s: there is no such heading", path, found[1])
			}
		}
		return nil
	})
	if err != nil || followed < 100 {
		t.Errorf("%d links, %v", followed, err)
	}
}

// prose is a page without its blocks of code. A fence ends one that is as long.
func prose(text string) string {
	var kept strings.Builder
	open := ""
	for line := range strings.Lines(text) {
		found := fence.FindStringSubmatch(line)
		switch {
		case found == nil && open == "":
			kept.WriteString(line)
		case found == nil:
		case open == "":
			open = found[1]
		case len(found[1]) >= len(open):
			open = ""
		}
	}
	return kept.String()
}

// anchors are those that GitHub, and the site, give a page's headings.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(prose(text), -1) {
		text := linked.ReplaceAllString(h[1], "$1")
		found[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, text)] = true
	}
	return found
}
