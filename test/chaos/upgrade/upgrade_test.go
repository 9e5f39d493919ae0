//go:build chaos

package upgrade

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/test/chaos/churn"
	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/clustertest"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/install"
)

// The installation of the commit that BASE names is upgraded to this one, and that
// is removed: no Pod creation fails meanwhile, the upgrade costs no stamp, and
// nothing is left.
func TestUpgradeAndUninstall(t *testing.T) {
	c := clustertest.New(t, cluster.Options{})
	pace := churn.FullSpeed()
	var proxy *churn.Proxy
	product, err := install.StartWith(t.Context(), c, install.Options{
		Replicas: 2,
		Front: func(replicas []*install.Replica) (_ int, err error) {
			if proxy, err = churn.NewProxy(t.Context(), replicas); err != nil {
				return 0, err
			}
			t.Cleanup(proxy.Close)
			return proxy.Port(), nil
		},
		Checkout: base(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	// With its identity gone, the certificate controller cannot end well.
	t.Cleanup(func() { _ = product.Stop() })
	if _, err := c.Kubectl(t.Context(), "", "create", "namespace", churn.Namespace); err != nil {
		t.Fatal(err)
	}

	total, err := pace.During(t.Context(), c.Client(), func(ctx context.Context) error {
		if err := product.Apply(ctx, ""); err != nil {
			return err
		}
		if err := product.StopCerts(); err != nil {
			return err
		}
		if err := product.StartCerts(ctx); err != nil {
			return err
		}
		return proxy.Update(ctx)
	}, churn.Stamped)
	t.Log("upgrade:", total)
	if err != nil || total.Failed > 0 || total.Unstamped > 0 {
		t.Errorf("upgrade: %s (%v); the first that could not be created: %v", total, err, total.FirstFailure)
	}

	total, err = pace.During(t.Context(), c.Client(), func(context.Context) error { return undeploy(t, c) }, churn.Bare)
	t.Log("uninstall:", total)
	if err != nil || total.Failed > 0 {
		t.Errorf("uninstall: %s (%v); the first that could not be created: %v", total, err, total.FirstFailure)
	}
	left, err := install.Left(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left:\n%s", strings.Join(left, "\n"))
	}
}

// base is a checkout of the commit that BASE names.
func base(t *testing.T) string {
	t.Helper()
	commit, err := os.ReadFile("BASE")
	if err != nil {
		t.Fatal(err)
	}
	archive := exec.CommandContext(t.Context(), "git", "archive", "--format=tar", strings.TrimSpace(string(commit)))
	archive.Dir = "../../.."
	var files, said bytes.Buffer
	archive.Stdout, archive.Stderr = &files, &said
	if err := archive.Run(); err != nil {
		t.Fatalf("the commit that BASE names is not here: fetch the whole history (git fetch --unshallow): %v: %s", err, said.String())
	}
	dir := t.TempDir()
	extract := exec.CommandContext(t.Context(), "tar", "-x", "-C", dir)
	extract.Stdin = &files
	if output, err := extract.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return dir
}

// undeploy does what a user does.
func undeploy(t *testing.T, c *cluster.Cluster) error {
	t.Helper()
	command := exec.CommandContext(t.Context(), "make", "undeploy", "KUBECTL="+c.KubectlPath())
	command.Dir = filepath.Join("..", "..")
	command.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("make undeploy: %w\n%s", err, output)
	}
	return nil
}
