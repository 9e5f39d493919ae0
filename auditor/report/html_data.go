package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/journal"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

// mostTimeline is how many changes the page's timeline has, the last that began.
const mostTimeline = 200

// pageData is a page's JSON: the report's, but that changes stand in a list of
// their own, as thousands of workloads drift in the same way.
type pageData struct {
	Report pageReport `json:"report"`
	// Changes are all that there are, as they are shown, each once.
	Changes []verdict.Change `json:"changes"`
	// Details say of each item, in the items' order, what a table would.
	Details []string `json:"details"`
	History []Point  `json:"history,omitempty"`
	// Journal has no places and no workloads: the report has those of what is open.
	Journal []journal.Entry `json:"journal,omitempty"`
	// Versions are those that run, with nothing of a Pod's own.
	Versions []pageVersion `json:"versions,omitempty"`
	Live     *pageLive     `json:"live,omitempty"`
}

type pageVersion struct {
	ID         string     `json:"id"`
	Injector   string     `json:"injector"`
	Revision   string     `json:"revision,omitempty"`
	Images     string     `json:"images"`
	Pods       int        `json:"pods"`
	Workloads  int        `json:"workloads"`
	Namespaces int        `json:"namespaces"`
	OldestPod  *time.Time `json:"oldestPod,omitempty"`
	// Says is what its Pods would get, a line each.
	Says []string `json:"says"`
}

// pageVersions are those that run; secrets are masked, whoever looks.
func (r *Report) pageVersions() []pageVersion {
	var all []pageVersion
	for _, v := range NewVersions(r.Census(), 0, true, mask.Constant()).Versions {
		lines := versionLines(v, 0, TextOptions{})
		all = append(all, pageVersion{
			ID: v.ID, Injector: v.Injector, Revision: v.Revision, Images: lines[0],
			Pods: v.Pods, Workloads: v.Workloads, Namespaces: v.Namespaces, OldestPod: v.OldestPod, Says: lines[1:],
		})
	}
	return all
}

type pageReport struct {
	*Report
	Items []pageItem `json:"items"`
}

type pageItem struct {
	Item
	Revisions []pageRevision `json:"revisions"`
}

// pageRevision has indices into the list of changes.
type pageRevision struct {
	Revision
	Changes    []int `json:"changes"`
	Autoscaled []int `json:"autoscaled,omitempty"`
}

type pageLive struct {
	URL          string `json:"url"`
	EverySeconds int    `json:"everySeconds"`
}

// json is the page's data, safe within a script element: json.Marshal escapes
// <, > and &, and printable.JSON whatever hides in plain sight.
func (p Page) json() ([]byte, error) {
	data := pageData{
		Report:  pageReport{Report: p.Report.report, Items: make([]pageItem, len(p.Report.Items()))},
		Details: make([]string, len(p.Report.Items())),
		History: p.History,
	}
	distinct := changeList{all: []verdict.Change{}, index: map[pageKey]int{}}
	for i, item := range p.Report.Items() {
		data.Details[i] = strings.Join(details(item, told{}, 0), " ")
		data.Report.Items[i] = pageItem{Item: item, Revisions: distinct.revisions(item.Revisions)}
	}
	data.Changes, data.Versions = distinct.all, p.Report.report.pageVersions()
	data.Journal = slices.Clone(p.Journal[:min(len(p.Journal), mostTimeline)])
	for i := range data.Journal {
		e := &data.Journal[i]
		e.Places, e.Names, e.Parts, e.Writes = nil, nil, nil, nil
	}
	if p.Live.URL != "" {
		data.Live = &pageLive{URL: p.Live.URL, EverySeconds: max(1, int(p.Live.Every/time.Second))}
	}
	text, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encode the page's data: %w", err)
	}
	return printable.JSON(text), nil
}

// changeList holds each change once.
type changeList struct {
	all   []verdict.Change
	index map[pageKey]int
}

// pageKey tells apart what is spent in the Pods of one workload and not in another's, and
// what is part of another change there.
type pageKey struct {
	changeKey
	spent bool
	id    string
}

func (l *changeList) revisions(of []Revision) []pageRevision {
	found := make([]pageRevision, len(of))
	for i, revision := range of {
		found[i] = pageRevision{Revision: revision, Changes: l.indices(change.Spelled(revision.Changes)), Autoscaled: l.indices(revision.Autoscaled)}
	}
	return found
}

func (l *changeList) indices(of []verdict.Change) []int {
	found := make([]int, len(of))
	for i, c := range of {
		found[i] = l.indexOf(c)
	}
	return found
}

// indexOf adds a change that is not there yet. One that is part of none, as what does not
// count, is shown as another one like it.
func (l *changeList) indexOf(c verdict.Change) int {
	like := pageKey{keyOf(c), c.Spent, ""}
	key := like
	key.id = c.ID
	at, known := l.index[key]
	if alike, ok := l.index[like]; !known && ok && l.all[alike].ID == "" {
		at, known = alike, true
		l.all[at].ID = c.ID
	}
	if !known {
		at = len(l.all)
		l.all = append(l.all, c)
	}
	l.index[key] = at
	if _, ok := l.index[like]; !ok {
		l.index[like] = at
	}
	return at
}
