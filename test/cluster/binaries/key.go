package binaries

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// recipe is a module together with everything that its binaries depend on.
type recipe struct {
	module
	dir      string            // where its go.mod is
	versions map[string]string // by program name
	flags    []string          // of go build
	key      string            // a hash over all of it
}

func (m module) recipe(ctx context.Context) (*recipe, error) {
	dir, err := m.sourceDir()
	if err != nil {
		return nil, err
	}
	gomod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	r := &recipe{module: m, dir: dir, versions: map[string]string{}}
	for _, p := range m.programs {
		version, ok := requiredVersion(string(gomod), p.modPath)
		if !ok {
			return nil, fmt.Errorf("%s requires no %s", filepath.Join(dir, "go.mod"), p.modPath)
		}
		r.versions[p.name] = version
	}
	ldflags := []string{"-s", "-w"}
	if m.versionFlags != nil {
		ldflags = append(ldflags, m.versionFlags(r.versions[m.programs[0].name])...)
	}
	r.flags = []string{"-buildvcs=false", "-ldflags=" + strings.Join(ldflags, " ")}
	r.key, err = r.hash(ctx)
	return r, err
}

// requiredVersion is the version of a module in the text of a go.mod.
func requiredVersion(gomod, module string) (string, bool) {
	for line := range strings.Lines(gomod) {
		fields := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(fields) >= 2 && fields[0] == module && strings.HasPrefix(fields[1], "v") {
			return fields[1], true
		}
	}
	return "", false
}

// hash covers the toolchain, the flags, and the files of the module itself;
// go.sum stands for every dependency.
func (r *recipe) hash(ctx context.Context) (string, error) {
	env := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH")
	env.Dir = r.dir
	env.Env = goEnv()
	toolchain, err := env.Output()
	if err != nil {
		return "", fmt.Errorf("ask the go command for its version: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%q\n%+v\n%q\n", toolchain, r.flags, r.programs, r.stages)
	if r.charts != "" {
		fmt.Fprintln(h, r.charts)
	}
	sources, err := filepath.Glob(filepath.Join(r.dir, "*.go"))
	if err != nil {
		return "", err
	}
	stages, err := r.ownStages()
	if err != nil {
		return "", err
	}
	for _, file := range append(append(sources, stages...), filepath.Join(r.dir, "go.mod"), filepath.Join(r.dir, "go.sum")) {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", filepath.Base(file), len(content), content)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// goEnv is the environment of the go command: static binaries, and neither a
// workspace nor a cross-compilation that the caller happens to be in.
func goEnv() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOOS=", "GOARCH=")
}
