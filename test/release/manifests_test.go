package release

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// manifests are what package managers are told.
var manifests = []string{"krew/sidecar-drift.yaml", "homebrew/Casks/sidecar-drift.rb", "scoop/sidecar-drift.json"}

const downloads = "https://github.com/sidecar-drift/sidecar-drift/releases/download/"

func TestManifestsNameTheArchivesByTheirChecksums(t *testing.T) {
	s := taken(t)
	url, digest := regexp.MustCompile(`https://github\.com/\S+?/releases/download/[^"\s]+`), regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	for _, name := range manifests {
		text := read(t, s.path(name))
		// Homebrew's computes its version and puts it together.
		text = strings.ReplaceAll(text, "#{version}", strings.TrimPrefix(s.version, "v"))
		urls, digests := url.FindAllString(text, -1), digest.FindAllString(text, -1)
		if len(urls) == 0 || len(urls) != len(digests) {
			t.Errorf("%s has %d URLs and %d digests:\n%s", name, len(urls), len(digests), text)
		}
		known := map[string]bool{}
		for _, sum := range digests {
			known[sum] = true
		}
		for _, url := range urls {
			if file := filepath.Base(url); !known[s.sums[file]] {
				t.Errorf("%s does not say what %s should be: %s", name, file, s.sums[file])
			}
		}
	}
	cask := read(t, s.path("homebrew/Casks/sidecar-drift.rb"))
	files := fromArchive(t, s.path(s.archive("linux", architectures[0])))
	linked := regexp.MustCompile(`(?m)^ *(?:binary|manpage|\w+_completion) "([^"]+)"`).FindAllStringSubmatch(cask, -1)
	if len(linked) < 7 {
		t.Errorf("the cask links %v", linked)
	}
	for _, link := range linked {
		if _, ok := files[link[1]]; !ok {
			t.Errorf("the cask links %s, which is not in the archive", link[1])
		}
	}
}

// krewEnv is an environment in which kubectl has krew, and the plugins of an index that
// holds ours alone, whose archives are found on this machine.
func krewEnv(t *testing.T, s *snapshot) (env []string, manifest string) {
	t.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(s.dist)))
	t.Cleanup(server.Close)
	original := read(t, s.path("krew/sidecar-drift.yaml"))
	local := regexp.MustCompile(regexp.QuoteMeta(downloads)+`[^/\s]+/`).ReplaceAllString(original, server.URL+"/")
	if local == original {
		t.Fatalf("the manifest has no download of a release:\n%s", original)
	}
	index, bin := t.TempDir(), t.TempDir()
	manifest = filepath.Join(index, "plugins", "sidecar-drift.yaml")
	if err := os.MkdirAll(filepath.Dir(manifest), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, []byte(local), 0o644); err != nil {
		t.Fatal(err)
	}
	const commit = `git init -q && git add -A && git -c user.name=test -c user.email=test@example.com commit -qm plugins`
	if _, err := run(t.Context(), index, "sh", "-euc", commit); err != nil {
		t.Fatal(err)
	}
	path, err := programs(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	krew, err := run(t.Context(), bin, "env", "PATH="+path, "sh", "-c", "command -v krew")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(krew, filepath.Join(bin, "kubectl-krew")); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	return []string{
		"HOME=" + home, "KREW_ROOT=" + home + "/krew", "KREW_DEFAULT_INDEX_URI=" + index, "KREW_NO_UPGRADE_CHECK=1",
		"PATH=" + home + "/krew/bin:" + bin + ":" + path,
	}, manifest
}

func TestKrewTakesAndInstallsThePlugin(t *testing.T) {
	s := taken(t)
	env, manifest := krewEnv(t, s)
	krew := func(command ...string) string {
		output, err := run(t.Context(), t.TempDir(), "env", append(env, command...)...)
		if err != nil {
			t.Fatal(err)
		}
		return output
	}
	// As krew-index's CI does, for every platform.
	krew("validate-krew-manifest", "-manifest", manifest)
	krew("validate-krew-manifest", "-skip-install", "-manifest", s.path("krew/sidecar-drift.yaml"))

	krew("kubectl", "krew", "update")
	krew("kubectl", "krew", "install", "sidecar-drift")
	if output := krew("kubectl", "krew", "list"); !strings.Contains(output, "sidecar-drift") {
		t.Errorf("krew lists %q", output)
	}
	if output := krew("kubectl", "sidecar-drift", "version"); !strings.Contains(output, s.version) {
		t.Errorf("the plugin says %q, want %s", output, s.version)
	}
	krew("kubectl", "krew", "uninstall", "sidecar-drift")
}

func TestBillsOfMaterialsListTheModules(t *testing.T) {
	s := taken(t)
	for name := range s.sums {
		if !strings.HasSuffix(name, ".cdx.json") {
			continue
		}
		var bill struct {
			BOMFormat string
			Metadata  struct {
				Timestamp string
				Component struct{ Name, Version string }
			}
			Components []struct{ PURL string }
		}
		if err := json.Unmarshal([]byte(read(t, s.path(name))), &bill); err != nil {
			t.Fatal(err)
		}
		if bill.BOMFormat != "CycloneDX" || bill.Metadata.Component.Name != "sidecar-drift" || bill.Metadata.Component.Version != s.version {
			t.Errorf("%s is of %+v", name, bill.Metadata)
		}
		found := false
		for _, component := range bill.Components {
			found = found || strings.HasPrefix(component.PURL, "pkg:golang/k8s.io/client-go@")
		}
		if !found {
			t.Errorf("%s does not list client-go among %d components", name, len(bill.Components))
		}
	}
}
