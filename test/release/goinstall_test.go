package release

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// The commit can be installed by its path alone, as a proxy serves it: nothing of it is
// replaced, no file of another module is needed, and the program knows its version.
func TestGoInstall(t *testing.T) {
	const version = "v0.99.0"
	dir := t.TempDir()
	if err := serveModule(t.Context(), filepath.Join(dir, "proxy"), version); err != nil {
		t.Fatal(err)
	}
	cache, err := run(t.Context(), root, "go", "env", "GOMODCACHE")
	if err != nil {
		t.Fatal(err)
	}
	install := exec.CommandContext(t.Context(), "go", "install", "-trimpath", productModule+"/cmd/sidecar-drift@latest")
	install.Dir = dir
	install.Env = append(os.Environ(),
		"GOPROXY=file://"+filepath.Join(dir, "proxy")+",file://"+filepath.Join(cache, "cache", "download"),
		"GOMODCACHE="+filepath.Join(dir, "modules"), // or the user's would hold a version that there is not
		"GOBIN="+filepath.Join(dir, "bin"), "GOFLAGS=-modcacherw", "GONOSUMDB=*", "CGO_ENABLED=0", "GOWORK=off",
	)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	said, err := run(t.Context(), dir, filepath.Join(dir, "bin", "sidecar-drift"), "version", "--client")
	if err != nil || !strings.HasPrefix(said, "sidecar-drift "+version+" ") {
		t.Errorf("it says %q, %v", said, err)
	}
}

const productModule = "github.com/sidecar-drift/sidecar-drift"

// serveModule writes what a module proxy has of the checkout's commit.
// https://go.dev/ref/mod#goproxy-protocol
func serveModule(ctx context.Context, dir, version string) error {
	versions := filepath.Join(dir, filepath.FromSlash(productModule), "@v")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		return err
	}
	gomod, err := run(ctx, root, "git", "show", "HEAD:go.mod")
	if err != nil {
		return err
	}
	info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Unix(0, 0).UTC()})
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"list": version + "\n", version + ".info": string(info), version + ".mod": gomod + "\n"} {
		if err := os.WriteFile(filepath.Join(versions, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	archive, err := os.Create(filepath.Join(versions, version+".zip"))
	if err != nil {
		return err
	}
	defer archive.Close()
	if err := zip.CreateFromVCS(archive, module.Version{Path: productModule, Version: version}, root, "HEAD", ""); err != nil {
		return fmt.Errorf("make the module's archive: %w", err)
	}
	return archive.Close()
}
