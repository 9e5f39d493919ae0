package istio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// rendering is what Istio's charts became with some values.
type rendering struct {
	files  map[string][]byte
	digest string // which the injector reports once it uses them
}

// render writes the injector's files and returns the digest that the injector
// reports once it uses them. What was rendered before is not rendered again: tests go
// to and fro between few values, and the charts are large.
func (i *Injector) render(ctx context.Context) (string, error) {
	args := []string{"--revision", i.opts.Revision, "--proxy-configs", i.opts.ProxyConfigs}
	for _, value := range i.opts.Set {
		args = append(args, "--set", value)
	}
	key := fmt.Sprintf("%q", args)
	r, ok := i.rendered[key]
	if !ok {
		var err error
		if r, err = i.renderCharts(ctx, args); err != nil {
			return "", fmt.Errorf("render Istio's charts with %v: %w", i.opts.Set, err)
		}
		i.rendered[key] = r
	}
	for name, content := range r.files {
		if err := replaceFile(filepath.Join(i.dir, name), content); err != nil {
			return "", err
		}
	}
	return r.digest, nil
}

func (i *Injector) renderCharts(ctx context.Context, args []string) (rendering, error) {
	dir, err := os.MkdirTemp(i.cluster.Dir(), "istio-charts-")
	if err != nil {
		return rendering{}, err
	}
	defer os.RemoveAll(dir)
	out, err := exec.CommandContext(ctx, i.binary, append([]string{"render", "--out", dir}, args...)...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return rendering{}, err
	}
	r := rendering{files: map[string][]byte{}, digest: strings.TrimSpace(string(out))}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return rendering{}, err
	}
	for _, entry := range entries {
		if r.files[entry.Name()], err = os.ReadFile(filepath.Join(dir, entry.Name())); err != nil {
			return rendering{}, err
		}
	}
	return r, nil
}

// replaceFile has no reader see half of a file.
func replaceFile(path string, content []byte) error {
	if err := os.WriteFile(path+".tmp", content, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
