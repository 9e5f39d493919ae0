package cli

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// workloadKind is a kind that Pods are audited by, with what kubectl calls it.
type workloadKind struct {
	kind, group string
	names       []string // resource, singular, short names
}

// version is the one that a workload is read in.
func (k workloadKind) version() string {
	if k.kind == "Rollout" {
		return "v1alpha1"
	}
	return "v1"
}

var workloadKinds = []workloadKind{
	{"Deployment", "apps", []string{"deployments", "deployment", "deploy"}},
	{"StatefulSet", "apps", []string{"statefulsets", "statefulset", "sts"}},
	{"DaemonSet", "apps", []string{"daemonsets", "daemonset", "ds"}},
	{"Rollout", "argoproj.io", []string{"rollouts", "rollout", "ro"}},
	{"ReplicaSet", "apps", []string{"replicasets", "replicaset", "rs"}},
	{"Job", "batch", []string{"jobs", "job"}},
	{"CronJob", "batch", []string{"cronjobs", "cronjob", "cj"}},
	{"Pod", "", []string{"pods", "pod", "po"}},
}

// parseWorkload reads KIND/NAME in the forms that kubectl takes: deploy/web,
// Deployment/web, deployments.apps/web, deployments.v1.apps/web. The namespace
// is left empty.
func parseWorkload(argument string) (inventory.WorkloadRef, error) {
	kindText, name, ok := strings.Cut(argument, "/")
	if !ok || kindText == "" || name == "" {
		return inventory.WorkloadRef{}, fmt.Errorf("%q is not KIND/NAME: name a workload as deployment/web%s", argument, strayValue(argument))
	}
	kind, ok := findKind(kindText)
	if !ok {
		return inventory.WorkloadRef{}, fmt.Errorf("unknown kind %q in %q: choose from %s", kindText, argument, knownKinds())
	}
	if len(validation.IsDNS1123Subdomain(name)) > 0 {
		return inventory.WorkloadRef{}, fmt.Errorf("%q in %q cannot be a workload's name", name, argument)
	}
	return inventory.WorkloadRef{Kind: kind, Name: name}, nil
}

// strayValue explains an argument that was meant as the value of a switch:
// these take theirs only behind an equals sign.
func strayValue(argument string) string {
	if value := strings.ToLower(argument); value == "true" || value == "false" {
		return fmt.Sprintf(" (a switch's value needs an equals sign: --confirm=%s)", value)
	}
	return ""
}

func findKind(text string) (string, bool) {
	resource, group, _ := strings.Cut(strings.ToLower(text), ".")
	for _, k := range workloadKinds {
		if slices.Contains(k.names, resource) && (group == "" || group == k.group || group == k.version()+"."+k.group || group == k.version() && k.group == "") {
			return k.kind, true
		}
	}
	return "", false
}

func knownKinds() string {
	kinds := make([]string, len(workloadKinds))
	for i, k := range workloadKinds {
		kinds[i] = strings.ToLower(k.kind)
	}
	return strings.Join(kinds, ", ")
}
