// Package chart renders the chart in manifests/chart, which is where the installed
// objects are written, and makes the kustomizations' files of it.
package chart

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sidecar-drift/sidecar-drift/test/cluster/binaries"
)

//go:generate go run ./generate ../../manifests

// The release of which the kustomizations' files are made.
const (
	release   = "sidecar-drift"
	namespace = "sidecar-drift"
)

// File is what one template was rendered to.
type File struct {
	// Template is its path below templates/.
	Template string
	// Documents are its objects, with their comments.
	Documents []string
}

// Render returns what Helm makes of the chart in a directory, with these values
// (as --set-json has them), in the order in which it would be installed.
func Render(ctx context.Context, dir string, values ...string) ([]File, error) {
	args := []string{"template", release, dir, "--namespace", namespace, "--skip-tests"}
	for _, value := range values {
		args = append(args, "--set-json", value)
	}
	out, err := runHelm(ctx, args...)
	if err != nil {
		return nil, err
	}
	return split(out)
}

// Package checks the chart in a directory of manifests, packages it into another one,
// and returns the file.
func Package(ctx context.Context, manifests, to string) (string, error) {
	dir := filepath.Join(manifests, "chart")
	if _, err := runHelm(ctx, "lint", "--strict", dir); err != nil {
		return "", err
	}
	out, err := runHelm(ctx, "package", dir, "--destination", to)
	if err != nil {
		return "", err
	}
	_, file, found := strings.Cut(strings.TrimSpace(out), "saved it to: ")
	if !found {
		return "", fmt.Errorf("helm package says %q, and not where", out)
	}
	return file, nil
}

// runHelm returns what Helm 4 prints.
func runHelm(ctx context.Context, args ...string) (string, error) {
	set, err := binaries.Helm(ctx)
	if err != nil {
		return "", err
	}
	var stderr bytes.Buffer
	helm := exec.CommandContext(ctx, set.Path("helm"), args...)
	helm.Stderr = &stderr
	out, err := helm.Output()
	if err != nil {
		return "", fmt.Errorf("helm %s: %w\n%s%s", strings.Join(args, " "), err, out, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}

// source begins the line in which Helm says of which template a document is.
const source = "# Source: sidecar-drift/templates/"

// split takes apart what helm template prints.
func split(rendered string) ([]File, error) {
	var files []File
	index := map[string]int{}
	for document := range strings.SplitSeq(strings.TrimPrefix(rendered, "---\n"), "\n---\n") {
		line, text, _ := strings.Cut(document, "\n")
		template, ok := strings.CutPrefix(line, source)
		if !ok {
			return nil, fmt.Errorf("a document that helm template printed begins with %q, not with its source", line)
		}
		at, ok := index[template]
		if !ok {
			at = len(files)
			index[template] = at
			files = append(files, File{Template: template})
		}
		files[at].Documents = append(files[at].Documents, strings.TrimSpace(text)+"\n")
	}
	return files, nil
}

// component is one of the kustomizations' components.
type component struct {
	name string
	// needs names those that it goes with.
	needs []string
	// values are the same for the chart.
	values []string
	// alone: no file of it is made of the chart.
	alone bool
}

// components are all.
var components = []component{
	{name: "auto-rollout", needs: []string{"rollout"}, values: []string{"autoRollout.enabled=true", `configuration={"autoRollout":{"enabled":true,"windows":[{"days":["Mon"],"start":"22:00","end":"23:00"}]}}`}},
	{name: "authorization", values: []string{"authorization.enabled=true"}},
	{name: "causes", values: []string{"causes.enabled=true"}},
	{name: "cert-manager", values: []string{`certificates.mode="certManager"`}},
	{name: "controller-identity", values: []string{"controllerIdentity.enabled=true"}},
	{name: "fairness", values: []string{"fairness.enabled=true"}},
	{name: "monitoring", values: []string{"monitoring.enabled=true", "monitoring.dashboard.enabled=true", `monitoring.authorization={"credentials":{"name":"prometheus","key":"token"}}`}, alone: true},
	{name: "notifications", values: []string{"notifications.enabled=true"}, alone: true},
	{name: "people", values: []string{"people.enabled=true"}},
	{name: "policy-reports", values: []string{"policyReports.enabled=true"}},
	{name: "resize", needs: []string{"rollout"}, values: []string{"resize.enabled=true"}},
	{name: "rollout", values: []string{"rollout.enabled=true"}},
}

// together returns the names of components, each once, and the values that are the
// same: those with what they need.
func together(chosen ...component) (names, values []string) {
	add := func(c component) {
		if !slices.Contains(names, c.name) {
			names = append(names, c.name)
			values = append(values, c.values...)
		}
	}
	for _, c := range chosen {
		for _, needed := range components {
			if slices.Contains(c.needs, needed.name) {
				add(needed)
			}
		}
		add(c)
	}
	return names, values
}

// folder is the kustomization's folder that a template's objects go to, if any.
func folder(template string) string {
	if dir := path.Dir(template); dir != "." {
		return filepath.FromSlash(dir)
	}
	return ""
}
