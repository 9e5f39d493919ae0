package config

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/injection"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// What a configuration file says that it is.
const (
	APIVersion = "sidecar-drift.io/v1alpha1"
	Kind       = "Configuration"
)

// Configuration of the auditor as a daemon.
type Configuration struct {
	// Always sidecar-drift.io/v1alpha1.
	APIVersion string `json:"apiVersion"`
	// Always Configuration.
	Kind string `json:"kind"`
	// Name of the cluster in reports, notifications and on the page, by which people know it;
	// the UID of its namespace kube-system by default.
	ClusterName string `json:"clusterName,omitempty"`
	// Keys of labels that the report and the page show of each workload, and by which the
	// page filters, ten at most: of the Pod template or, where that has no such label, of
	// the namespace.
	Labels []string `json:"labels,omitempty"`
	// Time between two rounds, 5s or more. A round asks about workloads that have
	// between them whatever several workloads share that injection may go by.
	Interval metav1.Duration `json:"interval,omitzero"`
	// Time within which every workload is asked about, whatever it shares with others.
	FullInterval metav1.Duration `json:"fullInterval,omitzero"`
	// Objects that trigger an audit when they change: the ConfigMaps that
	// injectors keep their templates in. What admission itself is made of
	// (webhook configurations, policies, labels and annotations of namespaces) needs no mention.
	Watch []Object `json:"watch,omitempty"`
	// Which Pods are audited.
	Selection Selection `json:"selection,omitzero"`
	// Differences to leave out, each with its reason.
	IgnorePaths []IgnoredPath `json:"ignorePaths,omitempty"`
	// Keys of annotations that count as drift where admission adds them, besides those
	// that are known to configure the network or mounts.
	CompareAnnotations []string `json:"compareAnnotations,omitempty"`
	// Count resources that an autoscaler sets, too. They move all the time: an
	// automatic rollout by them never ends.
	IncludeAutoscaled bool `json:"includeAutoscaled,omitempty"`
	// What sets the resources of Pods anew when they are created, besides
	// VerticalPodAutoscalers and DatadogPodAutoscalers: each an annotation, or a kind of
	// object that refers to the workload.
	Autoscalers []Autoscaler `json:"autoscalers,omitempty"`
	// Number of dry runs under way at once, at most: fewer where more would not
	// be faster, or are too many for the API server.
	Concurrency int `json:"concurrency,omitempty" schema:"minimum=1"`
	// Have audits take their time, so that other requests to the API server take
	// hardly longer for them.
	Gentle bool `json:"gentle,omitempty"`
	// As whom dry runs are made: controller, the one that would create the Pod, for
	// which the component controller-identity has the rights; self, the auditor's own
	// account; or auto, as the controller where the auditor may.
	DryRunAs injection.DryRunAs `json:"dryRunAs,omitempty"`
	// Export the state of each workload's Pods, too, as
	// sidecar_drift_workload_pods: a series for each workload and state.
	WorkloadMetrics bool `json:"workloadMetrics,omitempty"`
	// Keep Reports of openreports.io in each namespace, for the tools that show
	// them. See docs/policy-reports.md.
	PolicyReports bool `json:"policyReports,omitempty"`
	// Look whose changes are: at metadata of what the injectors go by. The component causes
	// has the rights. See docs/changes.md.
	Causes bool `json:"causes,omitempty"`
	// Who is told of drift, of what cannot be re-created, of injectors that are down and of
	// rollouts. See docs/notifications.md.
	Notify []Sink `json:"notify,omitempty"`
	// Roll out what drifted, inside of windows.
	AutoRollout AutoRollout `json:"autoRollout,omitzero"`
}

// Object to watch.
type Object struct {
	// Group and version, such as v1 or apps/v1.
	APIVersion string `json:"apiVersion"`
	// Kind, such as ConfigMap.
	Kind string `json:"kind"`
	// Namespace; none for objects of the cluster.
	Namespace string `json:"namespace,omitempty"`
	// Name of the one object.
	Name string `json:"name"`
}

// Autoscaler of the resources of Pods: an annotation, or a kind of object.
type Autoscaler struct {
	// Key of an annotation that admission adds to the Pods that it sizes.
	Annotation string `json:"annotation,omitempty"`
	// Kind of object, as RESOURCE.VERSION.GROUP: rightsizers.v1.example.com. The auditor
	// needs to list it.
	Resource string `json:"resource,omitempty"`
	// Where such an object refers to a workload of its namespace by apiVersion, kind and
	// name; spec.targetRef if empty.
	TargetRef string `json:"targetRef,omitempty"`
	// Where and how such an object says that it sizes nothing, as PATH=VALUE:
	// spec.mode=Off; each does if empty.
	Unless string `json:"unless,omitempty"`
}

// Selection of Pods.
type Selection struct {
	// Audit only these namespaces.
	IncludeNamespaces []string `json:"includeNamespaces,omitempty"`
	// Leave these namespaces out.
	ExcludeNamespaces []string `json:"excludeNamespaces,omitempty"`
	// Only Pods with these labels: key=value, key!=value, 'key in (a,b)', …
	Selector string `json:"selector,omitempty"`
	// Only Pods that have a container or init container of one of these names,
	// live or fresh. They count as sidecars though the template declares them.
	SidecarContainerNames []string `json:"sidecarContainerNames,omitempty"`
}

// IgnoredPath is a difference to leave out.
type IgnoredPath struct {
	// PART:PATH as a report names it; what is below is left out, too:
	// container/istio-proxy:env[NONCE] concerns one injector's container,
	// *:env[NONCE] every part.
	Path string `json:"path"`
	// Why, for those who read the file later.
	Reason string `json:"reason,omitempty"`
}

// AutoRollout is an automatic rollout's policy.
type AutoRollout struct {
	// Roll out automatically.
	Enabled bool `json:"enabled,omitempty"`
	// Roll out only in these namespaces.
	IncludeNamespaces []string `json:"includeNamespaces,omitempty"`
	// Never roll out in these namespaces.
	ExcludeNamespaces []string `json:"excludeNamespaces,omitempty"`
	// Kinds of workloads to roll out. Argo Rollouts and bare ReplicaSets go with
	// Deployment.
	Kinds []WorkloadKind `json:"kinds,omitempty"`
	// When a rollout may start; needed if enabled is true. What is under way
	// when the window ends is finished.
	Windows []Window `json:"windows,omitempty"`
	// Waves, the first one first: a change of the injection goes on to a wave when those
	// before it are rolled out, and have been for their soak. What none selects is not
	// rolled out automatically. Without waves all are rolled out together.
	Waves []Wave `json:"waves,omitempty"`
	// Number of workloads that may be rolled out each time that a window opens.
	// Where windows overlap, the one listed first counts.
	Budget int `json:"budget,omitempty" schema:"minimum=1"`
	// How long a workload must have drifted, so that a template that is being
	// edited is not chased.
	MinimumAge metav1.Duration `json:"minimumAge,omitzero"`
	// Address of the Prometheus that answers blockOnPrometheusQueries, such as
	// http://prometheus.monitoring:9090.
	PrometheusURL string `json:"prometheusURL,omitempty"`
	// Nothing starts while one of these returns rows, or has no answer.
	BlockOnPrometheusQueries []PrometheusQuery `json:"blockOnPrometheusQueries,omitempty"`

	// How Pods are re-created: by annotations of the Pod template (restart), one by one
	// by eviction (evict), which honours PodDisruptionBudgets; not at all, by resizing
	// running containers in place where nothing but their CPU and memory differs (resize);
	// or by what is less invasive for each workload (auto). What an operator controls is
	// never restarted.
	Strategy rollout.Strategy `json:"strategy,omitempty"`
	// Number of workloads that are rolled out at a time. Two behind one
	// PodDisruptionBudget never are.
	ParallelRollouts int `json:"parallelRollouts,omitempty" schema:"minimum=1"`
	// Which go first: by name, pods (the fewest) or age (the oldest Pods).
	OrderBy rollout.Order `json:"orderBy,omitempty"`
	// Number of workloads that go first, at most one a namespace; the others
	// follow only if all of them succeed. 0 for none.
	Canary int `json:"canary,omitempty" schema:"minimum=0"`
	// How long the canaries must stay available, with no container restarted,
	// before the others follow.
	Soak metav1.Duration `json:"soak,omitzero"`
	// With strategy evict or auto: another Pod of a workload is evicted only while fewer
	// than this number are unavailable.
	MaxUnavailable int `json:"maxUnavailable,omitempty" schema:"minimum=1"`
	// Start no workload whose rollout could bring the unavailable Pods over this
	// percentage of the injected Pods that were audited. 0 sets no limit.
	MaxUnavailablePercent int `json:"maxUnavailablePercent,omitempty" schema:"minimum=0,maximum=100"`
	// How long a workload may make no progress, besides its minReadySeconds: no Pod of
	// it is created, becomes available or goes.
	Timeout metav1.Duration `json:"timeout,omitzero"`
	// How long a workload may take in all, however it goes on: others wait for it. 0
	// sets no limit.
	MaxDuration metav1.Duration `json:"maxDuration,omitzero"`
	// After this number of workloads of a namespace that failed, did not converge or
	// were taken back in a window, leave that namespace alone until the next one; after
	// twice that number of one cause in several namespaces, leave what has the same change
	// alone.
	MaxFailures int `json:"maxFailures,omitempty" schema:"minimum=1"`
	// Also where a sidecar would be lost. An injector that is down and fails
	// open looks like that.
	AllowOrphaned bool `json:"allowOrphaned,omitempty"`
	// Also workloads into which no container is injected, but variables, mounts or
	// volumes, as OpenTelemetry's SDK is.
	IncludeSidecarless bool `json:"includeSidecarless,omitempty"`
	// Also workloads that differ only in how init containers ran that have ended.
	IncludeSpent bool `json:"includeSpent,omitempty"`
	// Leave out what differs in something riskier than this (docs/changes.md): cosmetic,
	// tuning, version, behaviour or loss, which sets no limit. A loss needs allowOrphaned
	// besides.
	MaxRisk change.Risk `json:"maxRisk,omitempty"`
	// Also where a restart leaves no Pod available for a while, or hangs until one goes.
	AllowDowntime bool `json:"allowDowntime,omitempty"`
	// Prefix, without a slash, of the annotations PREFIX.rollout.timestamp and
	// PREFIX.rollout.reason on the Pod template.
	AnnotationPrefix string `json:"annotationPrefix,omitempty"`
	// Text of the reason annotation, at most 1024 printable characters; "Update
	// sidecars NAME,…" if there is none.
	RolloutReason string `json:"rolloutReason,omitempty"`
	// Name that the changes are made under.
	FieldManager string `json:"fieldManager,omitempty"`
	// Namespace of the Lease that keeps other rollouts out, those of the command
	// line included; sidecar-drift if it exists, else kube-system.
	LockNamespace string `json:"lockNamespace,omitempty"`
}

// WorkloadKind is a kind of workload to roll out.
type WorkloadKind string

// Kinds of workloads.
const (
	Deployment  WorkloadKind = kind.Deployment
	StatefulSet WorkloadKind = kind.StatefulSet
	DaemonSet   WorkloadKind = kind.DaemonSet
)

// Window is a time that recurs.
type Window struct {
	// Days on which it starts; every day if there are none.
	Days []Day `json:"days,omitempty"`
	// Time of day at which it opens.
	Start TimeOfDay `json:"start"`
	// Time of day at which it closes, 24:00 for midnight. On the next day if it
	// is before start.
	End TimeOfDay `json:"end"`
	// IANA name, such as Europe/Berlin; UTC if there is none.
	TimeZone string `json:"timeZone,omitempty"`
}

// Day of the week.
type Day string

// TimeOfDay is HH:MM.
type TimeOfDay string

// PrometheusQuery is a query and where to send it.
type PrometheusQuery struct {
	// Address of the Prometheus that answers this one, if not prometheusURL.
	URL string `json:"url,omitempty"`
	// PromQL that returns rows when nothing should be rolled out.
	Query string `json:"query"`
}
