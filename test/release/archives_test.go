package release

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// entry is a file of an archive or a package.
type entry struct {
	mode     os.FileMode // with its type
	owner    string      // USER:GROUP; empty where the format knows none
	modified time.Time
	link     string
	content  []byte
}

// fromTar reads all of an archive, directories apart.
func fromTar(t *testing.T, content io.Reader) map[string]entry {
	t.Helper()
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
		if header.Typeflag == tar.TypeDir {
			continue
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimLeft(header.Name, "./")] = entry{
			header.FileInfo().Mode(), header.Uname + ":" + header.Gname, header.ModTime, header.Linkname, text,
		}
	}
}

func unzipped(t *testing.T, content io.Reader) io.Reader {
	t.Helper()
	r, err := gzip.NewReader(content)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func fromArchive(t *testing.T, path string) map[string]entry {
	t.Helper()
	if strings.HasSuffix(path, ".tar.gz") {
		return fromTar(t, unzipped(t, bytes.NewReader([]byte(read(t, path)))))
	}
	text := read(t, path)
	r, err := zip.NewReader(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]entry{}
	for _, file := range r.File {
		if file.FileInfo().IsDir() {
			continue
		}
		content, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		inside, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		found[file.Name] = entry{mode: file.Mode(), modified: file.Modified, content: inside}
	}
	return found
}

// unpack writes the files below a directory.
func unpack(t *testing.T, files map[string]entry) string {
	t.Helper()
	dir := t.TempDir()
	for name, file := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil && file.link != "" {
			err = os.Symlink(file.link, path)
		} else if err == nil {
			err = os.WriteFile(path, file.content, file.mode.Perm())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestArchivesHoldWhatOneInstalls(t *testing.T) {
	s := taken(t)
	for _, goos := range systems {
		for _, goarch := range architectures {
			t.Run(goos+"/"+goarch, func(t *testing.T) {
				files := fromArchive(t, s.path(s.archive(goos, goarch)))
				program, executable := "sidecar-drift", []string{"kubectl-sidecar_drift", "kubectl_complete-sidecar_drift", "sidecar-drift"}
				want := []string{"LICENSE", "README.md", "completions/_sidecar-drift", "completions/sidecar-drift.bash",
					"completions/sidecar-drift.fish", "completions/sidecar-drift.ps1"}
				if goos == "windows" {
					program, executable = "sidecar-drift.exe", []string{"sidecar-drift.exe"}
					want = append(want, "kubectl-sidecar_drift.cmd", "kubectl_complete-sidecar_drift.cmd")
				} else {
					want = append(want, "man/man1/sidecar-drift.1", "man/man1/sidecar-drift-audit.1", "man/man1/sidecar-drift-rollout.1")
				}
				for _, name := range append(want, executable...) {
					if _, ok := files[name]; !ok {
						t.Errorf("no %s among %v", name, sorted(files))
					}
				}
				for name, file := range files {
					mode := os.FileMode(0o644)
					if slices.Contains(executable, name) {
						mode = 0o755
					}
					// krew takes no other type than regular files.
					if file.mode != mode || !file.modified.Equal(s.date) || goos != "windows" && file.owner != "root:root" {
						t.Errorf("%s is %v of %q and of %v, want %v of root, of %v", name, file.mode, file.owner, file.modified, mode, s.date)
					}
				}
				checkProgram(t, s, files[program].content, goos, goarch)
				if native(goos, goarch) {
					checkInstalled(t, s, unpack(t, files))
				}
			})
		}
	}
}

func checkProgram(t *testing.T, s *snapshot, program []byte, goos, goarch string) {
	t.Helper()
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, setting := range info.Settings {
		got[setting.Key] = setting.Value
	}
	want := map[string]string{"GOOS": goos, "GOARCH": goarch, "CGO_ENABLED": "0", "-trimpath": "true", "vcs.revision": s.revision}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("built with %s=%q, want %q", key, got[key], value)
		}
	}
	if !bytes.Contains(program, []byte(s.version)) {
		t.Errorf("the program does not know that it is %s", s.version)
	}
}

// checkInstalled runs what is in a directory, as kubectl would.
func checkInstalled(t *testing.T, s *snapshot, dir string) {
	t.Helper()
	path, err := programs(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"HOME=" + t.TempDir(), "PATH=" + dir + ":" + path}
	for _, command := range [][]string{{"sidecar-drift", "version"}, {"kubectl", "sidecar-drift", "version"}} {
		output, err := run(t.Context(), dir, "env", append(env, command...)...)
		if err != nil || !strings.Contains(output, s.version) || !strings.Contains(output, s.revision[:7]) {
			t.Errorf("%v says %q, %v, want %s of %s", command, output, err, s.version, s.revision)
		}
	}
	// kubectl asks kubectl_complete-sidecar_drift.
	output, err := run(t.Context(), dir, "env", append(env, "kubectl", "__complete", "sidecar-drift", "audi")...)
	if err != nil || !strings.HasPrefix(output, "audit\t") {
		t.Errorf("kubectl completes audi to %q, %v", output, err)
	}
}
