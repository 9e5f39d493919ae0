package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
)

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		change func(*config.Configuration)
		want   string
	}{
		{func(c *config.Configuration) { c.ClusterName = "prod\u202e" }, `clusterName: is "prod\u202e": give a name of 253 printable characters at most`},
		{func(c *config.Configuration) { c.Interval.Duration = 0 }, "interval: is 0s: give 5s or more"},
		{func(c *config.Configuration) { c.Labels = []string{"team", "example.com/tier"} }, ""},
		{func(c *config.Configuration) { c.Labels = []string{"team", "a/b/c", "team"} },
			`labels[1]: is "a/b/c", which is no label's key: give a name, or a domain and a name, as in team or example.com/team
labels[2]: is "team" again: remove it`},
		{func(c *config.Configuration) { c.Labels = strings.Split("a b c d e f g h i j k", " ") }, "labels: has 11 keys: give 10 at most"},
		{func(c *config.Configuration) { c.FullInterval.Duration = time.Second }, "fullInterval: is 1s: give 5s or more"},
		{func(c *config.Configuration) { c.Concurrency = 0 }, "concurrency: is 0: give 1 or more"},
		{func(c *config.Configuration) { c.Watch = []config.Object{{"a/b/c", "", "A", ""}} },
			`watch[0].apiVersion: is "a/b/c": give group and version, as in v1 or apps/v1
watch[0].kind: is empty: name the kind, as in ConfigMap
watch[0].namespace: is "A", which cannot be a namespace's name
watch[0].name: is "": name the object`},
		{func(c *config.Configuration) {
			c.Selection = config.Selection{
				IncludeNamespaces: []string{"shop", ""}, ExcludeNamespaces: []string{"a b", "shop"},
				Selector: "a in b", SidecarContainerNames: []string{"ISTIO"},
			}
		}, `selection.includeNamespaces[1]: is "", which cannot be a namespace's name
selection.excludeNamespaces[0]: is "a b", which cannot be a namespace's name
selection.excludeNamespaces[1]: is "shop", which includeNamespaces names, too: remove it from one of them
selection.selector: is "a in b": unable to parse requirement: found 'b' expected: '('
selection.sidecarContainerNames[0]: is "ISTIO", which cannot be a container's name`},
		{func(c *config.Configuration) { c.CompareAnnotations = []string{"example.com/a", "a=b"} },
			`compareAnnotations[1]: is "a=b": give the key alone, without = and a value`},
		{func(c *config.Configuration) {
			c.Autoscalers = []config.Autoscaler{
				{Annotation: "example.com/sized"}, {Resource: "rightsizers.v1.example.com"}, {Resource: "rightsizers.v1.example.com", TargetRef: "spec.workload", Unless: "spec.mode=Off"},
				{}, {Annotation: "a", Resource: "rightsizers.v1.example.com"}, {Annotation: "a=b"}, {Resource: "rightsizers"}, {Resource: "a/b.v1.example.com"},
				{Resource: "rightsizers.v1.example.com", TargetRef: "spec..ref"}, {Resource: "rightsizers.v1.example.com", Unless: "spec.mode"},
			}
		}, `autoscalers[3]: is wrong: give annotation, or resource
autoscalers[4]: is wrong: resource, targetRef and unless do not go with annotation: give an item for each
autoscalers[5]: is wrong: annotation is "a=b": give the key alone, without = and a value
autoscalers[6]: is wrong: resource is "rightsizers": give RESOURCE.VERSION.GROUP, as in rightsizers.v1.example.com
autoscalers[7]: is wrong: resource is "a/b.v1.example.com": give RESOURCE.VERSION.GROUP, as in rightsizers.v1.example.com
autoscalers[8]: is wrong: targetRef is "spec..ref": give the path of a field, as in spec.targetRef
autoscalers[9]: is wrong: unless is "spec.mode": give the path of a field and its value, as in spec.mode=Off`},
		{func(c *config.Configuration) { c.IgnorePaths = []config.IgnoredPath{{Path: "pod"}, {Path: "*"}} },
			`ignorePaths[1].path: is "*": this would leave out everything: give a path, as in *:env[NONCE]`},
		{func(c *config.Configuration) { c.AutoRollout.IncludeNamespaces = []string{"-"} },
			`autoRollout.includeNamespaces[0]: is "-", which cannot be a namespace's name`},
		{func(c *config.Configuration) {
			c.AutoRollout.Waves = []config.Wave{
				{Name: "dev", NamespaceSelector: "env in (dev,test)", Selector: "!canary", Soak: metav1.Duration{Duration: time.Hour}},
				{Name: "dev", NamespaceSelector: "env in dev"}, {Name: "A B", Selector: "=", MaxDriftPercent: 101}, {Name: "c", Soak: metav1.Duration{Duration: -1}, MaxRisk: "high", Windows: []config.Window{{Start: "1:00", End: "02:00"}}},
			}
		}, `autoRollout.waves[1].name: is "dev", as is another wave's
autoRollout.waves[1].namespaceSelector: is "env in dev": unable to parse requirement: found 'dev' expected: '('
autoRollout.waves[2].name: is "A B": give lower-case letters, digits and -, as in staging
autoRollout.waves[2].selector: is "=": found '=', expected: !, identifier, or 'end of string'
autoRollout.waves[2].maxDriftPercent: is 101: give a percentage, 1 to 100, or 0 for none
autoRollout.waves[3].windows[0].start: "1:00" is no time of day: give hours and minutes, as in 06:30
autoRollout.waves[3].soak: is -1ns: give 0s or more
autoRollout.waves[3].maxRisk: is "high": choose from cosmetic, tuning, version, behaviour, loss`},
		{func(c *config.Configuration) { c.AutoRollout.Kinds = nil },
			"autoRollout.kinds: is empty: give one of Deployment, StatefulSet, DaemonSet, or leave the key out"},
		{func(c *config.Configuration) { c.AutoRollout.Kinds = []config.WorkloadKind{"DaemonSet", "Job"} },
			`autoRollout.kinds[1]: is "Job": choose from Deployment, StatefulSet, DaemonSet`},
		{func(c *config.Configuration) { c.AutoRollout.Enabled = true },
			"autoRollout.windows: is empty: say when a rollout may start; from 00:00 to 24:00 is any time"},
		{func(c *config.Configuration) {
			c.AutoRollout.Windows = []config.Window{{Start: "00:00", End: "24:00"}, {Days: []config.Day{"Mon", "Tuesday"}, Start: "8", End: "09:00", TimeZone: "Berlin"}}
		}, `autoRollout.windows[1].days[1]: "Tuesday" is no day: choose from Mon, Tue, Wed, Thu, Fri, Sat, Sun
autoRollout.windows[1].start: "8" is no time of day: give hours and minutes, as in 06:30
autoRollout.windows[1].timeZone: "Berlin" is no time zone: give an IANA name, as in Europe/Berlin`},
		{func(c *config.Configuration) { c.AutoRollout.Budget = 0 }, "autoRollout.budget: is 0: give 1 or more"},
		{func(c *config.Configuration) { c.AutoRollout.MinimumAge.Duration = -1 }, "autoRollout.minimumAge: is -1ns: give 0s or more"},
		{func(c *config.Configuration) {
			c.AutoRollout.BlockOnPrometheusQueries = []config.PrometheusQuery{{"http://p:9090", "up == 0"}, {"p:9090", " "}}
		}, `autoRollout.blockOnPrometheusQueries[1].url: is "p:9090": give Prometheus' address, as in http://prometheus.monitoring:9090
autoRollout.blockOnPrometheusQueries[1].query: is empty: give PromQL that returns rows when nothing should be rolled out, as in ALERTS{alertstate="firing"}`},
		{func(c *config.Configuration) {
			c.AutoRollout.BlockOnPrometheusQueries = []config.PrometheusQuery{{"http://p:9090", "up == 0"}, {"", "up"}}
		}, "autoRollout.prometheusURL: is empty, and a query has no address of its own: give Prometheus', as in http://prometheus.monitoring:9090"},
		{func(c *config.Configuration) { c.AutoRollout.PrometheusURL = "p:9090" },
			`autoRollout.prometheusURL: is "p:9090": give Prometheus' address, as in http://prometheus.monitoring:9090`},
		{func(c *config.Configuration) { c.AutoRollout.Strategy = "delete" }, `autoRollout.strategy: is "delete": choose from restart, evict, resize, auto`},
		{func(c *config.Configuration) { c.AutoRollout.ParallelRollouts = -1 }, "autoRollout.parallelRollouts: is -1: give 1 or more"},
		{func(c *config.Configuration) { c.AutoRollout.OrderBy = "" }, `autoRollout.orderBy: is "": choose from name, pods, age`},
		{func(c *config.Configuration) { c.AutoRollout.Canary = -1 }, "autoRollout.canary: is -1: give 0 or more"},
		{func(c *config.Configuration) { c.AutoRollout.Soak.Duration = -time.Minute }, "autoRollout.soak: is -1m0s: give 0s or more"},
		{func(c *config.Configuration) { c.AutoRollout.Soak.Duration = time.Minute }, "autoRollout.soak: needs canary: say how many workloads go first"},
		{func(c *config.Configuration) { c.AutoRollout.MaxUnavailable = 0 }, "autoRollout.maxUnavailable: is 0: give 1 or more"},
		{func(c *config.Configuration) { c.AutoRollout.MaxUnavailable = 2 },
			"autoRollout.maxUnavailable: needs the strategy evict or auto; a restart goes by the workload's own update strategy"},
		{func(c *config.Configuration) { c.AutoRollout.MaxUnavailable, c.AutoRollout.Strategy = 2, "evict" }, ""},
		{func(c *config.Configuration) { c.AutoRollout.MaxUnavailablePercent = 101 },
			"autoRollout.maxUnavailablePercent: is 101: give a percentage, 1 to 100, or 0 for no limit"},
		{func(c *config.Configuration) { c.AutoRollout.Timeout.Duration = 0 }, "autoRollout.timeout: is 0s: give more than 0"},
		{func(c *config.Configuration) { c.AutoRollout.MaxFailures = 0 }, "autoRollout.maxFailures: is 0: give 1 or more"},
		{func(c *config.Configuration) { c.AutoRollout.AnnotationPrefix = "a b" },
			`autoRollout.annotationPrefix: "a b" does not make an annotation's name, as sidecarRollout or myCompany does`},
		{func(c *config.Configuration) { c.AutoRollout.AnnotationPrefix = "a/b" },
			`autoRollout.annotationPrefix: "a/b" has a slash, and would make annotations of a domain that injectors may obey: give a word, as sidecarRollout or myCompany`},
		{func(c *config.Configuration) { c.AutoRollout.RolloutReason = strings.Repeat("a", 1025) },
			"autoRollout.rolloutReason: has 1025 characters: give at most 1024"},
		{func(c *config.Configuration) { c.AutoRollout.RolloutReason = "a\nb" },
			"autoRollout.rolloutReason: has a character at byte 1 that cannot be printed: give one line of text"},
		{func(c *config.Configuration) { c.AutoRollout.FieldManager = strings.Repeat("a", 129) },
			"autoRollout.fieldManager: has 129 characters: give 1 to 128"},
		{func(c *config.Configuration) { c.AutoRollout.LockNamespace = "A" }, `autoRollout.lockNamespace: is "A", which cannot be a namespace's name`},
	} {
		c := config.Default()
		tt.change(&c)
		var got []string
		for _, p := range c.Validate() {
			got = append(got, fmt.Sprint(p))
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, "\n")); diff != "" {
			t.Error(diff)
		}
	}
}
