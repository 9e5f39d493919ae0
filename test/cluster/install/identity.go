package install

import (
	"context"
	"os"
	"path/filepath"
)

// AllowControllerIdentity applies the component controller-identity, as it is: the
// policy first, then the rights of the auditor's account.
func (p *Product) AllowControllerIdentity(ctx context.Context) error {
	root, err := Root()
	if err != nil {
		return err
	}
	for _, file := range []string{"policy.yaml", "rbac.yaml"} {
		manifest, err := os.ReadFile(filepath.Join(root, "manifests", "components", "controller-identity", file))
		if err != nil {
			return err
		}
		if err := p.cluster.Apply(ctx, string(manifest)); err != nil {
			return err
		}
	}
	return nil
}
