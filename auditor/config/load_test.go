package config_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/rollout"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

const head = "apiVersion: sidecar-drift.io/v1alpha1\nkind: Configuration\n"

const example = "../../docs/examples/configuration.yaml"

func load(t *testing.T, text string) config.Configuration {
	t.Helper()
	c, err := config.Load([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readExample(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAFileThatSetsNothingHasTheDefaults(t *testing.T) {
	if diff := cmp.Diff(config.Default(), load(t, head)); diff != "" {
		t.Error(diff)
	}
	if c := config.Default(); len(c.Validate()) > 0 || c.AutoRollout.Enabled {
		t.Errorf("the defaults have problems, %v, or roll out", c.Validate())
	}
}

func TestWhatAFileSetsReplacesTheDefaults(t *testing.T) {
	got := load(t, head+`
interval: 1h30m
concurrency: 2
gentle: false
watch: [{apiVersion: v1, kind: ConfigMap, namespace: mesh, name: injector}]
selection: {excludeNamespaces: &quiet [kube-system, dev]}
ignorePaths:
- path: container/agent:env[NONCE]
autoRollout:
  enabled: true
  excludeNamespaces: *quiet
  kinds: [DaemonSet]
  windows: [{start: 22:00, end: 06:00}] # no number, and no need of quotes
  canary: 1
  soak: 5m
`)
	want := config.Default()
	want.Interval = metav1.Duration{Duration: 90 * time.Minute}
	want.Concurrency = 2
	want.Gentle = false
	want.Watch = []config.Object{{APIVersion: "v1", Kind: "ConfigMap", Namespace: "mesh", Name: "injector"}}
	want.Selection.ExcludeNamespaces = []string{"kube-system", "dev"}
	want.IgnorePaths = []config.IgnoredPath{{Path: "container/agent:env[NONCE]"}}
	want.AutoRollout.Enabled = true
	want.AutoRollout.ExcludeNamespaces = []string{"kube-system", "dev"}
	want.AutoRollout.Kinds = []config.WorkloadKind{config.DaemonSet}
	want.AutoRollout.Windows = []config.Window{{Start: "22:00", End: "06:00"}}
	want.AutoRollout.Canary = 1
	want.AutoRollout.Soak = metav1.Duration{Duration: 5 * time.Minute}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestJSONIsRead(t *testing.T) {
	got := load(t, "{\n\t\"apiVersion\": \"sidecar-drift.io/v1alpha1\",\n\t\"kind\": \"Configuration\",\n\t\"concurrency\": 3\n}\n")
	if got.Concurrency != 3 {
		t.Errorf("concurrency %d", got.Concurrency)
	}
}

func TestLoadSaysWhatIsWrongAndWhere(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "line 1: is empty: begin with apiVersion: sidecar-drift.io/v1alpha1 and kind: Configuration"},
		{"comments alone", "# nothing\n", "line 1: is empty: begin with apiVersion: sidecar-drift.io/v1alpha1 and kind: Configuration"},
		{"null", "---\n", "line 2: is empty: begin with apiVersion: sidecar-drift.io/v1alpha1 and kind: Configuration"},
		{"a list", "\n- a\n", "line 2: is a list: begin with apiVersion: sidecar-drift.io/v1alpha1 and kind: Configuration"},
		{"no version", "kind: Configuration\nnonsense: 1\n", "line 1: apiVersion: is missing: this program reads sidecar-drift.io/v1alpha1"},
		{"another version", "kind: Configuration\napiVersion: sidecar-drift.io/v2\nnonsense: 1\n", `line 2: apiVersion: is "sidecar-drift.io/v2": this program reads sidecar-drift.io/v1alpha1`},
		{"another kind", "apiVersion: sidecar-drift.io/v1alpha1\nkind: ConfigMap\n", `line 2: kind: is "ConfigMap": a configuration is of kind Configuration`},
		{"no kind, but a value like it", "other: kind\nkind: Configuration\napiVersion: sidecar-drift.io/v2\n", `line 3: apiVersion: is "sidecar-drift.io/v2": this program reads sidecar-drift.io/v1alpha1`},
		{"no kind", "apiVersion: sidecar-drift.io/v1alpha1\nother: kind\n", "line 1: kind: is missing: a configuration is of kind Configuration"},
		{"no YAML", head + "a: [b\n", "line 3: not YAML: did not find expected ',' or ']'"},
		{"no YAML, a key out of line", head + "\nselection:\n  selector: a\n includeNamespaces: []\n", "line 6: not YAML: did not find expected key"},
		{"no YAML, a tab", head + "selection:\n\tselector: a\n", "line 4: not YAML: found character that cannot start any token"},
		{"no YAML, a colon", head + "includeAutoscaled: a: b\n", "line 3: not YAML: mapping values are not allowed in this context"},
		{"an unknown alias", head + "includeAutoscaled: *a\n", "line 1: not YAML: unknown anchor 'a' referenced"},
		{"a second document", head + "---\n" + head, "line 3: a second document begins here: give one"},
		{"no YAML in a second document", head + "---\n[\n", "line 5: not YAML: did not find expected node content"},

		{"an unknown key", head + "\nsurprise: 1\n", "line 4: surprise: unknown key; known here: apiVersion, autoRollout, autoscalers, causes, clusterName, compareAnnotations, concurrency, dryRunAs, fullInterval, gentle, ignorePaths, includeAutoscaled, interval, kind, labels, notify, policyReports, selection, watch, workloadMetrics"},
		{"an unknown key further down", head + "autoRollout:\n  windows:\n  - start: \"22:00\"\n    end: \"23:00\"\n    from: x\n", "line 7: autoRollout.windows[0].from: unknown key; known here: days, end, start, timeZone"},
		{"a key in another case", head + "includeautoscaled: true\n", "line 3: includeautoscaled: unknown key; did you mean includeAutoscaled?"},
		{"a key that is much alike", head + "ignorePath: []\n", "line 3: ignorePath: unknown key; did you mean ignorePaths?"},
		{"a key twice", head + "includeAutoscaled: true\nconcurrency: 4\nincludeAutoscaled: false\n", "line 5: includeAutoscaled: is given twice, first in line 3"},
		{"a version twice", head + "kind: Configuration\n", "line 3: kind: is given twice, first in line 2"},
		{"no value", head + "selection:\n  includeNamespaces:\nincludeAutoscaled: ~\n", "line 4: selection.includeNamespaces: has no value: give a list, or leave the key out\nline 5: includeAutoscaled: has no value: give true or false, or leave the key out"},
		{"an item without a value", head + "selection:\n  includeNamespaces:\n  - shop\n  -\n", "line 6: selection.includeNamespaces[1]: has no value: give a string, or leave the key out"},
		{"a merge key", head + "selection: &a {selector: a}\nautoRollout:\n  <<: *a\n", "line 5: autoRollout: has a merge key (<<): write its keys out"},
		{"a key that is a list", head + "[a]: b\n", "line 3: has a key that is a list: give a name"},

		{"a word for a number", head + "concurrency: many\n", `line 3: concurrency: is "many": give a whole number`},
		{"half a number", head + "concurrency: 1.5\n", "line 3: concurrency: is 1.5: give a whole number"},
		{"a number too large", head + "concurrency: 99999999999999999999\n", "line 3: concurrency: is 99999999999999999999: give a whole number"},
		{"yes", head + "includeAutoscaled: yes\n", `line 3: includeAutoscaled: is "yes": give true or false`},
		{"a number for a duration", head + "interval: 600\n", "line 3: interval: is 600: give a duration with its unit, such as 10m or 1h30m"},
		{"a day's duration", head + "interval: 1d\n", `line 3: interval: is "1d": give a duration with its unit, such as 10m or 1h30m`},
		{"a list for a duration", head + "interval: [1m]\n", "line 3: interval: is a list: give a duration with its unit, such as 10m or 1h30m"},
		{"a string for a list", head + "selection: {includeNamespaces: shop}\n", `line 3: selection.includeNamespaces: is "shop": give a list`},
		{"a list for a map", head + "autoRollout: [enabled]\n", "line 3: autoRollout: is a list: give a map"},
		{"a number for a string", head + "selection:\n  includeNamespaces: [1234]\n", "line 4: selection.includeNamespaces[0]: is 1234: put it in quotes, to be a string"},

		{"several, by line", head + "includeAutoscaled: 3\nautoRollout:\n  enabled: true\n  budget: 0\ninterval: 1ms\n",
			"line 3: includeAutoscaled: is 3: give true or false\n" +
				"line 4: autoRollout.windows: is empty: say when a rollout may start; from 00:00 to 24:00 is any time\n" +
				"line 6: autoRollout.budget: is 0: give 1 or more\n" +
				"line 7: interval: is 1ms: give 5s or more"},
		{"a key that is missing", head + "watch:\n- kind: ConfigMap\n  apiVersion: v1\n",
			`line 4: watch[0].name: is "": name the object`},
		{"a wrong value is said once", head + "autoRollout:\n  windows:\n  - start: 22\n    end: \"23:00\"\n",
			"line 5: autoRollout.windows[0].start: is 22: put it in quotes, to be a string"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := config.Load([]byte(tt.text))
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
			if problems, ok := errors.AsType[config.Invalid](err); !ok || problems[0].Line == 0 {
				t.Errorf("%#v has no problems with lines", err)
			}
			if diff := cmp.Diff(config.Configuration{}, got); diff != "" {
				t.Errorf("returned something besides: %s", diff)
			}
		})
	}
}

func TestTheExampleIsUsed(t *testing.T) {
	c := load(t, readExample(t))
	if diff := cmp.Diff(inventory.Selection{
		IncludeNamespaces: []string{}, ExcludeNamespaces: []string{"kube-system"}, WithContainers: []string{},
	}, c.Selection.Inventory()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]verdict.PathPattern{
		{Part: "container/agent", Path: "env[NONCE]"}, {Part: "*", Path: "env[BUILD_ID].value"},
	}, c.PathPatterns()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(rollout.Options{
		Strategy: rollout.Evict,
		Select:   rollout.Filter{IncludeStatefulSet: true, OnlySidecars: []string{}, MaxRisk: change.Behaviour},
		Pace: rollout.Pace{Parallel: 1, Order: rollout.ByName, Canary: 2, Soak: 10 * time.Minute, MaxFailures: 1,
			MaxUnavailable: 1, MaxUnavailablePercent: 5, Timeout: 5 * time.Minute, MaxDuration: 2 * time.Hour},
		Mark: rollout.Mark{AnnotationPrefix: "sidecarRollout", FieldManager: "sidecar-drift"},
	}, c.RolloutOptions(), cmpopts.IgnoreFields(rollout.Options{}, "Log")); diff != "" {
		t.Error(diff)
	}
	var windows []string
	for _, w := range c.AutoRollout.Schedule() {
		windows = append(windows, w.String())
	}
	want := "Mon,Tue,Wed,Thu,Fri 22:00-05:00 Europe/Berlin; Sun 12:00-18:00 Europe/Berlin"
	if got := strings.Join(windows, "; "); got != want {
		t.Errorf("windows %s, want %s", got, want)
	}
	for _, tt := range []struct {
		namespace, kind string
		want            bool
	}{
		{"shop", "Deployment", true}, {"shop", "Rollout", true}, {"shop", "ReplicaSet", true}, {"payments", "StatefulSet", true},
		{"shop", "DaemonSet", false}, {"shop", "Job", false}, {"kube-system", "Deployment", false},
	} {
		if got := c.AutoRollout.Allows(tt.namespace, tt.kind); got != tt.want {
			t.Errorf("Allows(%s, %s) = %v, want %v", tt.namespace, tt.kind, got, tt.want)
		}
	}
	if c.AutoRollout.Enabled = false; c.AutoRollout.Allows("shop", "Deployment") {
		t.Error("what is not enabled is allowed")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(readExample(f))
	f.Add(head)
	f.Add(head + "a: &a [*a]\nselection: *a\n")
	f.Add(head + "watch: [{apiVersion: v1}, *x]\n--- [")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Load([]byte(text))
		if err == nil {
			if problems := c.Validate(); len(problems) > 0 {
				t.Errorf("loaded with problems: %v", problems)
			}
			return
		}
		problems, ok := errors.AsType[config.Invalid](err)
		if !ok || len(problems) == 0 {
			t.Fatalf("%v names no problems", err)
		}
		for _, p := range problems {
			if p.Line < 1 || p.Line > strings.Count(text, "\n")+strings.Count(text, "\r")+2 || p.Message == "" {
				t.Errorf("line %d of %q", p.Line, text)
			}
		}
	})
}
