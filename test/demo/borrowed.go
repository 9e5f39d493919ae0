package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

var (
	//go:embed borrowed.yaml
	borrowedInjector string
	//go:embed borrowed-workloads.yaml
	borrowedWorkloads string
)

// borrowedName is that of all that the demo makes in a cluster that is not its own.
const borrowedName = "sidecar-drift-demo"

// borrow connects to a cluster of the user's, and builds the command.
func (s *stage) borrow(ctx context.Context, kubeconfig string) error {
	if _, err := exec.LookPath("kubectl"); err != nil {
		return fmt.Errorf("a demo on a cluster of yours needs kubectl on the PATH: %w", err)
	}
	if err := os.Setenv(cluster.ExternalKubeconfigVariable, kubeconfig); err != nil {
		return err
	}
	var err error
	if s.cluster, err = cluster.Start(ctx, cluster.Options{}); err != nil {
		return err
	}
	_, err = s.cluster.Client().AdmissionregistrationV1().MutatingAdmissionPolicies().List(ctx, metav1.ListOptions{Limit: 1})
	if apierrors.IsNotFound(err) {
		return errors.New("this cluster has no MutatingAdmissionPolicy v1 (Kubernetes 1.36), which plays the injector; make demo brings a cluster of its own")
	}
	return err
}

// playBorrowed runs the demo in a namespace of a cluster of the user's: nothing of the
// product is installed, and a policy plays the injector.
func (s *stage) playBorrowed(ctx context.Context) error {
	_, err := s.cluster.Client().CoreV1().Namespaces().Get(ctx, borrowedName, metav1.GetOptions{})
	if err == nil {
		return fmt.Errorf("the namespace %s is there already; make demo-down DEMO_KUBECONFIG=… removes what a demo left", borrowedName)
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	s.say("Building sidecar-drift.")
	programs, err := install.Build(ctx, s.cluster.Dir())
	if err != nil {
		return err
	}
	s.program = programs.CLI
	s.rollouts = []string{"--lock-namespace", borrowedName} // so that its Lease goes with it
	s.say("In a namespace of its own, " + borrowedName + ": an injector (a MutatingAdmissionPolicy) that adds a container proxy 1.36, and three workloads.")
	if err := s.inject(ctx, "busybox:1.36", "5m"); err != nil {
		return err
	}
	if err := s.cluster.Apply(ctx, borrowedWorkloads); err != nil {
		return err
	}
	for _, workload := range []string{"deployment/web", "deployment/cart", "statefulset/db"} {
		if _, err := s.cluster.Kubectl(ctx, "", "-n", borrowedName, "rollout", "status", workload, "--timeout", "5m"); err != nil {
			return err
		}
	}
	return s.story(ctx, "The platform team changes what is injected: proxy 1.36 → 1.37, CPU request 5m → 10m. No Pod notices.",
		func() error { return s.inject(ctx, "busybox:1.37", "10m") }, "-n", borrowedName)
}

// inject has new Pods get this proxy, and returns when they do.
func (s *stage) inject(ctx context.Context, image, cpu string) error {
	if err := s.cluster.Apply(ctx, strings.NewReplacer("IMAGE", image, "CPU", cpu).Replace(borrowedInjector)); err != nil {
		return err
	}
	return cluster.Poll(ctx, "the policy", func(ctx context.Context) error {
		pod, err := s.cluster.Kubectl(ctx, "", "-n", borrowedName, "run", "probe", "--image=busybox:1.37", "--dry-run=server", "-o", "yaml")
		if err == nil && (!strings.Contains(pod, "image: "+image) || !strings.Contains(pod, "cpu: "+cpu)) {
			err = errors.New("new Pods do not get the proxy yet")
		}
		return err
	})
}

// giveBack removes what the demo made.
func (s *stage) giveBack(ctx context.Context) error {
	var failed []error
	for _, kind := range []string{"mutatingadmissionpolicybinding", "mutatingadmissionpolicy", "namespace"} {
		_, err := s.cluster.Kubectl(ctx, "", "delete", "--ignore-not-found", kind, borrowedName)
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// runBorrowed runs the demo on a cluster of the user's, or only removes what an earlier
// one left.
func runBorrowed(ctx context.Context, kubeconfig string, keep, down bool) (err error) {
	s := stage{out: os.Stdout}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.borrow(ctx, kubeconfig); err != nil {
		return err
	}
	if down {
		return s.giveBack(ctx)
	}
	if err := s.playBorrowed(ctx); err != nil {
		return fmt.Errorf("%w; what the demo has made stays: make demo-down DEMO_KUBECONFIG=%s removes it", err, kubeconfig)
	}
	if keep {
		s.say("Done. The namespace stays until make demo-down DEMO_KUBECONFIG=" + kubeconfig)
		return nil
	}
	s.say("Done. Removing the namespace and the policy.")
	return s.giveBack(ctx)
}
