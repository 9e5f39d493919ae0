package install

import (
	"context"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/test/cluster"
)

// Left lists what is there of the product, of whatever kind.
func Left(ctx context.Context, c *cluster.Cluster) ([]string, error) {
	resources, err := c.Kubectl(ctx, "", "api-resources", "--verbs=list,get", "-o", "name")
	if err != nil {
		return nil, err
	}
	all, err := c.Kubectl(ctx, "", "get", strings.Join(strings.Fields(resources), ","), "-A", "-o", "name", "--ignore-not-found", "--chunk-size=0")
	if err != nil {
		return nil, err
	}
	var left []string
	for name := range strings.Lines(all) {
		if strings.Contains(name, "sidecar-drift") {
			left = append(left, strings.TrimSpace(name))
		}
	}
	return left, nil
}
