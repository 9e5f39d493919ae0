package install

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
)

// Binaries are the product's programs, built from this checkout.
type Binaries struct {
	CLI, Webhook string
}

// Build builds this checkout's programs into dir.
func Build(ctx context.Context, dir string) (Binaries, error) {
	root, err := Root()
	if err != nil {
		return Binaries{}, err
	}
	return build(ctx, root, dir)
}

// build builds a checkout's programs into dir. They are linked in the checkout's bin/test
// and copied: Go links only what differs from what is there, and linking takes ten
// times what copying does, for each of the clusters that tests start.
func build(ctx context.Context, checkout, dir string) (Binaries, error) {
	linked := filepath.Join(checkout, "bin", "test")
	if err := os.MkdirAll(linked, 0o755); err != nil {
		return Binaries{}, err
	}
	unlock, err := binaries.Lock(ctx, filepath.Join(linked, ".lock"), func() {})
	if err != nil {
		return Binaries{}, err
	}
	defer unlock()
	build := exec.CommandContext(ctx, "go", "build", "-o", linked+string(filepath.Separator), "./cmd/...")
	build.Dir = checkout
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released
	if output, err := build.CombinedOutput(); err != nil {
		return Binaries{}, fmt.Errorf("build the product: %w\n%s", err, output)
	}
	// By a program: a file that this process has written is busy when another of its
	// goroutines starts a program meanwhile.
	names := []string{"sidecar-drift", "sidecar-drift-webhook"}
	if output, err := exec.CommandContext(ctx, "cp", filepath.Join(linked, names[0]), filepath.Join(linked, names[1]), dir).CombinedOutput(); err != nil {
		return Binaries{}, fmt.Errorf("copy the product's programs: %w\n%s", err, output)
	}
	return Binaries{CLI: filepath.Join(dir, names[0]), Webhook: filepath.Join(dir, names[1])}, nil
}
