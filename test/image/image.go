// Package image makes the product's container image without a container engine, and
// the same one each time: of the same commit, Go and go.sum, on any machine.
//
// The Dockerfile makes the same image with an engine. What is in one is in the other:
// the tests hold them to it.
package image

import (
	"context"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// user is distroless' nonroot, by number, as runAsNonRoot wants it.
	user   = "65532:65532"
	source = "https://github.com/sidecar-drift/sidecar-drift"
)

// Platforms are those that an image is for.
var Platforms = []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}

// Options say what an image is made of.
type Options struct {
	// Root is the directory of the checkout.
	Root string
	// Version is what the programs call themselves, v1.2.3.
	Version string
	// Revision is the commit, in full.
	Revision string
	// Created is the commit's time. Nothing in the image is younger, or older.
	Created time.Time
	// Platforms are those of the programs.
	Platforms []v1.Platform
}

// Image is an index of one image a platform, and their bills of materials, each of
// which refers to the image that it is of.
type Image struct {
	Index v1.ImageIndex
	SBOMs []v1.Image
}

// Build compiles the programs for each platform, and makes the image of them.
func Build(ctx context.Context, o Options) (*Image, error) {
	roots, err := certificates(o.Created)
	if err != nil {
		return nil, err
	}
	result := &Image{Index: mutate.IndexMediaType(empty.Index, types.OCIImageIndex)}
	for _, platform := range o.Platforms {
		built, err := compile(ctx, o, platform)
		if err != nil {
			return nil, fmt.Errorf("build for %s: %w", platform, err)
		}
		image, err := o.image(platform, roots, built.layer)
		if err != nil {
			return nil, err
		}
		sbom, err := attach(built.sbom, image, o)
		if err != nil {
			return nil, err
		}
		result.SBOMs = append(result.SBOMs, sbom)
		result.Index = mutate.AppendManifests(result.Index, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &platform},
		})
	}
	result.Index = mutate.Annotations(result.Index, o.labels(true)).(v1.ImageIndex)
	return result, nil
}

func (o Options) image(platform v1.Platform, layers ...v1.Layer) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	var additions []mutate.Addendum
	for i, layer := range layers {
		additions = append(additions, mutate.Addendum{
			Layer:     layer,
			MediaType: types.OCILayer,
			History:   v1.History{Created: v1.Time{Time: o.Created}, CreatedBy: []string{"root certificates", "programs"}[i]},
		})
	}
	image, err := mutate.Append(image, additions...)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = platform.OS, platform.Architecture
	config.Created = v1.Time{Time: o.Created}
	config.Config = v1.Config{
		User:       user,
		Entrypoint: []string{"/" + programs[0]},
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Labels:     o.labels(false),
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, err
	}
	return mutate.Annotations(image, o.labels(true)).(v1.Image), nil
}

// labels are the Dockerfile's; annotations say when the image was created, too,
// which its configuration says by itself.
func (o Options) labels(annotations bool) map[string]string {
	const prefix = "org.opencontainers.image."
	labels := map[string]string{
		prefix + "title":         "sidecar-drift",
		prefix + "description":   "Finds Pods whose injected sidecars are out of date, and rolls them out",
		prefix + "url":           source,
		prefix + "source":        source,
		prefix + "documentation": source + "/tree/main/docs",
		prefix + "licenses":      "Apache-2.0",
		prefix + "version":       o.Version,
		prefix + "revision":      o.Revision,
	}
	if annotations {
		labels[prefix+"created"] = o.Created.UTC().Format(time.RFC3339)
	}
	return labels
}
