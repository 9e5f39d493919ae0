package binaries

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// ensureInUserCache is ensure with the user's cache directory and progress on
// stderr.
func (m module) ensureInUserCache(ctx context.Context) (*Set, error) {
	cache, err := userCache()
	if err != nil {
		return nil, err
	}
	return m.ensure(ctx, cache, os.Stderr)
}

// ensure returns the module's Set in cache and builds it first if it is not
// there. Processes that want the same module at once build it once: the others
// wait.
func (m module) ensure(ctx context.Context, cache string, progress io.Writer) (*Set, error) {
	r, err := m.recipe(ctx)
	if err != nil {
		return nil, err
	}
	set := &Set{Dir: filepath.Join(cache, m.name+"-"+r.key), Cached: true}
	for _, p := range m.programs {
		set.programs = append(set.programs, p.name+" "+r.versions[p.name])
	}
	if exists(set.Dir) {
		return set, nil
	}

	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	unlock, err := Lock(ctx, set.Dir+".lock", func() {
		fmt.Fprintf(progress, "building %s: waiting for another process that builds it\n", m.name)
	})
	if err != nil {
		return nil, err
	}
	defer unlock()
	if exists(set.Dir) {
		return set, nil
	}
	set.Cached = false
	if err := r.build(ctx, cache, set.Dir, progress); err != nil {
		return nil, fmt.Errorf("build %s: %w", m.name, err)
	}
	return set, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// build builds into a temporary directory that becomes dir when it is complete.
func (r *recipe) build(ctx context.Context, cache, dir string, progress io.Writer) error {
	incomplete, err := os.MkdirTemp(cache, filepath.Base(dir)+".incomplete-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(incomplete)
	bin := filepath.Join(incomplete, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	if err := r.goBuild(ctx, bin, progress); err != nil {
		return err
	}
	for _, p := range r.programs {
		if err := os.Rename(filepath.Join(bin, p.output), filepath.Join(bin, p.name)); err != nil {
			return err
		}
	}
	if len(r.stages) > 0 {
		if err := r.writeStages(ctx, incomplete); err != nil {
			return err
		}
	}
	if r.charts != "" {
		if err := r.copyCharts(ctx, incomplete); err != nil {
			return err
		}
	}
	if err := os.Chmod(incomplete, 0o755); err != nil {
		return err
	}
	return os.Rename(incomplete, dir)
}

// goBuild builds all programs into bin. A program's line of progress ends when
// the linker has written its binary.
func (r *recipe) goBuild(ctx context.Context, bin string, progress io.Writer) error {
	args := append([]string{"build", "-o", bin + string(filepath.Separator)}, r.flags...)
	for _, p := range r.programs {
		args = append(args, p.pkg)
	}
	var output bytes.Buffer
	build := exec.CommandContext(ctx, "go", args...)
	build.Dir = r.dir
	build.Env = goEnv()
	build.Stdout, build.Stderr = &output, &output

	started := time.Now()
	pending := r.programs
	for _, p := range pending {
		fmt.Fprintf(progress, "building %s %s …\n", p.name, r.versions[p.name])
	}
	report := func() {
		var rest []program
		for _, p := range pending {
			if !exists(filepath.Join(bin, p.output)) {
				rest = append(rest, p)
				continue
			}
			fmt.Fprintf(progress, "building %s %s … %v\n", p.name, r.versions[p.name], time.Since(started).Round(time.Second))
		}
		pending = rest
	}
	if err := build.Start(); err != nil {
		return err
	}
	finished := make(chan error, 1)
	go func() { finished <- build.Wait() }()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			report()
		case err := <-finished:
			if err != nil {
				return fmt.Errorf("go build: %w\n%s", err, bytes.TrimSpace(output.Bytes()))
			}
			report()
			return nil
		}
	}
}

// Lock takes an exclusive lock on a file, which the kernel releases should the
// process die. It calls waiting once if somebody else holds it.
func Lock(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for first := true; ; first = false {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if first {
			waiting()
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, fmt.Errorf("wait for %s: %w", path, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
