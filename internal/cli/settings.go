package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
)

// addSettings adds a flag for each key of the configuration. What c holds is
// their default, and they write into it.
func addSettings(cmd *cobra.Command, c *config.Configuration) {
	s, a := &c.Selection, &c.AutoRollout
	group(cmd, "Audits", func(flags *pflag.FlagSet) {
		flags.StringVar(&c.ClusterName, "cluster-name", c.ClusterName, "How reports, notifications and the page call the cluster: a `name` that people know it by (default the UID of its namespace kube-system)")
		flags.DurationVar(&c.Interval.Duration, "interval", c.Interval.Duration, "Time between two rounds, which ask about workloads that have between them whatever several workloads share.")
		flags.DurationVar(&c.FullInterval.Duration, "full-interval", c.FullInterval.Duration, "Time within which every workload is asked about, whatever it shares with others.")
		addList(flags, &c.Watch, parseObject, "watch", "Audit when this object changes, too: `KIND[.VERSION.GROUP]/[NAMESPACE/]NAME`, such as an injector's ConfigMap. The auditor needs to get, list and watch it. Repeatable.")
		flags.StringSliceVar(&s.IncludeNamespaces, "include-namespace", s.IncludeNamespaces, "Audit only this `namespace`. Repeatable, or comma-separated.")
		flags.StringSliceVar(&s.ExcludeNamespaces, "exclude-namespace", s.ExcludeNamespaces, "Leave this `namespace` out. Repeatable, or comma-separated.")
		flags.StringVarP(&s.Selector, "selector", "l", s.Selector, "Only Pods with these labels: key=value, key!=value, 'key in (a,b)', …")
		flags.StringSliceVar(&s.SidecarContainerNames, "sidecar-container-name", s.SidecarContainerNames, "Only Pods that have a container or init container of this `name`, live or fresh; it counts as a sidecar though the template declares it. Repeatable, or comma-separated.")
		addAutoscalers(flags, &c.IncludeAutoscaled, &c.Autoscalers)
		addList(flags, &c.IgnorePaths, parseIgnoredPath, "ignore-path", "Leave out differences at this `PART:PATH`, as the report names it, and below: container/istio-proxy:env[NONCE]; * is every part. Repeatable.")
		flags.StringSliceVar(&c.CompareAnnotations, compareAnnotationFlag, c.CompareAnnotations, compareAnnotationUsage)
		flags.StringSliceVarP(&c.Labels, labelColumnsFlag, "L", c.Labels, "Say in the report and on the page which of these `labels` the Pod template of each workload has or, where it has no such label, its namespace. Repeatable, or comma-separated.")
		addCount(flags, &c.Concurrency, "concurrency", c.Concurrency, "Number of dry runs under way at once, at most: fewer where more would not be faster, or are too many for the API server.")
		addDryRunAs(flags, &c.DryRunAs)
		addSwitch(flags, &c.Gentle, "gentle", "Have audits take their time, so that other requests to the API server take hardly longer for them.")
		addSwitch(flags, &c.PolicyReports, "policy-reports", "Keep Reports of openreports.io in each namespace, for the tools that show them: see docs/policy-reports.md.")
		addSwitch(flags, &c.Causes, "causes", "Look whose changes of the injection are, by the metadata of what injectors go by: see docs/changes.md#whose-change-it-is.")
		addNotify(flags, &c.Notify)
		addSwitch(flags, &c.WorkloadMetrics, "workload-metrics", "Export the state of each workload's Pods, too: a series for each workload and state.")
	})
	group(cmd, "Automatic rollouts", func(flags *pflag.FlagSet) {
		addSwitch(flags, &a.Enabled, "auto-rollout", "Roll out what drifted, while a window is open.")
		addList(flags, &a.Windows, parseWindow, "rollout-window", "When a rollout may start: `\"[DAY,…] HH:MM-HH:MM [ZONE]\"`, such as \"Mon,Tue 22:00-04:00 Europe/Berlin\". Repeatable.")
		flags.StringSliceVar(&a.IncludeNamespaces, "rollout-include-namespace", a.IncludeNamespaces, "Roll out only in this `namespace`. Repeatable, or comma-separated.")
		flags.StringSliceVar(&a.ExcludeNamespaces, "rollout-exclude-namespace", a.ExcludeNamespaces, "Never roll out in this `namespace`. Repeatable, or comma-separated.")
		addList(flags, &a.Kinds, parseKind, "rollout-kind", "Roll out workloads of this `kind`: "+oneOf(kinds())+". Repeatable. (default Deployment)")
		addList(flags, &a.Waves, parseWave, "rollout-wave", "A wave of workloads, which begins when those given before it are rolled out: `\"NAME; KEY=VALUE; …\"` with the keys of autoRollout.waves but windows, such as \"staging; namespaceSelector=env=staging; soak=24h\". Repeatable.")
		addCount(flags, &a.Budget, "rollout-budget", a.Budget, "Number of workloads that may be rolled out each time that a window opens.")
		flags.DurationVar(&a.MinimumAge.Duration, "minimum-age", a.MinimumAge.Duration, "How long a workload must have drifted, so that a template that is being edited is not chased.")
		flags.StringVar(&a.PrometheusURL, "prometheus-url", a.PrometheusURL, "`Address` of the Prometheus that answers --block-on-prometheus-query.")
		addList(flags, &a.BlockOnPrometheusQueries, parseQuery, "block-on-prometheus-query", "Start nothing while this `PromQL` returns rows, or has no answer. Repeatable.")
		how := flagsOfConfiguration(a)
		how.addGuards(flags)
		how.addPace(flags)
	})
}

// settingKeys are the keys of the configuration that flags stand for.
func settingKeys() map[string]string {
	return map[string]string{
		"cluster-name": "clusterName", labelColumnsFlag: "labels", "interval": "interval", "full-interval": "fullInterval", "watch": "watch", "ignore-path": "ignorePaths", "include-autoscaled": "includeAutoscaled", "autoscaler": "autoscalers", "compare-annotation": "compareAnnotations",
		"concurrency": "concurrency", "gentle": "gentle", "dry-run-as": "dryRunAs", "workload-metrics": "workloadMetrics", "policy-reports": "policyReports", "causes": "causes", "notify": "notify",

		"include-namespace": "selection.includeNamespaces", "exclude-namespace": "selection.excludeNamespaces",
		"selector": "selection.selector", "sidecar-container-name": "selection.sidecarContainerNames",

		"auto-rollout": "autoRollout.enabled", "rollout-window": "autoRollout.windows", "rollout-wave": "autoRollout.waves",
		"rollout-include-namespace": "autoRollout.includeNamespaces", "rollout-exclude-namespace": "autoRollout.excludeNamespaces",
		"rollout-kind": "autoRollout.kinds", "rollout-budget": "autoRollout.budget", "minimum-age": "autoRollout.minimumAge",
		"prometheus-url": "autoRollout.prometheusURL", "block-on-prometheus-query": "autoRollout.blockOnPrometheusQueries",
		"include-sidecarless": "autoRollout.includeSidecarless", "include-spent": "autoRollout.includeSpent", "max-risk": "autoRollout.maxRisk",
		"allow-orphaned": "autoRollout.allowOrphaned", "allow-downtime": "autoRollout.allowDowntime",
		"strategy": "autoRollout.strategy", "parallel-rollouts": "autoRollout.parallelRollouts", "order-by": "autoRollout.orderBy",
		"canary": "autoRollout.canary", "soak": "autoRollout.soak", "max-unavailable": "autoRollout.maxUnavailable",
		"max-unavailable-percent": "autoRollout.maxUnavailablePercent", "timeout": "autoRollout.timeout", "max-duration": "autoRollout.maxDuration",
		"max-failures": "autoRollout.maxFailures", "annotation-prefix": "autoRollout.annotationPrefix",
		"rollout-reason": "autoRollout.rolloutReason", "field-manager": "autoRollout.fieldManager",
		"lock-namespace": "autoRollout.lockNamespace",
	}
}

// override has the flags of a command line that were given take the place of
// what c says, and returns what is wrong with the whole, by flag.
func override(c *config.Configuration, given *pflag.FlagSet) error {
	target := &cobra.Command{}
	addSettings(target, c)
	keys := settingKeys()
	problem := error(nil)
	given.Visit(func(f *pflag.Flag) {
		if keys[f.Name] == "" || problem != nil {
			return
		}
		problem = setLike(target.Flags().Lookup(f.Name).Value, f.Value)
	})
	if problem != nil {
		return problem
	}
	var invalid config.Invalid
	for _, p := range c.Validate() {
		for flag, key := range keys {
			if p.Path == key || strings.HasPrefix(p.Path, key+"[") {
				p.Path = "--" + flag
			}
		}
		invalid = append(invalid, p)
	}
	if len(invalid) > 0 {
		return invalid
	}
	return nil
}

// setLike has one flag's value hold what another of the same type does.
func setLike(value, like pflag.Value) error {
	if list, ok := like.(pflag.SliceValue); ok {
		return value.(pflag.SliceValue).Replace(list.GetSlice())
	}
	return value.Set(like.String())
}

// addList adds a flag that is given once for each item of a list.
func addList[T any](flags *pflag.FlagSet, items *[]T, parse func(string) (T, error), name, usage string) {
	flags.Var(&listValue[T]{items: items, parse: parse}, name, usage)
}

// listValue is a flag's list. What is given replaces the default.
type listValue[T any] struct {
	items *[]T
	parse func(string) (T, error)
	texts []string
}

func (l *listValue[T]) Set(text string) error { return l.Append(text) }

// Append, Replace and GetSlice are pflag.SliceValue's.
func (l *listValue[T]) Append(text string) error {
	return l.Replace(append(slices.Clone(l.texts), text))
}

func (l *listValue[T]) Replace(texts []string) error {
	var items []T
	for _, text := range texts {
		item, err := l.parse(text)
		if err != nil {
			return err
		}
		items = append(items, item)
	}
	l.texts, *l.items = texts, items
	return nil
}

func (l *listValue[T]) GetSlice() []string { return l.texts }

func (l *listValue[T]) String() string { return strings.Join(l.texts, ",") }

func (l *listValue[T]) Type() string { return "stringArray" }

// parseObject reads KIND[.VERSION.GROUP]/[NAMESPACE/]NAME; a kind alone is v1's.
func parseObject(text string) (config.Object, error) {
	kind, rest, ok := strings.Cut(text, "/")
	parts := strings.Split(rest, "/")
	if !ok || kind == "" || len(parts) > 2 || slices.Contains(parts, "") {
		return config.Object{}, errors.New("give KIND/NAMESPACE/NAME, as in ConfigMap/istio-system/istio-sidecar-injector")
	}
	object := config.Object{APIVersion: "v1", Kind: kind, Name: parts[len(parts)-1]}
	if len(parts) == 2 {
		object.Namespace = parts[0]
	}
	if kind, versionGroup, ok := strings.Cut(kind, "."); ok {
		version, apiGroup, _ := strings.Cut(versionGroup, ".")
		if version == "" || apiGroup == "" {
			return config.Object{}, errors.New("give the kind as KIND.VERSION.GROUP, as in Telemetry.v1.telemetry.istio.io")
		}
		object.APIVersion, object.Kind = apiGroup+"/"+version, kind
	}
	return object, nil
}

func parseIgnoredPath(text string) (config.IgnoredPath, error) {
	return config.IgnoredPath{Path: text}, nil
}

func parseKind(text string) (config.WorkloadKind, error) {
	if !slices.Contains(kinds(), text) {
		return "", fmt.Errorf("choose %s", oneOf(kinds()))
	}
	return config.WorkloadKind(text), nil
}

func kinds() []string {
	var kinds []string
	for _, kind := range config.WorkloadKinds() {
		kinds = append(kinds, string(kind))
	}
	return kinds
}

// parseWindow reads [DAY,…] HH:MM-HH:MM [ZONE].
func parseWindow(text string) (config.Window, error) {
	var w config.Window
	words := strings.Fields(text)
	if len(words) > 0 && !strings.Contains(words[0], ":") {
		for day := range strings.SplitSeq(words[0], ",") {
			w.Days = append(w.Days, config.Day(day))
		}
		words = words[1:]
	}
	if len(words) == 0 || len(words) > 2 {
		return w, errors.New(`give days, times and a time zone, as in "Mon,Tue 22:00-04:00 Europe/Berlin"`)
	}
	start, end, _ := strings.Cut(words[0], "-")
	w.Start, w.End = config.TimeOfDay(start), config.TimeOfDay(end)
	if len(words) == 2 {
		w.TimeZone = words[1]
	}
	_, err := w.Window()
	return w, err
}

func parseQuery(text string) (config.PrometheusQuery, error) {
	if strings.TrimSpace(text) == "" {
		return config.PrometheusQuery{}, errors.New("give a query")
	}
	return config.PrometheusQuery{Query: text}, nil
}
