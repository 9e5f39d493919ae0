package binaries

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// module is one Go module below test/build. Its programs are built by a single
// go build, which compiles what they share once and links them side by side.
type module struct {
	name     string
	programs []program

	// versionFlags are the linker's -X settings for the given version of the
	// first program: without them Kubernetes reports v0.0.0-master.
	versionFlags func(version string) []string

	// stages are folders of the first program's module that hold stages of kwok.
	// They and those of our own, in the folder stages beside go.mod, are joined
	// into StagesFile.
	stages []string

	// charts is a folder of the first program's module that is copied to ChartsDir.
	charts string
}

// ownStages are the files of our own stages.
func (r *recipe) ownStages() ([]string, error) {
	return filepath.Glob(filepath.Join(r.dir, "stages", "*.yaml"))
}

// program is a command of a module.
type program struct {
	name    string // of the binary in the cache
	pkg     string // what go build is asked for
	output  string // what go build names it
	modPath string // the module whose version is the program's
}

var kubernetes = module{
	name: "kubernetes",
	programs: []program{
		kubernetesProgram("kube-apiserver"),
		kubernetesProgram("kube-controller-manager"),
		kubernetesProgram("kube-scheduler"),
		kubernetesProgram("kubectl"),
		{name: "etcd", pkg: "go.etcd.io/etcd/server/v3", output: "server", modPath: "go.etcd.io/etcd/server/v3"},
	},
	versionFlags: kubernetesVersionFlags,
}

func kubernetesProgram(name string) program {
	return program{name: name, pkg: "k8s.io/kubernetes/cmd/" + name, output: name, modPath: "k8s.io/kubernetes"}
}

func kubernetesVersionFlags(version string) []string {
	const pkg = "k8s.io/component-base/version."
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	flags := []string{"-X", pkg + "gitVersion=" + version}
	if len(parts) == 3 {
		flags = append(flags, "-X", pkg+"gitMajor="+parts[0], "-X", pkg+"gitMinor="+parts[1])
	}
	return flags
}

var kwok = module{
	name:     "kwok",
	programs: []program{{name: "kwok", pkg: "sigs.k8s.io/kwok/cmd/kwok", output: "kwok", modPath: "sigs.k8s.io/kwok"}},
	// Nodes and Pods become ready, and claims bound, at once.
	stages: []string{
		"kustomize/stage/node/fast", "kustomize/stage/node/heartbeat-with-lease",
		"kustomize/stage/pod/fast", "kustomize/stage/volume/fast",
	},
}

var istio = module{
	name:     "istio",
	programs: []program{{name: "istio-injector", pkg: ".", output: "istio", modPath: "istio.io/istio"}},
}

var dapr = module{
	name:     "dapr",
	programs: []program{{name: "dapr-injector", pkg: ".", output: "dapr", modPath: "github.com/dapr/dapr"}},
	charts:   "charts/dapr",
}

var helm = module{
	name:     "helm",
	programs: []program{{name: "helm", pkg: "helm.sh/helm/v4/cmd/helm", output: "helm", modPath: "helm.sh/helm/v4"}},
	versionFlags: func(version string) []string {
		return []string{"-X", "helm.sh/helm/v4/internal/version.version=" + version}
	},
}

// helm3 is a module of its own, as both commands are built as helm.
var helm3 = module{
	name: "helm3",
	programs: []program{
		{name: "helm3", pkg: "helm.sh/helm/v3/cmd/helm", output: "helm", modPath: "helm.sh/helm/v3"},
		{name: "helm-docs", pkg: "github.com/norwoodj/helm-docs/cmd/helm-docs", output: "helm-docs", modPath: "github.com/norwoodj/helm-docs"},
	},
	versionFlags: func(version string) []string {
		// As its Makefile does: what helm template takes a cluster to be.
		const util = "helm.sh/helm/v3/pkg/chartutil."
		return []string{
			"-X", "helm.sh/helm/v3/internal/version.version=" + version,
			"-X", util + "k8sVersionMajor=1", "-X", util + "k8sVersionMinor=37",
		}
	},
}

var goReleaser = module{
	name:     "goreleaser",
	programs: []program{{name: "goreleaser", pkg: "github.com/goreleaser/goreleaser/v2", output: "goreleaser", modPath: "github.com/goreleaser/goreleaser/v2"}},
}

var krew = module{
	name:     "krew",
	programs: []program{krewProgram("krew"), krewProgram("validate-krew-manifest")},
}

func krewProgram(name string) program {
	return program{name: name, pkg: "sigs.k8s.io/krew/cmd/" + name, output: name, modPath: "sigs.k8s.io/krew"}
}

// moduleDir is where the sources of the first program's module are.
func (r *recipe) moduleDir(ctx context.Context) (string, error) {
	modPath := r.programs[0].modPath
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", modPath)
	list.Dir = r.dir
	list.Env = goEnv()
	out, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("find the sources of %s: %w", modPath, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// copyCharts copies the charts to ChartsDir in dir.
func (r *recipe) copyCharts(ctx context.Context, dir string) error {
	sources, err := r.moduleDir(ctx)
	if err != nil {
		return err
	}
	return os.CopyFS(filepath.Join(dir, ChartsDir), os.DirFS(filepath.Join(sources, r.charts)))
}

// writeStages writes StagesFile to dir, for kwok's --config.
func (r *recipe) writeStages(ctx context.Context, dir string) error {
	sources, err := r.moduleDir(ctx)
	if err != nil {
		return err
	}
	var joined bytes.Buffer
	for _, folder := range r.stages {
		files, err := filepath.Glob(filepath.Join(sources, folder, "*.yaml"))
		if err != nil {
			return err
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if bytes.Contains(content, []byte("\nkind: Stage\n")) {
				fmt.Fprintf(&joined, "---\n%s", content)
			}
		}
	}
	own, err := r.ownStages()
	if err != nil {
		return err
	}
	for _, file := range own {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		fmt.Fprintf(&joined, "---\n%s", content)
	}
	return os.WriteFile(filepath.Join(dir, StagesFile), joined.Bytes(), 0o644)
}

// certManager is cert-manager's controller and CA injector. Its charts are the folder
// that holds the definitions of its kinds, too.
var certManager = module{
	name:     "certmanager",
	programs: []program{{name: "cert-manager", pkg: ".", output: "certmanager", modPath: "github.com/cert-manager/cert-manager"}},
	charts:   "deploy",
}
