package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	apiversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/rest"
)

const (
	versionLabel = "app.kubernetes.io/version" // the version whose manifests an object is of
	chartLabel   = "helm.sh/chart"
)

// farthest is by how many minor versions a program may differ from what is installed:
// docs/install.md, "Versions that fit".
const farthest = 1

// Installed is what of the product a cluster has. Its lists are never null.
type Installed struct {
	// Namespace is where it runs.
	Namespace string `json:"namespace"`
	// Chart is the Helm chart's name and version; empty where it was applied.
	Chart string `json:"chart,omitempty"`
	// Parts are the programs that are there.
	Parts []Part `json:"parts"`
	// Unread says what could not be read, and why.
	Unread []string `json:"unread"`
	// Misfits says which versions do not fit.
	Misfits []Misfit `json:"misfits"`
	// Compared: all of these, and the program that asks, have versions to compare.
	Compared bool `json:"compared"`
}

// Part is one program of an installation.
type Part struct {
	// Name is its Deployment's.
	Name  string `json:"name"`
	Image string `json:"image"`
	// Version is that of the image; empty where its reference does not tell.
	Version string `json:"version,omitempty"`
	// Manifests is the version whose manifests its Deployment is of; empty where it
	// does not say.
	Manifests string `json:"manifests,omitempty"`
	// Pods counts its Pods by the image that they are of: more than one while an
	// upgrade is under way. It is empty where Pods may not be read.
	Pods map[string]int `json:"pods"`
}

// Misfit is two versions that are not made for each other.
type Misfit struct {
	Message string `json:"message"`
	// Remedy says what to do.
	Remedy string `json:"remedy"`
}

// LookUp returns what is installed in a cluster, and whether it fits this program's
// version; nil where certainly nothing is. The error says that nothing of it can be read, or is
// about an API server that does not answer at all, or the context's.
func LookUp(ctx context.Context, config *rest.Config, program string) (*Installed, error) {
	e, err := newExaminer(config, Options{})
	if err != nil {
		return nil, err
	}
	if err := e.examine(ctx, e.installation); err != nil {
		return nil, err
	}
	if e.installed.nothing() {
		return nil, nil
	}
	found := e.installed.versions(program)
	if len(found.Parts) == 0 && len(found.Unread) > 0 {
		return nil, errors.New(strings.Join(found.Unread, "; "))
	}
	return found, nil
}

// versions tells those of the parts, and compares them with the program that asks.
func (i installation) versions(program string) *Installed {
	found := &Installed{Namespace: i.home, Parts: []Part{}, Unread: []string{}}
	for _, name := range []string{stamper, auditor, certificate} {
		switch d := i.deployments[name]; {
		case d.missing():
		case d.err != nil:
			why := topic{checkVersions, name}.unread(d.err)
			found.Unread = append(found.Unread, why.Subject+": "+why.Message)
		default:
			if chart := d.value.Labels[chartLabel]; chart != "" {
				found.Chart = chart
			}
			found.Parts = append(found.Parts, newPart(d.value, i.pods))
		}
	}
	found.Misfits = misfits(program, found.Parts)
	found.Compared = len(found.Parts) > 0 && len(found.Unread) == 0 && isVersion(program) &&
		!slices.ContainsFunc(found.Parts, func(p Part) bool { return !isVersion(p.Version) })
	return found
}

func newPart(d *appsv1.Deployment, pods read[corev1.PodList]) Part {
	var ours corev1.Container // the manifests' only one
	if containers := d.Spec.Template.Spec.Containers; len(containers) > 0 {
		ours = containers[0]
	}
	part := Part{Name: d.Name, Image: ours.Image, Manifests: d.Labels[versionLabel], Pods: map[string]int{}}
	part.Version = imageVersion(part.Image, part.Manifests)
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil || pods.value == nil {
		return part
	}
	for _, pod := range pods.value.Items {
		ended := pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
		if !ended && selector.Matches(labels.Set(pod.Labels)) {
			part.Pods[imageOf(pod.Spec, ours.Name)]++
		}
	}
	return part
}

// imageOf is the image of a container: a sidecar may stand before ours.
func imageOf(spec corev1.PodSpec, container string) string {
	for _, c := range spec.Containers {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
}

// imageVersion is an image's tag. A digest alone is of the version that its manifests
// name, as the chart has it.
func imageVersion(image, manifests string) string {
	name, _, byDigest := strings.Cut(image, "@")
	if at := strings.LastIndex(name, ":"); at > strings.LastIndex(name, "/") {
		return name[at+1:]
	}
	if byDigest {
		return manifests
	}
	return ""
}

// misfits says which versions are too far apart. It is never null.
func misfits(program string, parts []Part) []Misfit {
	found := []Misfit{}
	add := func(remedy, format string, args ...any) {
		found = append(found, Misfit{Message: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	for _, p := range parts {
		if apart(p.Version, p.Manifests) != 0 {
			add("install with the manifests or the chart of "+p.Version,
				"%s runs the image of %s with the manifests of %s: rights and flags may not be those that it needs", p.Name, p.Version, p.Manifests)
		}
		switch by := apart(p.Version, program); {
		case by > farthest:
			add("take this program of "+p.Version, "%s is %s, and this program is %s", p.Name, p.Version, program)
		case by < -farthest:
			add("upgrade the installation, or take this program of "+p.Version, "%s is %s, and this program is %s", p.Name, p.Version, program)
		}
		if first := parts[0]; apart(p.Version, first.Version) != 0 {
			add("give both one version: they are made and tested together", "%s is %s, and %s is %s", p.Name, p.Version, first.Name, first.Version)
		}
	}
	return found
}

// apart is by how many minor versions a is newer than b; a major version is more than any
// number of them. What is no version, as a build of one's own, is not compared: 0. Go
// calls builds of a repository without tags v0.0.0.
func apart(a, b string) int {
	const major = 1 << 16
	x, errX := apiversion.ParseSemantic(a)
	y, errY := apiversion.ParseSemantic(b)
	if errX != nil || errY != nil || isUntagged(x) || isUntagged(y) {
		return 0
	}
	return (int(x.Major())-int(y.Major()))*major + int(x.Minor()) - int(y.Minor()) //nolint:gosec // versions are small
}

func isUntagged(v *apiversion.Version) bool {
	return v.Major() == 0 && v.Minor() == 0 && v.Patch() == 0
}

func isVersion(text string) bool {
	v, err := apiversion.ParseSemantic(text)
	return err == nil && !isUntagged(v)
}

func (e *examiner) versions(context.Context) {
	if !e.installed.nothing() {
		e.add(judgeVersions(e.installed, e.options.Program)...)
	}
}

// judgeVersions judges whether what is installed fits together, and fits this program.
func judgeVersions(i installation, program string) []Finding {
	found := i.versions(program)
	t := topic{checkVersions, "installation"}
	var problems []Finding
	for _, m := range found.Misfits {
		problems = append(problems, t.warning(m.Remedy, "%s", m.Message))
	}
	var names []string
	for _, p := range found.Parts {
		if p.Version != "" {
			names = append(names, p.Name+" "+p.Version)
		}
	}
	if len(names) == 0 && len(problems) == 0 {
		return []Finding{t.notChecked("", "there is no program whose version could be read")}
	}
	return t.orOK(problems, "%s, and this program is %s", list(names), program)
}
