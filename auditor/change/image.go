package change

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// splitImage separates a reference's repository from its tag and digest. A
// colon before the last slash belongs to the registry's port.
func splitImage(image string) (repository, version string) {
	end := strings.LastIndexByte(image, '/') + 1
	if i := strings.IndexAny(image[end:], ":@"); i >= 0 {
		return image[:end+i], image[end+i+1:]
	}
	return image, ""
}

// Reasons of changes of images.
const (
	imageDigest   = "another digest"
	imagePatch    = "another patch version"
	imageMinor    = "another minor version"
	imageMajor    = "another major version"
	imageBuild    = "another build of the same version"
	imageTag      = "another tag"
	imageRegistry = "the same tag from another registry"
	imageName     = "another program"
)

// imageRisk says how one image differs from another. The same program is what has the same
// last name, wherever it comes from.
func imageRisk(from, to string) (Risk, string) {
	repository, was := splitImage(from)
	other, is := splitImage(to)
	if base(repository) != base(other) || repository == "" {
		return Behaviour, imageName
	}
	wasTag, _, _ := strings.Cut(was, "@")
	isTag, _, _ := strings.Cut(is, "@")
	switch {
	case wasTag == isTag && repository != other:
		return Version, imageRegistry
	case wasTag == isTag, strings.Contains(wasTag+isTag, ":"):
		return Version, imageDigest
	}
	return Version, versionChange(wasTag, isTag)
}

func base(repository string) string { return repository[strings.LastIndexByte(repository, '/')+1:] }

// versionChange compares tags, which may have a word before the version, as edge-25.1.2.
func versionChange(from, to string) string {
	wordFrom, wordTo := strings.IndexAny(from, "0123456789"), strings.IndexAny(to, "0123456789")
	if wordFrom < 0 || wordTo < 0 || from[:wordFrom] != to[:wordTo] {
		return imageTag
	}
	was, err := version.ParseGeneric(from[wordFrom:])
	if err != nil {
		return imageTag
	}
	is, err := version.ParseGeneric(to[wordTo:])
	switch {
	case err != nil:
		return imageTag
	case was.Major() != is.Major():
		return imageMajor
	case was.Minor() != is.Minor():
		return imageMinor
	case was.Patch() != is.Patch():
		return imagePatch
	}
	return imageBuild
}
