package image

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// created is the commit's time.
var created = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// here is what containers run on, on this machine.
var here = v1.Platform{OS: "linux", Architecture: runtime.GOARCH}

func optionsOf(checkout string, platforms ...v1.Platform) Options {
	return Options{Root: checkout, Version: version, Revision: revision, Created: created, Platforms: platforms}
}

// whole is the image for all platforms, built once.
var whole = sync.OnceValues(func() (*Image, error) {
	return Build(context.Background(), optionsOf(root, Platforms...))
})

func built(t *testing.T) *Image {
	t.Helper()
	image, err := whole()
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// imageFor is one platform's.
func imageFor(t *testing.T, platform v1.Platform) v1.Image {
	t.Helper()
	manifest, err := built(t).Index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	position := slices.IndexFunc(manifest.Manifests, func(d v1.Descriptor) bool { return d.Platform.Equals(platform) })
	image, err := built(t).Index.Image(manifest.Manifests[position].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// pushed pushes the image to a registry of the test's own.
func pushed(t *testing.T) name.Tag {
	t.Helper()
	layout := filepath.Join(t.TempDir(), "layout")
	if err := built(t).Write(layout, version); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	tag, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/platform/sidecar-drift:" + version)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := Push(t.Context(), layout, tag.String())
	if err != nil {
		t.Fatal(err)
	}
	if want, err := built(t).Index.Digest(); err != nil || digest != want {
		t.Errorf("pushed %s, %v, want %s", digest, err, want)
	}
	return tag
}

func pull(t *testing.T, reference name.Reference, platform v1.Platform) v1.Image {
	t.Helper()
	image, err := remote.Image(reference, remote.WithPlatform(platform))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func digestOf(t *testing.T, of interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	digest, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// Another directory, another day.
func TestTwoBuildsHaveTheSameDigest(t *testing.T) {
	elsewhere := t.TempDir()
	build, _ := dockerfile(t)
	for _, source := range fromContext(build) {
		copyInto(t, elsewhere, source)
	}
	again, err := Build(t.Context(), optionsOf(elsewhere, here))
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.Index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if first, second := digestOf(t, imageFor(t, here)), second.Manifests[0].Digest; first != second {
		t.Errorf("the images are %s and %s", first, second)
	}
	position := slices.IndexFunc(Platforms, here.Equals)
	if first, second := digestOf(t, built(t).SBOMs[position]), digestOf(t, again.SBOMs[0]); first != second {
		t.Errorf("the bills of materials are %s and %s", first, second)
	}
}

func TestEachPlatformIsPulledAsItIsDescribed(t *testing.T) {
	tag := pushed(t)
	index, err := remote.Index(tag)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	labels := optionsOf(root).labels(false)
	annotations := optionsOf(root).labels(true)
	if annotations["org.opencontainers.image.created"] != "2026-11-01T12:00:00Z" {
		t.Errorf("created at %v", annotations)
	}
	if diff := cmp.Diff(annotations, manifest.Annotations); diff != "" {
		t.Errorf("annotations of the index (-want +got):\n%s", diff)
	}
	for _, platform := range Platforms {
		image := pull(t, tag, platform)
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != platform.Architecture || config.OS != "linux" || !config.Created.Equal(created) {
			t.Errorf("%s: is for %s/%s and of %s", platform, config.OS, config.Architecture, config.Created)
		}
		_, final := dockerfile(t)
		if diff := cmp.Diff(labelsOf(t, final), config.Config.Labels); diff != "" {
			t.Errorf("%s: labels (-Dockerfile +layout):\n%s", platform, diff)
		}
		if diff := cmp.Diff(labels, config.Config.Labels); diff != "" {
			t.Errorf("%s: labels (-want +got):\n%s", platform, diff)
		}
		if config.Config.User != userOf(final) {
			t.Errorf("%s: runs as %s, the Dockerfile's as %s", platform, config.Config.User, userOf(final))
		}
		own, err := image.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(annotations, own.Annotations); diff != "" {
			t.Errorf("%s: annotations (-want +got):\n%s", platform, diff)
		}
		checkBill(t, tag, image)
	}
}

// checkBill finds the bill of materials as scanners do, among those who refer to the
// image.
func checkBill(t *testing.T, tag name.Tag, image v1.Image) {
	t.Helper()
	referrers, err := remote.Referrers(tag.Digest(digestOf(t, image).String()))
	if err != nil {
		t.Fatal(err)
	}
	list, err := referrers.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Manifests) != 1 || list.Manifests[0].ArtifactType != cycloneDX {
		t.Fatalf("the referrers are %+v, want one bill of materials", list.Manifests)
	}
	artifact, err := remote.Image(tag.Digest(list.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := artifact.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("the artifact has %d layers, %v", len(layers), err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	var bom cdx.BOM
	if err := json.NewDecoder(content).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	known := map[string]cdx.Component{bom.Metadata.Component.BOMRef: *bom.Metadata.Component}
	for _, component := range *bom.Components {
		if _, twice := known[component.BOMRef]; twice {
			t.Errorf("%s is listed twice", component.BOMRef)
		}
		known[component.BOMRef] = component
	}
	for _, dependency := range *bom.Dependencies {
		names := []string{dependency.Ref}
		if dependency.Dependencies != nil {
			names = append(names, *dependency.Dependencies...)
		}
		for _, on := range names {
			if _, ok := known[on]; !ok {
				t.Errorf("%s, of which %s is made, is not listed", on, dependency.Ref)
			}
		}
	}
	for _, program := range programs {
		if known[program].Version != version {
			t.Errorf("%s has the version %q", program, known[program].Version)
		}
	}
	for _, purl := range []string{"pkg:golang/k8s.io/client-go@", "pkg:golang/std@"} {
		if !slices.ContainsFunc(*bom.Components, func(c cdx.Component) bool { return strings.HasPrefix(c.PackageURL, purl) }) {
			t.Errorf("no component is %s…", purl)
		}
	}
}

// entry is what one says of a file in an image.
type entry struct {
	Type     byte
	Mode     int64
	UID, GID int
}

// unpack writes an image's files into a directory, and says what they are.
func unpack(t *testing.T, image v1.Image, dir string) map[string]entry {
	t.Helper()
	content := mutate.Extract(image)
	defer content.Close()
	found := map[string]entry{}
	r := tar.NewReader(content)
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, header.Name)
		found[strings.TrimSuffix(header.Name, "/")] = entry{header.Typeflag, header.Mode & 0o7777, header.Uid, header.Gid}
		if header.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = write(path, r, header.FileInfo().Mode())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func write(path string, content io.Reader, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// contents are the image's, and nothing else.
var contents = map[string]entry{
	"etc":                   {Type: tar.TypeDir, Mode: 0o755},
	"etc/ssl":               {Type: tar.TypeDir, Mode: 0o755},
	"etc/ssl/certs":         {Type: tar.TypeDir, Mode: 0o755},
	certificatesFile:        {Type: tar.TypeReg, Mode: 0o644},
	"sidecar-drift":         {Type: tar.TypeReg, Mode: 0o755},
	"sidecar-drift-webhook": {Type: tar.TypeReg, Mode: 0o755},
}

func TestPulledImageRunsAsNobodyOnAReadOnlyRoot(t *testing.T) {
	image := pull(t, pushed(t), here)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(contents, unpack(t, image, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	certificates, err := os.ReadFile(filepath.Join(dir, certificatesFile))
	if err != nil {
		t.Fatal(err)
	}
	if roots, count := x509.NewCertPool(), bytes.Count(certificates, []byte("BEGIN")); !roots.AppendCertsFromPEM(certificates) || count < 100 {
		t.Errorf("%d root certificates", count)
	}
	// What Kubernetes would mount.
	issue(t, filepath.Join(dir, "etc", "sidecar-drift", "tls"))

	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != fmt.Sprintf("%d:%d", nonroot, nonroot) {
		t.Errorf("the image's user is %s", config.Config.User)
	}
	output, err := jailed(t.Context(), t, dir, append(config.Config.Entrypoint, "version")...).CombinedOutput()
	if err != nil || !strings.Contains(string(output), version) {
		t.Errorf("version: %v\n%s", err, output)
	}
	serve(t, dir)
}
