package release

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const root = "../.."

var (
	uses   = regexp.MustCompile(`(?m)^\s*(?:- )?uses: *(\S+)(.*)$`)
	pinned = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40}$`)
	named  = regexp.MustCompile(`^ # v\d+\.\d+\.\d+$`)
)

func workflows(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	texts := map[string]string{}
	for _, file := range files {
		texts[filepath.Base(file)] = read(t, file)
	}
	return texts
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A tag can be moved by whoever takes an action over; a digest cannot.
func TestActionsAreNamedByDigest(t *testing.T) {
	digests := map[string]string{}
	for file, text := range workflows(t) {
		for _, found := range uses.FindAllStringSubmatch(text, -1) {
			action, comment := found[1], found[2]
			if !pinned.MatchString(action) || !named.MatchString(comment) {
				t.Errorf("%s: %s%s: want OWNER/NAME@DIGEST # vX.Y.Z", file, action, comment)
			}
			name, digest, _ := strings.Cut(action, "@")
			if other, ok := digests[name]; ok && other != digest {
				t.Errorf("%s is used as %s and as %s", name, digest, other)
			}
			digests[name] = digest
		}
	}
}

func TestWorkflowsMayLittle(t *testing.T) {
	for file, text := range workflows(t) {
		var workflow struct {
			Permissions map[string]string
			Jobs        map[string]struct {
				Permissions    map[string]string
				TimeoutMinutes int `json:"timeout-minutes"`
			}
		}
		if err := yaml.Unmarshal([]byte(text), &workflow); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if workflow.Permissions == nil {
			t.Errorf("%s says nothing of permissions: its jobs have those of the repository's settings", file)
		}
		for scope, access := range workflow.Permissions {
			if access != "read" {
				t.Errorf("%s: every job has %s: %s; give it to the one that needs it", file, scope, access)
			}
		}
		for name, job := range workflow.Jobs {
			if job.TimeoutMinutes == 0 {
				t.Errorf("%s: %s may run for six hours", file, name)
			}
			if len(job.Permissions) > 0 && file == "ci.yaml" {
				t.Errorf("%s: %s has %v, and runs what a pull request brings", file, name, job.Permissions)
			}
		}
	}
}

// The image of a release is the one that anybody builds from its tag only with the same Go.
func TestTheSameGoBuildsEverything(t *testing.T) {
	found := regexp.MustCompile(`(?m)^ARG GO_IMAGE=golang:(\d+\.\d+\.\d+)$`).FindStringSubmatch(read(t, root, "Dockerfile"))
	if found == nil {
		t.Fatal("the Dockerfile names no exact version of Go")
	}
	for file, text := range workflows(t) {
		if strings.Contains(text, "actions/setup-go") && !strings.Contains(text, `GO_VERSION: "`+found[1]+`"`) {
			t.Errorf("%s does not build with Go %s, as the Dockerfile does", file, found[1])
		}
	}
}
