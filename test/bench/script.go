package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

const (
	scriptRounds = 3
	scriptPods   = 2 // of each of rolloutWorkloads
	// systemPython is Debian's, for which python3-kubernetes is.
	systemPython = "/usr/bin/python3"
)

// whereScript says what bench-script needs.
const whereScript = `give the original script as SCRIPT=FILE, and have Debian's python3-kubernetes and python3-tz:
  apt-get install python3-kubernetes python3-tz
  git clone https://github.com/StianOvrevage/k8s-sidecar-rollout
  make bench-script SCRIPT=k8s-sidecar-rollout/sidecar-rollout.py`

// script compares the original script, k8s-sidecar-rollout, with the program, side by side
// on the same drifted workloads by the same command line. Nothing of it is in this repository.
func script(file string) func(context.Context, io.Writer) error {
	return func(ctx context.Context, out io.Writer) error {
		file, err := filepath.Abs(file)
		if err != nil {
			return err
		}
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			return errors.New(whereScript)
		}
		if said, err := exec.CommandContext(ctx, systemPython, "-c", "import kubernetes, pytz").CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s\n%s", systemPython, err, lastLine(said), whereScript)
		}
		return onProductWith(ctx, func(c *cluster.Cluster, injector *istio.Injector, product *install.Product) error {
			if err := deploy(ctx, c, rolloutWorkloads, scriptPods); err != nil {
				return err
			}
			return sideBySide(ctx, out, c, injector, product.CLI, file)
		})
	}
}

func sideBySide(ctx context.Context, out io.Writer, c *cluster.Cluster, injector *istio.Injector, cli, script string) error {
	dir, err := os.MkdirTemp("", "bench-script")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := standIns(dir); err != nil {
		return err
	}
	arguments := []string{"--sidecar-container-name=istio-proxy", "--include-namespace=" + benchNamespace, "--parallel-rollouts=10", "--confirm=true"}
	commands := map[string][]string{
		"script": append([]string{systemPython, script}, arguments...),
		"ours":   append([]string{cli, "rollout"}, arguments...),
	}
	environment := append(os.Environ(), "KUBECONFIG="+c.Kubeconfig(), "PYTHONPATH="+dir, "PYTHONDONTWRITEBYTECODE=1",
		"PATH="+filepath.Dir(c.KubectlPath())+string(os.PathListSeparator)+os.Getenv("PATH"))
	wall, processor := map[string][]float64{}, map[string][]float64{}
	for round := range scriptRounds {
		for i, who := range []string{"script", "ours"} {
			// So that all drift, before either.
			if err := injector.Update(ctx, istio.Values(fmt.Sprintf("1.28.%d", 2*round+i+1), "150m")...); err != nil {
				return err
			}
			used, err := measured(ctx, environment, commands[who])
			if err != nil {
				return fmt.Errorf("%s: %w", who, err)
			}
			if err := allAt(ctx, c, fmt.Sprintf("1.28.%d", 2*round+i+1)); err != nil {
				return fmt.Errorf("%s: %w", who, err)
			}
			fmt.Fprintf(out, "round %d, %s: %.1f s, %.1f s of processor time\n", round+1, who, used.wall, used.processor)
			wall[who], processor[who] = append(wall[who], used.wall), append(processor[who], used.processor)
		}
	}
	fmt.Fprintf(out, "%d Deployments of %d Pods, ten at a time, medians of %d rounds: the script %.1f s and %.1f s of processor time, ours %.1f s and %.1f s\n",
		rolloutWorkloads, scriptPods, scriptRounds, median(wall["script"]), median(processor["script"]), median(wall["ours"]), median(processor["ours"]))
	figure(out, "script", fmt.Sprintf("%.2f", median(wall["ours"])/median(wall["script"])), "x", "<= 1")
	figure(out, "script-processor", fmt.Sprintf("%.2f", median(processor["ours"])/median(processor["script"])), "x", "<= 0.5")
	return nil
}

// used is what a command took, in seconds.
type used struct{ wall, processor float64 }

// measured runs a command. The processor time is its own and that of the commands that it
// waited for: the script has kubectl wait.
func measured(ctx context.Context, environment, command []string) (used, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var said bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = environment, &said, &said
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		return used{}, fmt.Errorf("%w: %s", err, lastLine(said.Bytes()))
	}
	state := cmd.ProcessState
	return used{time.Since(begun).Seconds(), (state.UserTime() + state.SystemTime()).Seconds()}, nil
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// allAt fails unless every Pod has the injected proxy of that version: what restarts nothing
// is fast.
func allAt(ctx context.Context, c *cluster.Cluster, version string) error {
	return cluster.Poll(ctx, "Pods at "+version, func(ctx context.Context) error {
		images, err := c.Kubectl(ctx, "", "-n", benchNamespace, "get", "pods", "-o",
			`jsonpath={range .items[*]}{.metadata.deletionTimestamp}{.spec.containers[*].image}{.spec.initContainers[*].image}{"\n"}{end}`)
		if err != nil {
			return err
		}
		pods := strings.Split(strings.TrimSpace(images), "\n")
		for _, pod := range pods {
			if !strings.Contains(pod, "proxyv2:"+version) {
				return fmt.Errorf("one is %s", pod)
			}
		}
		if len(pods) != rolloutWorkloads*scriptPods {
			return fmt.Errorf("there are %d", len(pods))
		}
		return nil
	})
}

// standIns are modules that the script imports and Debian has no package of, where they are
// not installed: its progress bar, which draws nothing here, and a format of logs that is not used.
func standIns(dir string) error {
	for name, text := range map[string]string{
		"alive_progress": "class alive_bar:\n    def __init__(self, *_, **__): pass\n    def __enter__(self): return lambda *_, **__: None\n    def __exit__(self, *_): return False\n",
		"json_logging":   "def init_non_web(**_): raise NotImplementedError('only text is logged here')\n",
	} {
		if exec.Command(systemPython, "-c", "import "+name).Run() == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name+".py"), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
