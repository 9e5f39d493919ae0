package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/window"
	"github.com/sidecar-drift/sidecar-drift/internal/printable"
)

const (
	// shortestInterval keeps a slip from making an auditor a load test.
	shortestInterval = 5 * time.Second
	// mostLabels bounds what a report says of each workload.
	mostLabels = 10
	// longestClusterName is as long as an object's name in Kubernetes.
	longestClusterName = 253
	// longestFieldManager is the API server's limit for a field manager's name.
	longestFieldManager = 128
)

// problems collects what Validate finds.
type problems []Problem

func (p *problems) add(path, format string, args ...any) {
	*p = append(*p, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

// Validate returns all that is wrong with the values, in the order of the keys.
func (c Configuration) Validate() []Problem {
	var found problems
	if len(c.ClusterName) > longestClusterName || printable.Text(c.ClusterName) != c.ClusterName {
		found.add("clusterName", "is %q: give a name of %d printable characters at most", c.ClusterName, longestClusterName)
	}
	found.labels("labels", c.Labels)
	if c.Interval.Duration < shortestInterval {
		found.add("interval", "is %s: give %s or more", c.Interval.Duration, shortestInterval)
	}
	if c.FullInterval.Duration < shortestInterval {
		found.add("fullInterval", "is %s: give %s or more", c.FullInterval.Duration, shortestInterval)
	}
	for i, object := range c.Watch {
		found.object(fmt.Sprintf("watch[%d]", i), object)
	}
	found.selection(c.Selection)
	for i, ignored := range c.IgnorePaths {
		if _, err := verdict.ParsePathPattern(ignored.Path); err != nil {
			found.add(fmt.Sprintf("ignorePaths[%d].path", i), "is %q: %v", ignored.Path, err)
		}
	}
	for i, key := range c.CompareAnnotations {
		if err := verdict.CheckAnnotation(key); err != nil {
			found.add(fmt.Sprintf("compareAnnotations[%d]", i), "is %q: %v", key, err)
		}
	}
	for i, a := range c.Autoscalers {
		if err := a.Check(); err != nil {
			found.add(fmt.Sprintf("autoscalers[%d]", i), "is wrong: %v", err)
		}
	}
	found.atLeast("concurrency", c.Concurrency, 1)
	choose(&found, "dryRunAs", c.DryRunAs, injection.DryRunAsValues)
	found.notify("notify", c.Notify)
	found.autoRollout("autoRollout", c.AutoRollout)
	return found
}

func (p *problems) labels(path string, keys []string) {
	if len(keys) > mostLabels {
		p.add(path, "has %d keys: give %d at most", len(keys), mostLabels)
	}
	for i, key := range keys {
		at := fmt.Sprintf("%s[%d]", path, i)
		if len(validation.IsQualifiedName(key)) > 0 {
			p.add(at, "is %q, which is no label's key: give a name, or a domain and a name, as in team or example.com/team", key)
		} else if slices.Index(keys, key) < i {
			p.add(at, "is %q again: remove it", key)
		}
	}
}

func (p *problems) object(path string, object Object) {
	if _, err := schema.ParseGroupVersion(object.APIVersion); err != nil || object.APIVersion == "" {
		p.add(path+".apiVersion", "is %q: give group and version, as in v1 or apps/v1", object.APIVersion)
	}
	if object.Kind == "" {
		p.add(path+".kind", "is empty: name the kind, as in ConfigMap")
	}
	if object.Namespace != "" {
		p.namespace(path+".namespace", object.Namespace)
	}
	if object.Name == "" || strings.ContainsAny(object.Name, "/%") {
		p.add(path+".name", "is %q: name the object", object.Name)
	}
}

func (p *problems) selection(s Selection) {
	p.namespaces("selection", s.IncludeNamespaces, s.ExcludeNamespaces)
	p.selector("selection.selector", s.Selector)
	for i, name := range s.SidecarContainerNames {
		if len(validation.IsDNS1123Label(name)) > 0 {
			p.add(fmt.Sprintf("selection.sidecarContainerNames[%d]", i), "is %q, which cannot be a container's name", name)
		}
	}
}

func (p *problems) namespaces(path string, include, exclude []string) {
	for i, name := range include {
		p.namespace(fmt.Sprintf("%s.includeNamespaces[%d]", path, i), name)
	}
	for i, name := range exclude {
		at := fmt.Sprintf("%s.excludeNamespaces[%d]", path, i)
		p.namespace(at, name)
		if slices.Contains(include, name) {
			p.add(at, "is %q, which includeNamespaces names, too: remove it from one of them", name)
		}
	}
}

func (p *problems) namespace(path, name string) {
	if len(validation.IsDNS1123Label(name)) > 0 {
		p.add(path, "is %q, which cannot be a namespace's name", name)
	}
}

func (p *problems) autoRollout(path string, a AutoRollout) {
	p.namespaces(path, a.IncludeNamespaces, a.ExcludeNamespaces)
	if len(a.Kinds) == 0 {
		p.add(path+".kinds", "is empty: give one of %s, or leave the key out", words(WorkloadKinds()))
	}
	for i, kind := range a.Kinds {
		choose(p, fmt.Sprintf("%s.kinds[%d]", path, i), kind, WorkloadKinds())
	}
	if a.Enabled && len(a.Windows) == 0 {
		p.add(path+".windows", "is empty: say when a rollout may start; from 00:00 to 24:00 is any time")
	}
	for i, w := range a.Windows {
		p.window(fmt.Sprintf("%s.windows[%d]", path, i), w)
	}
	p.waves(path+".waves", a.Waves)
	p.atLeast(path+".budget", a.Budget, 1)
	p.notNegative(path+".minimumAge", a.MinimumAge.Duration)
	p.queries(path, a)
	p.pace(path, a)
	p.mark(path, a)
}

func (p *problems) window(path string, w Window) {
	_, err := w.Window()
	wrong, _ := errors.AsType[window.FieldErrors](err)
	for _, field := range wrong {
		p.add(path+"."+field.Field, "%v", field.Err)
	}
}

func (p *problems) queries(path string, a AutoRollout) {
	homeless := slices.ContainsFunc(a.BlockOnPrometheusQueries, func(q PrometheusQuery) bool { return q.URL == "" })
	switch {
	case a.PrometheusURL != "":
		p.prometheus(path+".prometheusURL", a.PrometheusURL)
	case homeless:
		p.add(path+".prometheusURL", "is empty, and a query has no address of its own: give Prometheus', as in http://prometheus.monitoring:9090")
	}
	for i, query := range a.BlockOnPrometheusQueries {
		at := fmt.Sprintf("%s.blockOnPrometheusQueries[%d]", path, i)
		if query.URL != "" {
			p.prometheus(at+".url", query.URL)
		}
		if strings.TrimSpace(query.Query) == "" {
			p.add(at+".query", `is empty: give PromQL that returns rows when nothing should be rolled out, as in ALERTS{alertstate="firing"}`)
		}
	}
}

func (p *problems) prometheus(path, address string) {
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		p.add(path, "is %q: give Prometheus' address, as in http://prometheus.monitoring:9090", address)
	}
}

func (p *problems) pace(path string, a AutoRollout) {
	choose(p, path+".strategy", a.Strategy, Strategies())
	p.atLeast(path+".parallelRollouts", a.ParallelRollouts, 1)
	choose(p, path+".orderBy", a.OrderBy, Orders())
	choose(p, path+".maxRisk", a.MaxRisk, change.Risks())
	p.atLeast(path+".canary", a.Canary, 0)
	p.notNegative(path+".soak", a.Soak.Duration)
	if a.Soak.Duration > 0 && a.Canary == 0 {
		p.add(path+".soak", "needs canary: say how many workloads go first")
	}
	p.atLeast(path+".maxUnavailable", a.MaxUnavailable, 1)
	p.notNegative(path+".maxDuration", a.MaxDuration.Duration)
	if a.MaxUnavailable > 1 && a.Strategy == rollout.Restart {
		p.add(path+".maxUnavailable", "needs the strategy evict or auto; a restart goes by the workload's own update strategy")
	}
	if a.MaxUnavailablePercent < 0 || a.MaxUnavailablePercent > 100 {
		p.add(path+".maxUnavailablePercent", "is %d: give a percentage, 1 to 100, or 0 for no limit", a.MaxUnavailablePercent)
	}
	if a.Timeout.Duration <= 0 {
		p.add(path+".timeout", "is %s: give more than 0", a.Timeout.Duration)
	}
	p.atLeast(path+".maxFailures", a.MaxFailures, 1)
}

func (p *problems) mark(path string, a AutoRollout) {
	if err := rollout.CheckAnnotationPrefix(a.AnnotationPrefix); err != nil {
		p.add(path+".annotationPrefix", "%v", err)
	}
	if err := rollout.CheckReason(a.RolloutReason); err != nil {
		p.add(path+".rolloutReason", "%v", err)
	}
	if a.FieldManager == "" || len(a.FieldManager) > longestFieldManager {
		p.add(path+".fieldManager", "has %d characters: give 1 to %d", len(a.FieldManager), longestFieldManager)
	}
	if a.LockNamespace != "" {
		p.namespace(path+".lockNamespace", a.LockNamespace)
	}
}

func (p *problems) atLeast(path string, n, least int) {
	if n < least {
		p.add(path, "is %d: give %d or more", n, least)
	}
}

func (p *problems) notNegative(path string, d time.Duration) {
	if d < 0 {
		p.add(path, "is %s: give 0s or more", d)
	}
}

func choose[T ~string](p *problems, path string, word T, allowed []T) {
	if !slices.Contains(allowed, word) {
		p.add(path, "is %q: choose from %s", word, words(allowed))
	}
}

func words[T ~string](all []T) string {
	texts := make([]string, len(all))
	for i, word := range all {
		texts[i] = string(word)
	}
	return strings.Join(texts, ", ")
}
