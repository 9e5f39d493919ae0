package binaries

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// hello is a module like those below test/build, with no dependency.
var hello = module{
	name:     "hello",
	programs: []program{{name: "greet", pkg: ".", output: "hello", modPath: "example.com/dependency"}},
	versionFlags: func(version string) []string {
		return []string{"-X", "main.version=" + version}
	},
}

const helloMod = "module example.com/hello\n\ngo 1.26.0\n\nrequire example.com/dependency v1.2.3 // indirect\n"

const helloMain = `package main

import "fmt"

var version string

func main() { fmt.Print("hello ", version) }
`

// checkout makes the working directory a package of a checkout that holds hello,
// and returns hello's directory.
func checkout(t *testing.T) string {
	t.Helper()
	t.Setenv("GOPROXY", "off")
	root := t.TempDir()
	dir := filepath.Join(root, "test", "build", "hello")
	pkg := filepath.Join(root, "some", "package")
	for _, d := range []string{dir, pkg} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "go.mod"), helloMod)
	write(t, filepath.Join(dir, "go.sum"), "")
	write(t, filepath.Join(dir, "main.go"), helloMain)
	t.Chdir(pkg)
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func ensure(t *testing.T, cache string) (*Set, string) {
	t.Helper()
	var progress strings.Builder
	set, err := hello.ensure(t.Context(), cache, &progress)
	if err != nil {
		t.Fatal(err)
	}
	return set, progress.String()
}

func TestProgramIsBuiltOnceForAll(t *testing.T) {
	checkout(t)
	cache := t.TempDir()
	const callers = 4
	built := make(chan bool, callers)
	var wait sync.WaitGroup
	for range callers {
		wait.Go(func() {
			var progress strings.Builder
			set, err := hello.ensure(t.Context(), cache, &progress)
			if err != nil {
				t.Error(err)
				return
			}
			built <- !set.Cached
		})
	}
	wait.Wait()
	close(built)
	builds := 0
	for b := range built {
		if b {
			builds++
		}
	}
	if builds != 1 {
		t.Errorf("%d of %d callers built it, want 1", builds, callers)
	}

	set, progress := ensure(t, cache)
	if !set.Cached || progress != "" {
		t.Errorf("afterwards cached is %t with progress %q", set.Cached, progress)
	}
	out, err := exec.Command(set.Path("greet")).Output()
	if err != nil || string(out) != "hello v1.2.3" {
		t.Errorf("the program prints %q, %v", out, err)
	}
	if got, want := strings.Join(set.Programs(), ","), "greet v1.2.3"; got != want {
		t.Errorf("Programs are %s, want %s", got, want)
	}
}

func TestEachSourceIsPartOfTheKey(t *testing.T) {
	dir := checkout(t)
	keys := map[string]string{}
	record := func(change string) {
		r, err := hello.recipe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := keys[r.key]; ok {
			t.Errorf("the key after %q is that after %q", change, before)
		}
		keys[r.key] = change
	}
	record("nothing")
	write(t, filepath.Join(dir, "main.go"), helloMain+"// changed\n")
	record("a change of main.go")
	write(t, filepath.Join(dir, "go.sum"), "example.com/other v1.0.0 h1:x=\n")
	record("a change of go.sum")
	write(t, filepath.Join(dir, "go.mod"), strings.Replace(helloMod, "v1.2.3", "v1.2.4", 1))
	record("another version")
}

func TestFailedBuildSaysWhyAndLeavesNothing(t *testing.T) {
	dir := checkout(t)
	write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() { undefinedFunction() }\n")
	cache := t.TempDir()
	_, err := hello.ensure(t.Context(), cache, &strings.Builder{})
	if err == nil || !strings.Contains(err.Error(), "undefinedFunction") {
		t.Errorf("got %v, want the compiler's message", err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "hello-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range left {
		if filepath.Ext(path) != ".lock" {
			t.Errorf("%s is left", path)
		}
	}
}

func TestWaitForTheLockEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(t.Context(), path, func() { t.Error("waited for a free lock") })
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	waited := false
	if _, err := Lock(ctx, path, func() { waited = true }); err == nil {
		t.Error("the lock was taken twice")
	}
	if !waited {
		t.Error("nobody was told of the wait")
	}
}

func TestOutsideOfACheckout(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := hello.ensure(t.Context(), t.TempDir(), &strings.Builder{})
	if err == nil || !strings.Contains(err.Error(), "from within a checkout") {
		t.Errorf("got %v, want what to do", err)
	}
}

func TestRequiredVersion(t *testing.T) {
	const gomod = `module example.com/m

require k8s.io/one v0.1.0

require (
	k8s.io/kubernetes v1.37.2 // indirect
	k8s.io/kubernetes-more v9.0.0
)

replace k8s.io/api => k8s.io/api v0.37.2
`
	for module, want := range map[string]string{
		"k8s.io/one":        "v0.1.0",
		"k8s.io/kubernetes": "v1.37.2",
		"k8s.io/api":        "",
		"k8s.io/absent":     "",
	} {
		if got, ok := requiredVersion(gomod, module); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %t, want %q", module, got, ok, want)
		}
	}
}
