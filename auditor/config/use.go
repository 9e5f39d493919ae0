package config

import (
	"cmp"
	"slices"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/window"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// WorkloadKinds lists what autoRollout.kinds may name.
func WorkloadKinds() []WorkloadKind { return []WorkloadKind{Deployment, StatefulSet, DaemonSet} }

// Strategies lists what autoRollout.strategy may be.
func Strategies() []rollout.Strategy { return rollout.Strategies }

// Orders lists what autoRollout.orderBy may be.
func Orders() []rollout.Order { return []rollout.Order{rollout.ByName, rollout.ByPods, rollout.ByAge} }

// Inventory returns the selection as the inventory takes it.
func (s Selection) Inventory() inventory.Selection {
	return inventory.Selection{
		IncludeNamespaces: s.IncludeNamespaces,
		ExcludeNamespaces: s.ExcludeNamespaces,
		LabelSelector:     s.Selector,
		WithContainers:    s.SidecarContainerNames,
	}
}

// PathPatterns returns the ignored paths of a valid configuration.
func (c Configuration) PathPatterns() []verdict.PathPattern {
	var patterns []verdict.PathPattern
	for _, ignored := range c.IgnorePaths {
		if pattern, err := verdict.ParsePathPattern(ignored.Path); err == nil {
			patterns = append(patterns, pattern)
		}
	}
	return patterns
}

// RolloutOptions returns how a valid configuration's automatic rollouts are to
// be done. Their namespaces, windows, budget and age are not part of that: see
// AutoRollout.Allows and AutoRollout.Schedule.
func (c Configuration) RolloutOptions() rollout.Options {
	a := c.AutoRollout
	return rollout.Options{
		Strategy: a.Strategy,
		Select: rollout.Filter{
			IncludeDaemonSet:   slices.Contains(a.Kinds, DaemonSet),
			IncludeStatefulSet: slices.Contains(a.Kinds, StatefulSet),
			ExcludeDeployment:  !slices.Contains(a.Kinds, Deployment),
			OnlySidecars:       c.Selection.SidecarContainerNames,
			IncludeSidecarless: a.IncludeSidecarless,
			IncludeSpent:       a.IncludeSpent,
			MaxRisk:            a.MaxRisk,
		},
		Guards: rollout.Guards{AllowOrphaned: a.AllowOrphaned, AllowDowntime: a.AllowDowntime},
		Pace: rollout.Pace{
			Parallel:              a.ParallelRollouts,
			Order:                 a.OrderBy,
			Canary:                a.Canary,
			Soak:                  a.Soak.Duration,
			MaxFailures:           a.MaxFailures,
			MaxUnavailable:        a.MaxUnavailable,
			MaxUnavailablePercent: a.MaxUnavailablePercent,
			Timeout:               a.Timeout.Duration,
			MaxDuration:           a.MaxDuration.Duration,
		},
		Mark: rollout.Mark{AnnotationPrefix: a.AnnotationPrefix, Reason: a.RolloutReason, FieldManager: a.FieldManager},
	}
}

// AdviceOptions returns by what a valid configuration's audits say whether a rollout
// would take a workload: an automatic one where there are any.
func (c Configuration) AdviceOptions() rollout.Options {
	if c.AutoRollout.Enabled {
		return c.RolloutOptions()
	}
	return rollout.Options{Select: rollout.AnyKind(c.Selection.SidecarContainerNames...)}
}

// Allows reports whether workloads of that kind and namespace are rolled out
// automatically.
func (a AutoRollout) Allows(namespace, name string) bool {
	k, _ := kind.Of(name)
	return a.Enabled && slices.Contains(a.Kinds, WorkloadKind(k.IncludedWith)) &&
		(len(a.IncludeNamespaces) == 0 || slices.Contains(a.IncludeNamespaces, namespace)) &&
		!slices.Contains(a.ExcludeNamespaces, namespace)
}

// Window returns the value that tells when it is open. The error is a
// window.FieldErrors.
func (w Window) Window() (window.Window, error) {
	days := make([]string, len(w.Days))
	for i, day := range w.Days {
		days[i] = string(day)
	}
	return window.New(days, string(w.Start), string(w.End), w.TimeZone)
}

// Schedule returns the windows of a valid configuration.
func (a AutoRollout) Schedule() window.Windows { return scheduleOf(a.Windows) }

func scheduleOf(list []Window) window.Windows {
	var windows window.Windows
	for _, w := range list {
		if opened, err := w.Window(); err == nil {
			windows = append(windows, opened)
		}
	}
	return windows
}

// Queries returns those of BlockOnPrometheusQueries, each with its address.
func (a AutoRollout) Queries() []PrometheusQuery {
	queries := slices.Clone(a.BlockOnPrometheusQueries)
	for i := range queries {
		queries[i].URL = cmp.Or(queries[i].URL, a.PrometheusURL)
	}
	return queries
}
