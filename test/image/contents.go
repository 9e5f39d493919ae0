package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// programs are those of the image; the first one is its entrypoint.
var programs = []string{"sidecar-drift", "sidecar-drift-webhook"}

// certificatesFile is where Go, and everybody else, looks on Linux.
const certificatesFile = "etc/ssl/certs/ca-certificates.crt"

const packages = "github.com/sidecar-drift/sidecar-drift"

type compiled struct {
	layer v1.Layer
	sbom  *cdx.BOM
}

// compile builds the programs as the Dockerfile does.
func compile(ctx context.Context, o Options, platform v1.Platform) (*compiled, error) {
	dir, err := os.MkdirTemp("", "sidecar-drift-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	arguments := []string{
		"build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X " + packages + "/internal/version.version=" + o.Version,
		"-o", dir + string(filepath.Separator),
	}
	for _, program := range programs {
		arguments = append(arguments, "./cmd/"+program)
	}
	build := exec.CommandContext(ctx, "go", arguments...)
	build.Dir = o.Root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOOS="+platform.OS, "GOARCH="+platform.Architecture)
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, output)
	}
	var contents []file
	var paths []string
	for _, program := range programs {
		paths = append(paths, filepath.Join(dir, program))
		content, err := os.ReadFile(filepath.Join(dir, program))
		if err != nil {
			return nil, err
		}
		contents = append(contents, file{name: program, mode: 0o755, content: content})
	}
	layer, err := layerOf(o.Created, contents...)
	if err != nil {
		return nil, err
	}
	sbom, err := Bill(cdx.ComponentTypeContainer, o.Version, o.Created, paths...)
	if err != nil {
		return nil, fmt.Errorf("list what the programs are made of: %w", err)
	}
	return &compiled{layer: layer, sbom: sbom}, nil
}

// certificates is the layer of root certificates: Mozilla's, as Go's module pins them,
// for those of this machine may be anybody's. Roots that Mozilla trusts for some
// certificates only are left out, as a file of certificates cannot say which.
func certificates(created time.Time) (v1.Layer, error) {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	return layerOf(created,
		file{name: "etc/"}, file{name: "etc/ssl/"}, file{name: path.Dir(certificatesFile) + "/"},
		file{name: certificatesFile, mode: 0o644, content: text.Bytes()})
}

// file is a regular file of root's, or a directory, whose name ends with a slash.
type file struct {
	name    string
	mode    int64
	content []byte
}

func layerOf(modified time.Time, files ...file) (v1.Layer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range files {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.content)),
			ModTime: modified, Format: tar.FormatPAX,
		}
		if f.name[len(f.name)-1] == '/' {
			header.Typeflag, header.Mode = tar.TypeDir, 0o755
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	// Compressed once, and kept: digest, size and content are asked for one by one.
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}
