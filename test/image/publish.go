package image

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Write writes an OCI layout: the index, by the name of its version, and beside it the
// bills of materials, as tools that copy layouts with their referrers expect them.
func (i *Image) Write(dir, version string) error {
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendIndex(i.Index, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": version,
	})); err != nil {
		return err
	}
	for _, sbom := range i.SBOMs {
		if err := path.AppendImage(sbom); err != nil {
			return err
		}
	}
	return nil
}

// Push pushes a layout that Write wrote, with the credentials that `docker login`
// stored, and returns the index's digest.
func Push(ctx context.Context, dir, reference string) (v1.Hash, error) {
	tag, err := name.NewTag(reference, name.StrictValidation)
	if err != nil {
		return v1.Hash{}, err
	}
	path, err := layout.FromPath(dir)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("%s is no OCI layout; make image-oci writes one: %w", dir, err)
	}
	top, err := path.ImageIndex()
	if err != nil {
		return v1.Hash{}, err
	}
	manifest, err := top.IndexManifest()
	if err != nil {
		return v1.Hash{}, err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	var pushed v1.Hash
	for _, descriptor := range manifest.Manifests {
		if descriptor.MediaType.IsIndex() {
			index, err := top.ImageIndex(descriptor.Digest)
			if err != nil {
				return v1.Hash{}, err
			}
			if err := remote.WriteIndex(tag, index, options...); err != nil {
				return v1.Hash{}, err
			}
			pushed = descriptor.Digest
			continue
		}
		// Registries without the referrers API are told by a tag, which remote writes.
		artifact, err := top.Image(descriptor.Digest)
		if err != nil {
			return v1.Hash{}, err
		}
		if err := remote.Write(tag.Digest(descriptor.Digest.String()), artifact, options...); err != nil {
			return v1.Hash{}, err
		}
	}
	return pushed, nil
}
