package report

import (
	"cmp"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/versions"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// VersionReport is the kind of a Versions.
const VersionReport = "VersionReport"

// Versions is which specs of sidecars run where, as programs read it.
type Versions struct {
	APIVersion  string    `json:"apiVersion"`
	Kind        string    `json:"kind"`
	GeneratedAt time.Time `json:"generatedAt"`
	// Cluster is the one that they run in.
	Cluster *ClusterIdentity `json:"cluster,omitempty"`
	// Asked says whether admission was asked what re-created Pods would get.
	Asked bool `json:"asked"`
	// Pods is how many were looked at, with a sidecar or without.
	Pods int `json:"pods"`
	// Versions of one injector stand together, the newest first: the one whose last Pod was
	// created last.
	Versions []versions.Version `json:"versions"`
	// More is how many versions there are besides; each has fewer Pods.
	More int `json:"more,omitempty"`
	// Notes say what a reader must know about the whole.
	Notes []string `json:"notes,omitempty"`
}

// leastDifference is the number of columns in which a difference can be read.
const leastDifference = 50

// NewVersions counts; m takes secrets out of what differs.
func NewVersions(census *versions.Census, pods int, asked bool, m *mask.Masker) *Versions {
	found, more := census.Versions()
	for i := range found {
		v := &found[i]
		for j := range v.Becomes {
			v.Becomes[j].Changes = change.Masked(m, v.Becomes[j].Changes)
		}
		if v.Newer != nil {
			v.Newer.Changes = change.Masked(m, v.Newer.Changes)
		}
	}
	return &Versions{
		APIVersion: APIVersion, Kind: VersionReport, GeneratedAt: time.Now().UTC().Truncate(time.Second),
		Asked: asked, Pods: pods, Versions: orEmpty(found), More: more,
	}
}

// Census counts the versions of all that was compared.
func (r *Report) Census() *versions.Census {
	census := new(versions.Census)
	for _, item := range r.Items {
		w := versions.Workload{Cluster: item.Cluster, Namespace: item.Namespace, Kind: item.Kind, Name: item.Name}
		for _, revision := range item.Revisions {
			census.Add(w, revision.Running, revision.Wanted, revision.StaleSince == nil)
		}
	}
	return census
}

// WriteTable writes a line for each version, and below it what differs from what its Pods
// would get.
func (v *Versions) WriteTable(w io.Writer, now time.Time, o TextOptions) error {
	g := grid{titles: []string{"INJECTOR", "REVISION", "ID", "PODS", "WORKLOADS", "NAMESPACES", "OLDEST", "VERSION"}, named: 2, least: leastDifference}
	for _, version := range v.Versions {
		g.rows = append(g.rows, row{
			cells: []string{
				version.Injector, orDash(version.Revision), version.ID, fmt.Sprint(version.Pods),
				fmt.Sprint(version.Workloads), fmt.Sprint(version.Namespaces), age(version.OldestPod, now),
			},
			details: func(width int) []string { return versionLines(version, width, o) },
		})
	}
	var b strings.Builder
	if len(g.rows) > 0 {
		g.write(&b, o)
		b.WriteByte('\n')
	}
	for _, line := range (&Report{Cluster: v.Cluster}).identityLines(o) {
		b.WriteString(line + "\n")
	}
	b.WriteString(v.summary())
	for _, note := range v.Notes {
		fmt.Fprintf(&b, "Note: %s.\n", strings.TrimSuffix(Printable(note), "."))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (v *Versions) summary() string {
	if len(v.Versions) == 0 {
		return fmt.Sprintf("No container is injected into any of %s.\n", counted(v.Pods, "Pod"))
	}
	injectors := map[string]bool{}
	for _, version := range v.Versions {
		injectors[version.Injector] = true
	}
	text := fmt.Sprintf("%s of %s in %s", counted(len(v.Versions)+v.More, "version"), counted(len(injectors), "injector"), counted(v.Pods, "Pod"))
	if v.More > 0 {
		text += fmt.Sprintf("; %d, of the fewest Pods, are not shown", v.More)
	}
	return text + ".\n"
}

func age(since *time.Time, now time.Time) string {
	if since == nil {
		return "-"
	}
	return duration.HumanDuration(now.Sub(*since))
}

// versionLines say of a version what its images are, and what its Pods would get.
func versionLines(v versions.Version, width int, o TextOptions) []string {
	type line struct {
		style style
		text  string
	}
	lines := []line{{plain, imagesOf(v)}}
	switch {
	case v.Current != nil && *v.Current:
		lines = append(lines, line{green, "current"})
	case v.Newer != nil:
		lines = append(lines, line{yellow, "beside " + v.Newer.ID + ": " + differenceOf(*v.Newer)})
	}
	for _, to := range v.Becomes {
		what := "would not be injected any more"
		if to.ID != "" {
			what = "becomes " + to.ID + ": " + differenceOf(to)
		}
		if to.Pods < v.Pods {
			what = fmt.Sprintf("of %s: %s", counted(to.Pods, "Pod"), what)
		}
		lines = append(lines, line{yellow, what})
	}
	texts := make([]string, len(lines))
	for i, l := range lines {
		texts[i] = o.paint(l.style, summaryIn(l.text, width))
	}
	return texts
}

// imagesOf names each image once, behind the first container that has it.
func imagesOf(v versions.Version) string {
	var texts []string
	named := map[string]bool{}
	for _, i := range v.Images {
		if !named[i.Image] {
			named[i.Image] = true
			texts = append(texts, i.Container+" "+path.Base(i.Image))
		}
	}
	return strings.Join(texts, ", ")
}

// differenceOf says what differs, an image of several containers once.
func differenceOf(to versions.Becoming) string {
	if len(to.Changes) == 0 {
		return "values that are too long to be compared"
	}
	places := slices.Clone(to.Changes)
	slices.SortStableFunc(places, func(a, b verdict.Change) int {
		return cmp.Compare(boolean(a.Path != "image"), boolean(b.Path != "image"))
	})
	said := map[string]bool{}
	places = slices.DeleteFunc(places, func(c verdict.Change) bool {
		value := c.Path + string(c.From) + string(c.To)
		again := c.Path == "image" && said[value]
		said[value] = true
		return again
	})
	return change.Change{Places: places}.Summary()
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}
