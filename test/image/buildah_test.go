package image

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// What an engine makes of the Dockerfile is what is made without one. The base is
// made here: a shell, and this machine's Go.
func TestBuildahBuildsTheDockerfileToTheSameFiles(t *testing.T) {
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Fatalf("%v; on Debian: apt-get install buildah", err)
	}
	scratch, err := os.MkdirTemp("", "sidecar-drift-") // t.TempDir has capitals, which names of images have not
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(scratch) })
	base, made := filepath.Join(scratch, "base"), filepath.Join(scratch, "made")
	goroot := goEnv(t, "GOROOT")
	writeBase(t, base, goroot)

	// Where buildah keeps what RUN --mount=type=cache asks for: the caches of this
	// machine, so that nothing is downloaded or compiled twice.
	for _, named := range []string{"buildah-cache", fmt.Sprintf("buildah-cache-%d", os.Getuid())} { // by its version
		caches := filepath.Join(scratch, "tmp", named, "cache")
		if err := os.MkdirAll(caches, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, of := range map[string]string{"mod": "GOMODCACHE", "build": "GOCACHE"} {
			if err := os.Symlink(goEnv(t, of), filepath.Join(caches, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Neither an overlay nor namespaces of its own, which a container on CI has not.
	buildah := func(arguments ...string) {
		command := exec.CommandContext(t.Context(), "buildah", append([]string{
			"--storage-driver", "vfs", "--root", filepath.Join(scratch, "storage"), "--runroot", filepath.Join(scratch, "run"),
		}, arguments...)...)
		command.Env = append(os.Environ(), "TMPDIR="+filepath.Join(scratch, "tmp"))
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("buildah %s: %v\n%s", strings.Join(arguments, " "), err, output)
		}
	}
	buildah("build", "--isolation", "chroot", "--network", "host", "--volume", goroot+":"+goroot+":ro", "--format", "oci",
		"--build-arg", "GO_IMAGE=oci:"+base, "--build-arg", "VERSION="+version, "--build-arg", "REVISION="+revision,
		"--build-arg", "TARGETARCH="+here.Architecture, "--tag", "sidecar-drift:test", root)
	buildah("push", "sidecar-drift:test", "oci:"+made)

	image := onlyImage(t, made)
	theirs, ours := t.TempDir(), t.TempDir()
	files := unpack(t, image, theirs)
	if diff := cmp.Diff(unpack(t, imageFor(t, here), ours), files); diff != "" {
		t.Errorf("files (-layout +Dockerfile):\n%s", diff)
	}
	for _, program := range programs {
		checkProgram(t, filepath.Join(ours, program))
		sameFile(t, filepath.Join(theirs, program), filepath.Join(ours, program))
	}
	got, want := configOf(t, image), configOf(t, imageFor(t, here))
	maps.DeleteFunc(got.Labels, func(name, _ string) bool { return strings.HasPrefix(name, "io.buildah.") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-layout +Dockerfile):\n%s", diff)
	}
	if err := os.Chmod(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	output, err := jailed(t.Context(), t, theirs, append(got.Entrypoint, "version")...).CombinedOutput()
	if err != nil || !strings.Contains(string(output), version) {
		t.Errorf("version: %v\n%s", err, output)
	}
}

func goEnv(t *testing.T, variable string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", variable).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func configOf(t *testing.T, image v1.Image) v1.Config {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return file.Config
}

func onlyImage(t *testing.T, dir string) v1.Image {
	t.Helper()
	path, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("%s holds %d images, %v", dir, len(manifest.Manifests), err)
	}
	image, err := path.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

var absolute = regexp.MustCompile(`/\S+`)

// writeBase writes an image, as a layout, in which the build's commands find a shell
// and root certificates. Go is mounted into it.
func writeBase(t *testing.T, dir, goroot string) {
	t.Helper()
	libraries, err := exec.CommandContext(t.Context(), "ldd", "/bin/sh").Output()
	if err != nil {
		t.Fatalf("ldd: %v", err)
	}
	files := []file{{name: "tmp/"}}
	for _, path := range append(absolute.FindAllString(string(libraries), -1), "/bin/sh", "/"+certificatesFile) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file{name: strings.TrimPrefix(path, "/"), mode: 0o755, content: content})
	}
	for i := range files { // not executable
		if bytes.Contains(files[i].content, []byte("BEGIN CERTIFICATE")) {
			files[i].mode = 0o644
		}
	}
	layer, err := layerOf(created, files...)
	if err != nil {
		t.Fatal(err)
	}
	base, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layer)
	if err != nil {
		t.Fatal(err)
	}
	base, err = mutate.ConfigFile(base, &v1.ConfigFile{
		OS: here.OS, Architecture: here.Architecture, RootFS: rootFS(t, base),
		Config: v1.Config{Env: []string{"PATH=" + filepath.Join(goroot, "bin") + ":/bin"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	written, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := written.AppendImage(base); err != nil {
		t.Fatal(err)
	}
}

func rootFS(t *testing.T, image v1.Image) v1.RootFS {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return file.RootFS
}
