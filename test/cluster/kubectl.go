package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// KubectlPath is where the kubectl of this cluster's version is; on an External
// cluster, the user's own.
func (c *Cluster) KubectlPath() string { return c.kubectl }

// Kubectl runs kubectl as the cluster's administrator, with stdin as its input,
// and returns its stdout. On failure the error holds its stderr.
func (c *Cluster) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.kubectl, args...)
	cmd.Env = append(os.Environ(), Seldom,
		"KUBECONFIG="+c.kubeconfig,
		"KUBECACHEDIR="+filepath.Join(c.dir, "kubectl-cache"),
	)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s",
			strings.Join(args, " "), errors.Join(err, ctx.Err()), bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
