package image

import (
	"bytes"
	"debug/elf"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const (
	root    = "../.." // of the checkout, which is the build's context
	version = "v0.0.0-as-given-to-the-build"
	// revision is the commit, as given to it.
	revision = "0123456789abcdef0123456789abcdef01234567"
)

// dockerfile is its stages, as built for Linux on this machine's architecture.
func dockerfile(t *testing.T) (build, final stage) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	stages, err := parse(string(source), map[string]string{"VERSION": version, "REVISION": revision, "TARGETOS": "linux", "TARGETARCH": runtime.GOARCH})
	if err != nil {
		t.Fatal(err)
	}
	if len(stages) != 2 || stages[0].name != "build" {
		t.Fatalf("the Dockerfile has the stages %+v, want one named build and a final one", stages)
	}
	return stages[0], stages[1]
}

// fromContext are the sources, in order, that a stage copies from the context.
func fromContext(s stage) (sources []string) {
	for _, i := range s.instructions {
		if words := i.fields(); i.keyword == "COPY" && i.flags["from"] == "" {
			sources = append(sources, words[:len(words)-1]...)
		}
	}
	return sources
}

func TestCopiedSourcesExistAndAreNotIgnored(t *testing.T) {
	ignore, err := os.ReadFile(filepath.Join(root, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	var included []string
	for line := range strings.Lines(string(ignore)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
			included = append(included, name)
		}
	}
	build, final := dockerfile(t)
	if sources := fromContext(final); len(sources) > 0 {
		t.Errorf("the final image has %v straight from the context", sources)
	}
	sources := fromContext(build)
	for _, source := range sources {
		if _, err := os.Stat(filepath.Join(root, source)); err != nil {
			t.Errorf("COPY: %v", err)
		}
	}
	slices.Sort(sources)
	slices.Sort(included)
	if diff := cmp.Diff(sources, included); diff != "" {
		t.Errorf("what .dockerignore lets through is not what is copied (-copied +let through):\n%s", diff)
	}
}

// The modules' layer must survive a change of the sources, and the sources'
// layers a change of the version.
func TestLayersAreOrderedForTheCache(t *testing.T) {
	build, _ := dockerfile(t)
	var order []string
	for _, i := range build.instructions {
		switch {
		case i.keyword == "COPY" && i.fields()[0] == "go.mod":
			order = append(order, "copy modules")
		case i.keyword == "COPY":
			order = append(order, "copy sources")
		case i.keyword == "ARG" && i.rest == "VERSION":
			order = append(order, "take version")
		case i.keyword == "RUN" && strings.Contains(i.rest, "go mod download"):
			order = append(order, "download modules")
		case i.keyword == "RUN" && strings.Contains(i.rest, "go build"):
			order = append(order, "build")
		}
	}
	want := []string{"copy modules", "download modules", "copy sources", "take version", "build"}
	if diff := cmp.Diff(want, slices.Compact(order)); diff != "" {
		t.Errorf("order of the build (-want +got):\n%s", diff)
	}
}

func TestFinalImage(t *testing.T) {
	_, final := dockerfile(t)
	var entrypoint []string
	for _, i := range final.instructions {
		switch i.keyword {
		case "RUN":
			t.Errorf("RUN %s: a base without a shell runs nothing", i.rest)
		case "ENTRYPOINT":
			var err error
			if entrypoint, err = i.list(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Pods with runAsNonRoot start only if the user is given by number.
	uid, _, _ := strings.Cut(userOf(final), ":")
	if number, err := strconv.Atoi(uid); err != nil || number == 0 {
		t.Errorf("USER %q, want a number that is not root's", userOf(final))
	}
	if len(entrypoint) != 1 || !slices.Contains(programsOf(final), entrypoint[0]) {
		t.Errorf("ENTRYPOINT %q, want one of the programs %v", entrypoint, programsOf(final))
	}
}

func userOf(s stage) (user string) {
	for _, i := range s.instructions {
		if i.keyword == "USER" {
			user = i.rest
		}
	}
	return user
}

var label = regexp.MustCompile(`(\S+)="([^"]*)"`)

func labelsOf(t *testing.T, s stage) map[string]string {
	t.Helper()
	labels := map[string]string{}
	for _, i := range s.instructions {
		if i.keyword != "LABEL" {
			continue
		}
		for _, found := range label.FindAllStringSubmatch(i.rest, -1) {
			labels[found[1]] = found[2]
		}
	}
	return labels
}

// Both ways make these.
func TestProgramsAreTheLayouts(t *testing.T) {
	_, final := dockerfile(t)
	var want []string
	for _, program := range programs {
		want = append(want, "/"+program)
	}
	if diff := cmp.Diff(want, programsOf(final)); diff != "" {
		t.Errorf("programs of the image (-layout +Dockerfile):\n%s", diff)
	}
}

// programsOf are the paths in the final image of what the build stage built.
func programsOf(final stage) (paths []string) {
	for _, i := range final.instructions {
		words := i.fields()
		if i.keyword != "COPY" || i.flags["from"] != "build" {
			continue
		}
		for _, source := range words[:len(words)-1] {
			if strings.HasPrefix(source, "/out/") {
				paths = append(paths, path.Join(words[len(words)-1], path.Base(source)))
			}
		}
	}
	return paths
}

func TestManifestsRunWhatTheImageHolds(t *testing.T) {
	_, final := dockerfile(t)
	for _, file := range []string{"certs.yaml", "webhook.yaml"} {
		source, err := os.ReadFile(filepath.Join(root, "manifests", "base", file))
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(source), "\n---\n") {
			var deployment struct {
				Kind string
				Spec struct {
					Template struct {
						Spec struct {
							Containers []struct {
								Name    string
								Command []string
							}
						}
					}
				}
			}
			if err := yaml.Unmarshal([]byte(document), &deployment); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if deployment.Kind != "Deployment" {
				continue
			}
			for _, container := range deployment.Spec.Template.Spec.Containers {
				if len(container.Command) != 1 || !slices.Contains(programsOf(final), container.Command[0]) {
					t.Errorf("%s: the container %s runs %q, want one of %v", file, container.Name, container.Command, programsOf(final))
				}
			}
		}
	}
}

func sameFile(t *testing.T, one, other string) {
	t.Helper()
	first, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Errorf("%s of the Dockerfile is not that of the layout", filepath.Base(one))
	}
}

func checkProgram(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	binary, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, segment := range binary.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is not static: it has a segment %s", filepath.Base(file), segment.Type)
		}
	}
	if !bytes.Contains(content, []byte(version)) {
		t.Errorf("%s does not know its version", filepath.Base(file))
	}
}

// copyInto copies a file or a directory of the context as COPY does.
func copyInto(t *testing.T, dir, source string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, source), func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		target := filepath.Join(dir, relative)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}
