package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/istio"
)

//go:embed workloads.yaml
var workloads string

// stage is where the demo plays: the cluster and what runs beside it.
type stage struct {
	out     io.Writer
	cluster *cluster.Cluster
	product *install.Product
	program string // sidecar-drift
	// rollouts are further flags of the rollout.
	rollouts []string
	// page is the file for the HTML page of what has drifted; empty: none.
	page string
	// recording has commands run in a terminal, and kept as scenes.
	recording bool
	scenes    []scene
}

// say narrates a step in a line.
func (s *stage) say(step string) {
	fmt.Fprintf(s.out, "\n▸ %s\n", step)
}

// play runs the whole demo.
func (s *stage) play(ctx context.Context) error {
	injector, err := s.setUp(ctx)
	if err != nil {
		return err
	}
	return s.story(ctx, "The platform team changes Istio's template: proxy 1.27.0 → 1.28.0, CPU request 100m → 150m. No Pod notices.",
		func() error { return injector.Update(ctx, istio.Values("1.28.0", "150m")...) })
}

// story is what the demo shows: an audit, a change, what it did, and the cure. The
// commands are about what the flags select.
func (s *stage) story(ctx context.Context, what string, change func() error, selection ...string) error {
	s.say("First audit: everything runs what injection would give it today.")
	if err := s.command(ctx, "audit", selection...); err != nil {
		return err
	}
	s.say(what)
	if err := change(); err != nil {
		return err
	}
	s.say("Which workloads drifted, and what differs?")
	if err := s.command(ctx, "audit", selection...); err != nil {
		return err
	}
	if err := s.keepPage(ctx, selection); err != nil {
		return err
	}
	s.say("Roll out just those. Without --confirm this would only print the plan.")
	rollout := slices.Concat(selection, s.rollouts, []string{"--include-statefulset", "--include-daemonset", "--parallel-rollouts", "4", "--confirm"})
	if err := s.command(ctx, "rollout", rollout...); err != nil {
		return err
	}
	s.say("And again:")
	return s.command(ctx, "audit", selection...)
}

func (s *stage) setUp(ctx context.Context) (*istio.Injector, error) {
	s.say("Starting a real cluster: etcd, kube-apiserver, controller manager, scheduler; kwok plays the kubelets.")
	started := time.Now()
	var err error
	if s.cluster, err = cluster.Start(ctx, cluster.Options{}); err != nil {
		return nil, err
	}
	fmt.Fprintf(s.out, "  ready after %.1fs\n", time.Since(started).Seconds())

	s.say("Starting the real Istio injector (proxy 1.27.0, CPU request 100m).")
	injector, err := istio.Start(ctx, s.cluster, istio.Options{Set: istio.Values("1.27.0", "100m")})
	if err != nil {
		return nil, err
	}
	s.say("Installing sidecar-drift from manifests/: the stamper sorts after the injector and stamps every Pod.")
	if s.product, err = install.Start(ctx, s.cluster); err != nil {
		return nil, err
	}
	s.program = s.product.CLI
	s.say("Creating workloads: namespaces shop and payments are injected, legacy is not.")
	if err := s.cluster.Apply(ctx, workloads); err != nil {
		return nil, err
	}
	for _, workload := range []string{
		"shop deployment/web", "shop deployment/cart", "shop statefulset/db", "shop daemonset/agent",
		"payments deployment/api", "legacy deployment/reports",
	} {
		namespace, name, _ := strings.Cut(workload, " ")
		if _, err := s.cluster.Kubectl(ctx, "", "-n", namespace, "rollout", "status", name, "--timeout", "5m"); err != nil {
			return nil, err
		}
	}
	return injector, nil
}

// command runs sidecar-drift as a user would, and shows the command.
func (s *stage) command(ctx context.Context, name string, flags ...string) error {
	args := append([]string{name}, flags...)
	fmt.Fprintf(s.out, "$ sidecar-drift %s\n", strings.Join(args, " "))
	if s.recording {
		return s.record(ctx, args)
	}
	cmd := exec.CommandContext(ctx, s.program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.cluster.Kubeconfig())
	cmd.Stdout, cmd.Stderr = s.out, s.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("sidecar-drift %s: %w", name, err)
	}
	return nil
}

// close stops everything.
func (s *stage) close() error {
	if s.cluster == nil {
		return nil
	}
	if s.product != nil {
		if err := s.product.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the product:", err)
		}
	}
	return s.cluster.Stop()
}

// keepPage has the page written that shows what has drifted.
func (s *stage) keepPage(ctx context.Context, selection []string) error {
	if s.page == "" {
		return nil
	}
	cmd := exec.CommandContext(ctx, s.program, append([]string{"audit", "-o", "html"}, selection...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.cluster.Kubeconfig())
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return os.WriteFile(s.page, out, 0o644)
}
