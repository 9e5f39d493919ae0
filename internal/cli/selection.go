package cli

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// defaultConcurrency is enough where an injector sleeps; how much of it is used
// where one works follows from how the API server answers.
const defaultConcurrency = 16

// selection holds the flags and arguments that say what to audit.
type selection struct {
	namespace         *string // of the connection flags
	namespaceGiven    bool
	allNamespaces     bool
	allGiven          bool
	labelSelector     string
	includeNamespaces []string
	excludeNamespaces []string
	sidecarNames      []string
	ignoreTexts       []string
	includeAutoscaled bool
	autoscalers       []config.Autoscaler
	annotations       []string
	ignorePaths       []verdict.PathPattern
	states            []verdict.State
	dryRunAs          injection.DryRunAs
	concurrency       int
	workloads         []inventory.WorkloadRef
}

func (s *selection) addFlags(cmd *cobra.Command, statesUsage string, states []verdict.State) {
	group(cmd, "Selection", func(flags *pflag.FlagSet) {
		s.addScopeFlags(flags)
		flags.Var(&statesValue{&s.states, states}, "state", statesUsage)
		s.addComparisonFlags(flags)
		addCount(flags, &s.concurrency, "concurrency", defaultConcurrency, "Number of dry runs under way at once, at most: fewer where more would not be faster, or are too many for the API server.")
	})
}

// addScopeFlags adds those that say where to look.
func (s *selection) addScopeFlags(flags *pflag.FlagSet) {
	flags.StringVarP(s.namespace, "namespace", "n", "", "Audit this namespace only.")
	flags.BoolVarP(&s.allNamespaces, "all-namespaces", "A", true, "Audit all namespaces, whatever the kubeconfig's context names. Workloads given by name are looked up in one.")
	flags.StringSliceVar(&s.includeNamespaces, "include-namespace", nil, "Audit only this `namespace`. Repeatable, or comma-separated.")
	flags.StringSliceVar(&s.excludeNamespaces, "exclude-namespace", nil, "Leave this `namespace` out. Repeatable, or comma-separated.")
	flags.StringVarP(&s.labelSelector, "selector", "l", "", "Only Pods with these labels: key=value, key!=value, 'key in (a,b)', …")
}

// addComparisonFlags adds those that say what a comparison looks at.
func (s *selection) addComparisonFlags(flags *pflag.FlagSet) {
	s.addSidecarNames(flags)
	addAutoscalers(flags, &s.includeAutoscaled, &s.autoscalers)
	addCompareAnnotations(flags, &s.annotations)
	s.dryRunAs = injection.Auto
	addDryRunAs(flags, &s.dryRunAs)
	flags.StringArrayVar(&s.ignoreTexts, "ignore-path", nil, "Leave out differences at this `PART:PATH`, as the report names it, and below: container/istio-proxy:env[NONCE]; * is every part. Repeatable.")
}

func (s *selection) addSidecarNames(flags *pflag.FlagSet) {
	flags.StringSliceVar(&s.sidecarNames, sidecarNamesFlag, nil, "Only Pods that have a container or init container of this `name`, live or fresh; it counts as a sidecar though the template declares it. Repeatable, or comma-separated.")
}

func addDryRunAs(flags *pflag.FlagSet, value *injection.DryRunAs) {
	addChoice(flags, value, "dry-run-as", "", "As whom dry runs are made, %s: the controller that would create the Pod, where this identity may impersonate it; that controller, or nothing; this identity itself.", injection.DryRunAsValues...)
}

func (s *selection) complete(cmd *cobra.Command, args []string) error {
	s.namespaceGiven = cmd.Flags().Changed("namespace")
	s.allGiven = cmd.Flags().Changed("all-namespaces")
	for _, list := range []string{"include-namespace", "exclude-namespace", sidecarNamesFlag, compareAnnotationFlag} {
		if err := completeList(cmd, list); err != nil {
			return err
		}
	}
	for _, argument := range args {
		workload, err := parseWorkload(argument)
		if err != nil {
			return misuse("%w", err)
		}
		s.workloads = append(s.workloads, workload)
	}
	return nil
}

// emptyItem reports whether a list has no items or an empty one: a script's
// variable that is not set must not come to mean "everything".
func emptyItem(flag *pflag.Flag) bool {
	items := flag.Value.(pflag.SliceValue).GetSlice()
	return len(items) == 0 || slices.Contains(items, "")
}

func (s *selection) validate() error {
	for _, text := range s.ignoreTexts {
		pattern, err := verdict.ParsePathPattern(text)
		if err != nil {
			return misuse("--ignore-path %q: %w", text, err)
		}
		s.ignorePaths = append(s.ignorePaths, pattern)
	}
	if _, err := labels.Parse(s.labelSelector); err != nil {
		return misuse("--selector %q: %w", s.labelSelector, err)
	}
	if err := validateSidecarNames(s.sidecarNames); err != nil {
		return err
	}
	if err := validateCompareAnnotations(s.annotations); err != nil {
		return err
	}
	return s.validateNamespaces()
}

// validateAsker refuses to ask as a controller who is somebody else already.
func (s *selection) validateAsker(c connection) error {
	if s.dryRunAs == injection.Controller && *c.flags.Impersonate != "" {
		return misuse("--dry-run-as controller and --as contradict each other: who is impersonated can impersonate nobody; leave one of the two out")
	}
	return nil
}

func (s *selection) validateNamespaces() error {
	all := s.allGiven && s.allNamespaces
	switch {
	case s.namespaceGiven && *s.namespace == "":
		return misuse("--namespace is empty; leave it out to audit all namespaces")
	case s.namespaceGiven && all:
		return misuse("--all-namespaces (-A) and --namespace (-n) contradict each other: give one of them")
	case len(s.workloads) > 0 && all:
		return misuse("KIND/NAME and --all-namespaces (-A) contradict each other: a workload is looked up in one namespace, which --namespace (-n) names")
	case len(s.workloads) > 0 && len(s.includeNamespaces) > 0:
		return misuse("KIND/NAME and --include-namespace contradict each other: a workload is looked up in one namespace, which --namespace (-n) names")
	case s.namespaceGiven && len(s.includeNamespaces) > 0 && !slices.Contains(s.includeNamespaces, *s.namespace):
		return misuse("--namespace (-n) and --include-namespace contradict each other: %s is not among those to include", *s.namespace)
	case s.namespaceGiven && slices.Contains(s.excludeNamespaces, *s.namespace):
		return misuse("--namespace (-n) and --exclude-namespace both name %s", *s.namespace)
	}
	for _, namespace := range s.includeNamespaces {
		if slices.Contains(s.excludeNamespaces, namespace) {
			return misuse("--include-namespace and --exclude-namespace both name %s", namespace)
		}
	}
	return s.validateNamespaceNames()
}

func (s *selection) validateNamespaceNames() error {
	given := map[string][]string{"include-namespace": s.includeNamespaces, "exclude-namespace": s.excludeNamespaces}
	if s.namespaceGiven {
		given["namespace"] = []string{*s.namespace}
	}
	for _, flag := range slices.Sorted(maps.Keys(given)) {
		for _, namespace := range given[flag] {
			if len(validation.IsDNS1123Label(namespace)) > 0 {
				return misuse("--%s %q cannot be a namespace's name", flag, namespace)
			}
		}
	}
	return nil
}

// resolve turns the flags into what the auditor selects by. The kubeconfig's
// context names the namespace only where one is needed.
func (s *selection) resolve(c connection) (inventory.Selection, error) {
	selected := inventory.Selection{
		Namespace:         *s.namespace,
		IncludeNamespaces: s.includeNamespaces,
		ExcludeNamespaces: s.excludeNamespaces,
		LabelSelector:     s.labelSelector,
		WithContainers:    s.sidecarNames,
	}
	if !s.namespaceGiven && (len(s.workloads) > 0 || !s.allNamespaces) {
		namespace, err := c.namespace()
		if err != nil {
			return inventory.Selection{}, err
		}
		selected.Namespace = namespace
	}
	for _, workload := range s.workloads {
		workload.Namespace = selected.Namespace
		selected.Workloads = append(selected.Workloads, workload)
	}
	return selected, nil
}
