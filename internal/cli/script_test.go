package cli_test

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/internal/cli"
)

var update = flag.Bool("update", false, "rewrite the scripts' expected output and the command reference")

func TestMain(m *testing.M) {
	run := func() {
		os.Exit(cli.Main(os.Args, genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}))
	}
	testscript.Main(leakChecked{m}, map[string]func(){"sidecar-drift": run, "kubectl-sidecar_drift": run})
}

// leakChecked fails the tests that leave a goroutine behind.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	code := m.M.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "goleak:", err)
		return 1
	}
	return 0
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			return copyPods(env.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode":  exitCode,
			"refused":   refused,
			"apiserver": apiServer,
		},
	})
}

// copyPods gives each script the Pods that a real API server sent.
func copyPods(dir string) error {
	pods, err := filepath.Glob("testdata/pod-*.json")
	if err != nil {
		return err
	}
	for _, path := range pods {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// exitCode runs a command line and wants it to end with exactly that code:
// exitcode 2 sidecar-drift audit …
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode CODE COMMAND [ARGUMENT ...]")
	}
	if got := run(ts, args[1:]); strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// refused runs a command line that must end with exit code 2 and nothing on
// stdout, and appends what it says to the file "transcript".
func refused(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: refused COMMAND [ARGUMENT ...]")
	}
	if got := run(ts, args); got != 2 {
		ts.Fatalf("exit code %d, want 2", got)
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("stdout: %s", out)
	}
	f, err := os.OpenFile(ts.MkAbs("transcript"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	ts.Check(err)
	said := ts.ReadFile("stderr")
	if server := ts.Getenv("SERVER"); server != "" {
		said = strings.ReplaceAll(said, server, "$SERVER")
	}
	said = strings.ReplaceAll(said, ts.Getenv("WORK"), "$WORK")
	_, err = fmt.Fprintf(f, "$ %s\n%s\n", strings.Join(args, " "), said)
	ts.Check(err)
	ts.Check(f.Close())
}

// run returns the exit code of a command line.
func run(ts *testscript.TestScript, args []string) int {
	err := ts.Exec(args[0], args[1:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// apiServer starts an API server that knows its version only, and writes a
// kubeconfig for it: apiserver VERSION KUBECONFIG.
func apiServer(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: apiserver VERSION KUBECONFIG")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/version" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, `{"gitVersion":%q}`, args[0])
	}))
	ts.Defer(server.Close)
	ts.Setenv("SERVER", server.URL)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), fmt.Appendf(nil, kubeconfig, server.URL), 0o600))
}

const kubeconfig = `apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "%s"}}]
contexts: [{name: test, context: {cluster: test, namespace: shop}}]
`

func TestReferenceIsUpToDate(t *testing.T) {
	const dir = "../../docs/reference"
	pages := cli.Reference()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if _, ok := pages[file.Name()]; !ok {
			t.Errorf("%s is the page of no command; remove it", filepath.Join(dir, file.Name()))
		}
	}
	for name, want := range pages {
		path := filepath.Join(dir, name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%s is not up to date (%v); run make generate", path, err)
		}
	}
}
