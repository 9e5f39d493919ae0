package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
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

var full = flag.Bool("full", false, "for every platform, and all of it twice; else for Linux and Windows on this machine's architecture, and what is in its archive twice")

// scratch outlives single tests, which share a snapshot.
var scratch string

func TestMain(m *testing.M) {
	flag.Parse()
	if *full {
		systems, architectures = []string{"linux", "darwin", "windows"}, []string{"amd64", "arm64"}
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

var first = sync.OnceValues(func() (*snapshot, error) { return take("first") })

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

// reduce takes platforms out of what GoReleaser builds in a checkout.
func reduce(checkout string) error {
	file := filepath.Join(checkout, ".goreleaser.yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := string(content)
	for all, some := range map[string][]string{
		"goos: [linux, darwin]":         slices.DeleteFunc(slices.Clone(systems), func(goos string) bool { return goos == "windows" }),
		"&architectures [amd64, arm64]": architectures,
	} {
		if strings.Count(text, all) != 1 {
			return fmt.Errorf(".goreleaser.yaml does not have %q once any more", all)
		}
		key, _, _ := strings.Cut(all, "[")
		text = strings.Replace(text, all, key+"["+strings.Join(some, ", ")+"]", 1)
	}
	return os.WriteFile(file, []byte(text), 0o644)
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

// release has GoReleaser do something in a clone, whose directory it returns.
func release(ctx context.Context, name string, command ...string) (string, error) {
	path, err := programs(ctx, false)
	if err != nil {
		return "", err
	}
	source, err := frozen()
	if err != nil {
		return "", err
	}
	clone := filepath.Join(scratch, name)
	if _, err := run(ctx, scratch, "git", "clone", "--quiet", source, clone); err != nil {
		return "", err
	}
	if err := reduce(clone); err != nil {
		return "", err
	}
	_, err = run(ctx, clone, "env", append([]string{"PATH=" + path, "goreleaser"}, command...)...)
	return clone, err
}

// take makes a snapshot.
func take(name string) (*snapshot, error) {
	ctx := context.Background()
	clone, err := release(ctx, name, "release", "--snapshot", "--clean", "--skip=sign")
	if err != nil {
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
	// All, with -full. What is compiled for darwin alone is none of the product's.
	systems       = []string{"linux", "windows"}
	architectures = []string{runtime.GOARCH}
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

// In another directory, at another time. What archives and packages say of their files'
// times is looked at besides, so that only -full makes those twice.
func TestTwoSnapshotsAreTheSame(t *testing.T) {
	one := taken(t)
	if !*full {
		checkContents(t, one)
		return
	}
	other, err := take("another")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(one.sums, other.sums); diff != "" {
		t.Errorf("checksums (-first +second):\n%s", diff)
	}
	for _, name := range manifests {
		if read(t, one.path(name)) != read(t, other.path(name)) {
			t.Errorf("%s is another one", name)
		}
	}
}

// checkContents makes what is in this machine's archive again.
func checkContents(t *testing.T, one *snapshot) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "sidecar-drift")
	clone, err := release(t.Context(), "another", "build", "--snapshot", "--clean", "--single-target", "--id", "unix", "--output", program)
	if err != nil {
		t.Fatal(err)
	}
	again := map[string]string{"sidecar-drift": program}
	for from, to := range map[string]string{"completions": "completions", "man": "man/man1", "unix": ""} {
		files, err := filepath.Glob(filepath.Join(clone, "bin", "release", from, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			again[path.Join(to, filepath.Base(file))] = file
		}
	}
	archive := fromArchive(t, one.path(one.archive(runtime.GOOS, runtime.GOARCH)))
	for name, file := range archive {
		if name == "LICENSE" || name == "README.md" {
			continue
		}
		if again[name] == "" || !bytes.Equal(file.content, []byte(read(t, again[name]))) {
			t.Errorf("%s is another one, or is not made again", name)
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
