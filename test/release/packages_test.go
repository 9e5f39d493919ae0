package release

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blakesmith/ar"
	"github.com/google/go-cmp/cmp"
	"github.com/sassoftware/go-rpmutils"
)

// installed are the files of a package, by what they are: every kind has the same.
var installed = map[string]string{
	"usr/bin/sidecar-drift":                                  "-rwxr-xr-x",
	"usr/bin/kubectl-sidecar_drift":                          "-> sidecar-drift",
	"usr/bin/kubectl_complete-sidecar_drift":                 "-rwxr-xr-x",
	"usr/share/bash-completion/completions/sidecar-drift":    "-rw-r--r--",
	"usr/share/fish/vendor_completions.d/sidecar-drift.fish": "-rw-r--r--",
	"usr/share/zsh/site-functions/_sidecar-drift":            "-rw-r--r--",
	"usr/share/doc/sidecar-drift/copyright":                  "-rw-r--r--",
	"usr/share/man/man1/sidecar-drift.1":                     "-rw-r--r--",
	"usr/share/man/man1/sidecar-drift-audit.1":               "-rw-r--r--",
}

func TestPackagesInstallTheSame(t *testing.T) {
	s := taken(t)
	names := map[string]map[string]string{
		"deb": {"amd64": "Architecture: amd64\n", "arm64": "Architecture: arm64\n"},
		"rpm": {"amd64": "x86_64", "arm64": "aarch64"},
		"apk": {"amd64": "arch = x86_64\n", "arm64": "arch = aarch64\n"},
	}
	readers := map[string]func(*testing.T, string) (string, map[string]entry){"deb": fromDeb, "rpm": fromRPM, "apk": fromAPK}
	for kind, named := range names {
		for _, goarch := range architectures {
			name := named[goarch]
			t.Run(kind+"/"+goarch, func(t *testing.T) {
				about, files := readers[kind](t, s.packageOf(t, kind, goarch))
				for _, want := range []string{name, "sidecar-drift", "Apache-2.0", "0.0.0"} {
					if kind == "deb" && want == "Apache-2.0" {
						continue // its licence is a file
					}
					if !strings.Contains(about, want) {
						t.Errorf("the package says nothing of %q:\n%s", want, about)
					}
				}
				got := map[string]string{}
				for path, file := range files {
					if !strings.HasPrefix(path, "usr/share/man/") || installed[path] != "" {
						got[path] = file.mode.String()
						if file.link != "" {
							got[path] = "-> " + file.link
						}
					}
					if !file.modified.Equal(s.date.Truncate(time.Second)) {
						t.Errorf("%s is of %v, want %v", path, file.modified, s.date)
					}
				}
				if diff := cmp.Diff(installed, got); diff != "" {
					t.Errorf("files (-want +got):\n%s", diff)
				}
				program := files["usr/bin/sidecar-drift"].content
				checkProgram(t, s, program, "linux", goarch)
				archive := fromArchive(t, s.path(s.archive("linux", goarch)))
				if !bytes.Equal(program, archive["sidecar-drift"].content) {
					t.Error("the program is not the archive's")
				}
				if native("linux", goarch) {
					checkInstalled(t, s, filepath.Join(unpack(t, files), "usr", "bin"))
				}
			})
		}
	}
}

func fromDeb(t *testing.T, path string) (about string, files map[string]entry) {
	t.Helper()
	r := ar.NewReader(strings.NewReader(read(t, path)))
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return about, files
		}
		if err != nil {
			t.Fatal(err)
		}
		switch strings.TrimSuffix(header.Name, "/") {
		case "control.tar.gz":
			about = string(fromTar(t, unzipped(t, r))["control"].content)
		case "data.tar.gz":
			files = fromTar(t, unzipped(t, r))
		}
	}
}

// fromAPK reads a package of three gzip streams, signature apart, which are one archive.
func fromAPK(t *testing.T, path string) (about string, files map[string]entry) {
	t.Helper()
	files = fromTar(t, unzipped(t, strings.NewReader(read(t, path))))
	about = string(files["PKGINFO"].content)
	delete(files, "PKGINFO")
	return about, files
}

func fromRPM(t *testing.T, path string) (about string, files map[string]entry) {
	t.Helper()
	rpm, err := rpmutils.ReadRpm(strings.NewReader(read(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	name, err := rpm.Header.GetNEVRA()
	if err != nil {
		t.Fatal(err)
	}
	licence, err := rpm.Header.GetString(rpmutils.LICENSE)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := rpm.PayloadReaderExtended()
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]entry{}
	for {
		info, err := payload.Next()
		if errors.Is(err, io.EOF) {
			return name.String() + " " + licence, files
		}
		if err != nil {
			t.Fatal(err)
		}
		file := entry{
			mode: os.FileMode(info.Mode()).Perm(), owner: info.UserName() + ":" + info.GroupName(),
			modified: time.Unix(int64(info.Mtime()), 0), link: info.Linkname(),
		}
		if file.link == "" {
			if file.content, err = io.ReadAll(payload); err != nil {
				t.Fatal(err)
			}
		}
		files[strings.TrimPrefix(info.Name(), "/")] = file
	}
}
