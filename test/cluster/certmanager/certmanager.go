// Package certmanager runs the real cert-manager beside a test cluster: its controller
// and its CA injector, each as the identity and with the rights that cert-manager's
// chart gives it. Its webhook, which refuses what is malformed, is not there.
package certmanager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
)

// Names of cert-manager's.
const (
	// Namespace is where cert-manager is.
	Namespace = "cert-manager"
	// Injector is the account of the CA injector, and the field manager of what it
	// writes.
	Injector = "cert-manager-cainjector"

	controllerAccount = "cert-manager"
)

// Manager is a running cert-manager.
type Manager struct {
	cluster              *cluster.Cluster
	binary               string
	controller, injector *cluster.Process
}

// Start installs cert-manager's kinds and rights, and runs it. It returns when both
// processes run; Certificates become ready as they do. It ends with the cluster, or by
// Stop.
func Start(ctx context.Context, c *cluster.Cluster) (*Manager, error) {
	if c.External() {
		return nil, fmt.Errorf("run cert-manager: %w", cluster.ErrExternal)
	}
	set, err := binaries.CertManager(ctx)
	if err != nil {
		return nil, err
	}
	m := &Manager{cluster: c, binary: set.Path("cert-manager")}
	deploy := filepath.Join(set.Dir, binaries.ChartsDir)
	if err := errors.Join(m.define(ctx, filepath.Join(deploy, "crds")), m.grant(ctx, filepath.Join(deploy, "charts", "cert-manager"))); err != nil {
		return nil, fmt.Errorf("install cert-manager: %w", err)
	}
	if err := m.run(ctx); err != nil {
		return nil, fmt.Errorf("start cert-manager (logs in %s): %w", c.LogDir(), err)
	}
	return m, nil
}

// kinds are those that the controller watches.
var kinds = []string{"certificates", "certificaterequests", "issuers", "clusterissuers"}

func (m *Manager) define(ctx context.Context, dir string) error {
	for _, kind := range kinds {
		definition, err := os.ReadFile(filepath.Join(dir, "cert-manager.io_"+kind+".yaml"))
		if err != nil {
			return err
		}
		if err := m.cluster.Define(ctx, kind+".cert-manager.io", string(definition)); err != nil {
			return err
		}
	}
	return nil
}

// accounts are what the chart's own templates make, without the chart's options.
const accounts = `
apiVersion: v1
kind: Namespace
metadata: {name: ` + Namespace + `}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: ` + controllerAccount + `, namespace: ` + Namespace + `}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: ` + Injector + `, namespace: ` + Namespace + `}
`

func (m *Manager) grant(ctx context.Context, chart string) error {
	rights, err := renderRights(chart)
	if err != nil {
		return err
	}
	return m.cluster.Apply(ctx, accounts+rights)
}

func (m *Manager) run(ctx context.Context) (err error) {
	if m.controller, err = m.runAs(ctx, controllerAccount, "controller"); err != nil {
		return err
	}
	m.injector, err = m.runAs(ctx, Injector, "cainjector")
	return err
}

func (m *Manager) runAs(ctx context.Context, account, command string) (*cluster.Process, error) {
	kubeconfig, err := m.cluster.ServiceAccountKubeconfig(ctx, Namespace, account)
	if err != nil {
		return nil, err
	}
	return m.cluster.Run("cert-manager-"+command, m.binary, []string{command, "--kubeconfig", kubeconfig}, []string{cluster.Seldom})
}

// Processes are what must run for anything to be issued and injected.
func (m *Manager) Processes() []*cluster.Process {
	return []*cluster.Process{m.controller, m.injector}
}

// Stop stops cert-manager. Its objects stay.
func (m *Manager) Stop() error { return errors.Join(m.controller.Stop(), m.injector.Stop()) }
