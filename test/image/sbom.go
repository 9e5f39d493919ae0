package image

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/generate/bin"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rs/zerolog"
)

// cycloneDX is what scanners look for among an image's referrers.
const cycloneDX = "application/vnd.cyclonedx+json"

// Bill lists programs, and the modules that Go's linker says are in them, as the parts
// of what they are delivered as.
func Bill(kind cdx.ComponentType, version string, created time.Time, paths ...string) (*cdx.BOM, error) {
	const whole = "delivery"
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Timestamp: created.UTC().Format(time.RFC3339),
		Component: &cdx.Component{
			BOMRef: whole, Type: kind, Name: "sidecar-drift", Version: version,
			Licenses: &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
		},
	}
	var components []cdx.Component
	top := cdx.Dependency{Ref: whole, Dependencies: &[]string{}}
	dependencies := map[string][]string{}
	for _, path := range paths {
		program := strings.TrimSuffix(filepath.Base(path), ".exe")
		generator, err := bin.NewGenerator(path,
			bin.WithLogger(zerolog.Nop()), bin.WithIncludeStdlib(true), bin.WithVersionOverride(version))
		if err != nil {
			return nil, err
		}
		one, err := generator.Generate()
		if err != nil {
			return nil, err
		}
		main := *one.Metadata.Component
		ref := main.BOMRef
		main.BOMRef, main.Name = program, program
		*top.Dependencies = append(*top.Dependencies, program)
		components = append(components, main)
		components = append(components, *one.Components...)
		for _, dependency := range *one.Dependencies {
			if dependency.Ref == ref {
				dependency.Ref = program
			}
			if dependency.Dependencies != nil {
				dependencies[dependency.Ref] = append(dependencies[dependency.Ref], *dependency.Dependencies...)
			}
		}
	}
	slices.SortFunc(components, func(a, b cdx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	components = slices.CompactFunc(components, func(a, b cdx.Component) bool { return a.BOMRef == b.BOMRef })
	graph := []cdx.Dependency{top}
	for _, component := range components {
		on := dependencies[component.BOMRef]
		slices.Sort(on)
		on = slices.Compact(on)
		graph = append(graph, cdx.Dependency{Ref: component.BOMRef, Dependencies: &on})
	}
	bom.Components, bom.Dependencies = &components, &graph
	return bom, nil
}

// EncodeBill writes it as JSON.
func EncodeBill(w io.Writer, bom *cdx.BOM) error {
	return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
}

// attach makes the artifact that holds a bill of materials and refers to its image.
func attach(bom *cdx.BOM, subject v1.Image, o Options) (v1.Image, error) {
	var text bytes.Buffer
	if err := EncodeBill(&text, bom); err != nil {
		return nil, err
	}
	described, err := partial.Descriptor(subject)
	if err != nil {
		return nil, err
	}
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), cycloneDX)
	artifact, err = mutate.AppendLayers(artifact, static.NewLayer(text.Bytes(), cycloneDX))
	if err != nil {
		return nil, fmt.Errorf("make an artifact of the SBOM: %w", err)
	}
	artifact = mutate.Annotations(artifact, map[string]string{
		"org.opencontainers.image.created": o.Created.UTC().Format(time.RFC3339),
	}).(v1.Image)
	return mutate.Subject(artifact, v1.Descriptor{
		MediaType: described.MediaType, Size: described.Size, Digest: described.Digest,
	}).(v1.Image), nil
}
