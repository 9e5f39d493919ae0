package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// snapshot is what make release-snapshot leaves.
type snapshot struct {
	dist     string
	version  string // v0.0.0-snapshot.…
	revision string
	date     time.Time // the commit's
	sums     map[string]string
}

var full = flag.Bool("full", false, "for every architecture, and all of it twice; else for this machine's, and packages and archive for Linux twice")

// scratch outlives single tests, which share a snapshot.
var scratch string

func TestMain(m *testing.M) {
	flag.Parse()
	if *full {
		architectures = []string{"amd64", "arm64"}
	}
	var err error
	if scratch, err = os.MkdirTemp("", "sidecar-drift-release-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

var first = sync.OnceValues(func() (*snapshot, error) { return take("first", systems) })

func taken(t *testing.T) *snapshot {
	t.Helper()
	s, err := first()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run returns what a command prints.
func run(ctx context.Context, dir string, name string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, arguments...)
	cmd.Dir = dir
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(arguments, " "), err, &errOut, &out)
	}
	return strings.TrimSpace(out.String()), nil
}

// programs are the directories of GoReleaser and krew, and with kubectl of the test
// cluster's programs, for a PATH. They are built unless they are cached.
func programs(ctx context.Context, kubectl bool) (string, error) {
	dirs, err := run(ctx, root, "go", "run", "./test/build", "-release")
	if err == nil && kubectl {
		var more string
		more, err = run(ctx, root, "go", "run", "./test/build")
		dirs += "\n" + more
	}
	return strings.ReplaceAll(dirs, "\n", ":") + ":" + os.Getenv("PATH"), err
}

// reduce takes systems and architectures out of what GoReleaser builds in a checkout.
func reduce(checkout string, systems []string) error {
	file := filepath.Join(checkout, ".goreleaser.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	changes := map[string]string{"&architectures [amd64, arm64]": "&architectures [" + strings.Join(architectures, ", ") + "]"}
	if len(systems) == 1 {
		changes["goos: [linux, darwin]"] = "goos: [linux]"
		changes["goos: [windows]"] = "goos: [windows]\n    skip: true"
	}
	for from, to := range changes {
		if !bytes.Contains(text, []byte(from)) {
			return fmt.Errorf(".goreleaser.yaml has no %q any more", from)
		}
		text = bytes.ReplaceAll(text, []byte(from), []byte(to))
	}
	return os.WriteFile(file, text, 0o644)
}

// frozen is a clone of the checkout, in which its changes are committed. Whoever works
// on while the tests run changes nothing of it.
var frozen = sync.OnceValues(func() (string, error) {
	here, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	ctx, clone := context.Background(), filepath.Join(scratch, "source")
	if _, err := run(ctx, here, "git", "clone", "--quiet", here, clone); err != nil {
		return "", err
	}
	const changes = `
git diff --binary HEAD | git -C "$1" apply --allow-empty
git ls-files -z --others --exclude-standard | xargs -0r cp --parents -t "$1"
git -C "$1" add --all
git -C "$1" -c user.name=test -c user.email=test@example.com commit --quiet --allow-empty --message changes`
	_, err = run(ctx, here, "sh", "-euc", changes, "sh", clone)
	return clone, err
})

// take makes a snapshot of it in a clone. Without Windows there is nothing for Scoop.
func take(name string, systems []string) (*snapshot, error) {
	ctx := context.Background()
	path, err := programs(ctx, false)
	if err != nil {
		return nil, err
	}
	source, err := frozen()
	if err != nil {
		return nil, err
	}
	clone := filepath.Join(scratch, name)
	if _, err := run(ctx, scratch, "git", "clone", "--quiet", source, clone); err != nil {
		return nil, err
	}
	if err := reduce(clone, systems); err != nil {
		return nil, err
	}
	skip := "--skip=sign"
	if len(systems) == 1 {
		skip += ",scoop"
	}
	if _, err := run(ctx, clone, "env", "PATH="+path, "goreleaser", "release", "--snapshot", "--clean", skip); err != nil {
		return nil, err
	}
	commit, err := run(ctx, clone, "git", "log", "-1", "--format=%H %h %cI")
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(commit)
	s := &snapshot{
		dist: filepath.Join(clone, "bin", "dist"), revision: fields[0], version: "v0.0.0-snapshot." + fields[1], sums: map[string]string{},
	}
	if s.date, err = time.Parse(time.RFC3339, fields[2]); err != nil {
		return nil, err
	}
	sums, err := os.ReadFile(filepath.Join(s.dist, "checksums.txt"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(sums)) {
		fields := strings.Fields(line)
		s.sums[fields[1]] = fields[0]
	}
	return s, nil
}

// archive is the name of a platform's, with what it ends with.
func (s *snapshot) archive(goos, goarch string) string {
	ending := "tar.gz"
	if goos == "windows" {
		ending = "zip"
	}
	return fmt.Sprintf("sidecar-drift_%s_%s_%s.%s", s.version, goos, goarch, ending)
}

func (s *snapshot) path(name string) string { return filepath.Join(s.dist, name) }

var (
	systems       = []string{"linux", "darwin", "windows"}
	architectures = []string{runtime.GOARCH} // both, with -full
	packages      = []string{"deb", "rpm", "apk"}
)

// packageOf finds a package by its kind and architecture; each kind has names of its own.
func (s *snapshot) packageOf(t *testing.T, kind, goarch string) string {
	t.Helper()
	for name := range s.sums {
		if strings.HasSuffix(name, "linux_"+goarch+"."+kind) {
			return s.path(name)
		}
	}
	t.Fatalf("no %s for %s among %v", kind, goarch, s.sums)
	return ""
}

func TestEveryFileIsThereAndHasItsChecksum(t *testing.T) {
	s := taken(t)
	if want := len(systems)*len(architectures)*2 + len(packages)*len(architectures); len(s.sums) != want {
		t.Errorf("%d files have checksums, want %d: archives and their bills of materials, and packages", len(s.sums), want)
	}
	for _, goos := range systems {
		for _, goarch := range architectures {
			bill := fmt.Sprintf("sidecar-drift_%s_%s_%s.cdx.json", s.version, goos, goarch)
			for _, name := range []string{s.archive(goos, goarch), bill} {
				if s.sums[name] == "" {
					t.Errorf("%s has no checksum", name)
				}
			}
		}
	}
	for _, kind := range packages {
		for _, goarch := range architectures {
			s.packageOf(t, kind, goarch)
		}
	}
	for name, want := range s.sums {
		if got := sum(t, s.path(name)); got != want {
			t.Errorf("%s has the checksum %s, and checksums.txt says %s", name, got, want)
		}
	}
}

func sum(t *testing.T, path string) string {
	t.Helper()
	hash := sha256.Sum256([]byte(read(t, path)))
	return hex.EncodeToString(hash[:])
}

// In another directory, at another time.
func TestTwoSnapshotsAreTheSame(t *testing.T) {
	one := taken(t)
	again := []string{"linux"}
	if *full {
		again = systems
	}
	other, err := take("another", again)
	if err != nil {
		t.Fatal(err)
	}
	expected := maps.Clone(one.sums)
	if !*full {
		maps.DeleteFunc(expected, func(name, _ string) bool { return !strings.Contains(name, "linux") })
	}
	if diff := cmp.Diff(expected, other.sums); diff != "" || len(expected) < 2+len(packages) {
		t.Errorf("checksums (-first +second):\n%s", diff)
	}
	for _, name := range manifests {
		if *full && read(t, one.path(name)) != read(t, other.path(name)) {
			t.Errorf("%s is another one", name)
		}
	}
}

// native tells whether a platform's program runs here.
func native(goos, goarch string) bool { return goos == runtime.GOOS && goarch == runtime.GOARCH }

func sorted(names map[string]entry) []string {
	var list []string
	for name := range names {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
