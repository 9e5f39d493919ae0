package cluster

import (
	"fmt"
	"os/exec"
)

// ErrExternal is why what needs webhooks on this machine fails on the cluster of
// TEST_KUBECONFIG.
var ErrExternal = fmt.Errorf("the cluster of %s cannot reach webhooks on this machine; unset it to run on a cluster of our own", ExternalKubeconfigVariable)

// useExternal makes c the cluster of a kubeconfig, with the user's own kubectl.
func (c *Cluster) useExternal(kubeconfig string) error {
	c.external = true
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		return fmt.Errorf("%s is set, but there is no kubectl: %w", ExternalKubeconfigVariable, err)
	}
	c.kubectl = kubectl
	return c.connect(kubeconfig)
}
