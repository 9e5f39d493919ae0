package cli

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// parseWorkload reads KIND/NAME in the forms that kubectl takes: deploy/web,
// Deployment/web, deployments.apps/web, deployments.v1.apps/web. The namespace
// is left empty.
func parseWorkload(argument string) (inventory.WorkloadRef, error) {
	kindText, name, ok := strings.Cut(argument, "/")
	if !ok || kindText == "" || name == "" {
		return inventory.WorkloadRef{}, fmt.Errorf("%q is not KIND/NAME: name a workload as deployment/web%s", argument, strayValue(argument))
	}
	found, ok := kind.Find(kindText)
	if !ok {
		return inventory.WorkloadRef{}, fmt.Errorf("unknown kind %q in %q: choose from %s", kindText, argument, knownKinds())
	}
	if len(validation.IsDNS1123Subdomain(name)) > 0 {
		return inventory.WorkloadRef{}, fmt.Errorf("%q in %q cannot be a workload's name", name, argument)
	}
	return inventory.WorkloadRef{Kind: found.Name, Name: name}, nil
}

// strayValue explains an argument that was meant as the value of a switch:
// these take theirs only behind an equals sign.
func strayValue(argument string) string {
	if value := strings.ToLower(argument); value == "true" || value == "false" {
		return fmt.Sprintf(" (a switch's value needs an equals sign: --confirm=%s)", value)
	}
	return ""
}

func knownKinds() string {
	var names []string
	for _, k := range kind.All() {
		names = append(names, k.Names[0])
	}
	return strings.Join(names, ", ")
}
