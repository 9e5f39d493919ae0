package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/notify"
)

// keysOf lists the keys of a map of the configuration, and of those in it.
func keysOf(t reflect.Type, path string) []string {
	var keys []string
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Type.Kind() == reflect.Struct && field.Type != reflect.TypeFor[metav1.Duration]() {
			keys = append(keys, keysOf(field.Type, path+name+".")...)
			continue
		}
		keys = append(keys, path+name)
	}
	return keys
}

func TestEachKeyIsAFlag(t *testing.T) {
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	flags := newServeCommand("sidecar-drift", streams).Flags()
	var have []string
	for name, key := range settingKeys() {
		if flags.Lookup(name) == nil {
			t.Errorf("%s: there is no flag --%s", key, name)
		}
		have = append(have, key)
	}
	want := slices.DeleteFunc(keysOf(reflect.TypeFor[config.Configuration](), ""), func(key string) bool {
		return key == "apiVersion" || key == "kind"
	})
	slices.Sort(have)
	slices.Sort(want)
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("keys without a flag (-), flags without a key (+):\n%s", diff)
	}
}

func TestFlagsOverrideTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "configuration.yaml")
	text := `{apiVersion: sidecar-drift.io/v1alpha1, kind: Configuration, interval: 1m, concurrency: 3,
selection: {includeNamespaces: [a]}, ignorePaths: [{path: "pod:a", reason: known}],
autoRollout: {windows: [{start: "01:00", end: "02:00"}], canary: 2, soak: 1m, blockOnPrometheusQueries: [{url: "http://a", query: up}]}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	fromFile, err := config.Load([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   []string
		change func(*config.Configuration)
	}{
		{nil, func(*config.Configuration) {}},
		{[]string{"--interval=2m", "--include-namespace", "b,c", "--include-namespace=d"}, func(c *config.Configuration) {
			c.Interval.Duration = 2 * time.Minute
			c.Selection.IncludeNamespaces = []string{"b", "c", "d"}
		}},
		{[]string{"--watch=ConfigMap/ns/cm", "--watch", "Telemetry.v1.telemetry.istio.io/ns/t", "--ignore-path", "*:b", "--workload-metrics", "--policy-reports", "--gentle=false", "--compare-annotation=example.com/a,b",
			"--notify=name=a,kind=slack,urlEnv=URL,events=drift.found+rollout.failed,maxMessages=3,period=1m", "--notify", "name=b,kind=webhook,urlFile=/b,caFile=/c",
			"--autoscaler=annotation=example.com/sized", "--autoscaler", "resource=rightsizers.v1.example.com,unless=spec.mode=Off"}, func(c *config.Configuration) {
			c.Watch = []config.Object{{APIVersion: "v1", Kind: "ConfigMap", Namespace: "ns", Name: "cm"}, {APIVersion: "telemetry.istio.io/v1", Kind: "Telemetry", Namespace: "ns", Name: "t"}}
			c.IgnorePaths = []config.IgnoredPath{{Path: "*:b"}}
			c.CompareAnnotations = []string{"example.com/a", "b"}
			c.Autoscalers = []config.Autoscaler{{Annotation: "example.com/sized"}, {Resource: "rightsizers.v1.example.com", Unless: "spec.mode=Off"}}
			c.Notify = []config.Sink{
				{Name: "a", Kind: notify.ToSlack, URLEnv: "URL", Events: []notify.Event{notify.DriftFound, notify.RolloutFailed}, MaxMessages: 3, Period: metav1.Duration{Duration: time.Minute}},
				{Name: "b", Kind: notify.ToWebhook, URLFile: "/b", CAFile: "/c"},
			}
			c.WorkloadMetrics, c.PolicyReports, c.Gentle = true, true, false
		}},
		{[]string{"--auto-rollout", "--rollout-window=Mon,Tue 22:00-04:00 Europe/Berlin", "--rollout-window", "12:00-13:00", "--rollout-kind=DaemonSet", "--rollout-kind=StatefulSet"}, func(c *config.Configuration) {
			c.AutoRollout.Enabled = true
			c.AutoRollout.Windows = []config.Window{{Days: []config.Day{"Mon", "Tue"}, Start: "22:00", End: "04:00", TimeZone: "Europe/Berlin"}, {Start: "12:00", End: "13:00"}}
			c.AutoRollout.Kinds = []config.WorkloadKind{config.DaemonSet, config.StatefulSet}
		}},
		{[]string{"--prometheus-url=http://b", "--block-on-prometheus-query", `ALERTS{a="b",c="d"}`, "--canary=1", "--max-unavailable-percent=5%", "--strategy=evict", "--max-unavailable=2"}, func(c *config.Configuration) {
			c.AutoRollout.PrometheusURL = "http://b"
			c.AutoRollout.BlockOnPrometheusQueries = []config.PrometheusQuery{{Query: `ALERTS{a="b",c="d"}`}}
			c.AutoRollout.Canary, c.AutoRollout.MaxUnavailablePercent = 1, 5
			c.AutoRollout.Strategy, c.AutoRollout.MaxUnavailable = "evict", 2
		}},
	} {
		want := fromFile
		tt.change(&want)
		got, err := configured(t, append([]string{"--config", file}, tt.args...)...)
		if err != nil {
			t.Errorf("%q: %v", tt.args, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.args, diff)
		}
	}
}

// configured returns what "serve" would be run with.
func configured(t *testing.T, args ...string) (config.Configuration, error) {
	t.Helper()
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	o := newServeOptions(streams)
	cmd := o.command("sidecar-drift")
	if err := cmd.ParseFlags(args); err != nil {
		return config.Configuration{}, err
	}
	if err := o.Complete(cmd); err != nil {
		return config.Configuration{}, err
	}
	err := o.Validate()
	return o.service.Config, err
}

func TestInvalidSettings(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--interval=1s"}, "--interval: is 1s: give 5s or more"},
		{[]string{"--include-namespace="}, "--include-namespace is empty"},
		{[]string{"--exclude-namespace=A"}, `--exclude-namespace: is "A", which cannot be a namespace's name`},
		{[]string{"--max-unavailable-percent=101"}, "give a percentage, 1 to 100"},
		{[]string{"--max-unavailable=2"}, "--max-unavailable: needs the strategy evict or auto; a restart goes by the workload's own update strategy"},
		{[]string{"--watch=ConfigMap"}, "give KIND/NAMESPACE/NAME, as in ConfigMap/istio-system/istio-sidecar-injector"},
		{[]string{"--notify=name=a,kind=mail,urlEnv=URL"}, `--notify: is none that there is: choose from webhook, slack, shoutrrr`},
		{[]string{"--notify=name=a,kind=slack"}, "--notify: has 0 of urlFile, urlEnv and url: give one"},
		{[]string{"--autoscaler=web"}, "give annotation=KEY, or resource=RESOURCE.VERSION.GROUP"},
		{[]string{"--autoscaler=resource=rightsizers,unless=spec.mode=Off"}, `resource is "rightsizers": give RESOURCE.VERSION.GROUP`},
		{[]string{"--auto-rollout"}, "--rollout-window: is empty: say when a rollout may start"},
		{[]string{"--rollout-window=Mon"}, `give days, times and a time zone, as in "Mon,Tue 22:00-04:00 Europe/Berlin"`},
		{[]string{"--rollout-window=Monday 22:00-04:00 Berlin"}, `days[0]: "Monday" is no day`},
		{[]string{"--rollout-kind=Job"}, "choose Deployment, StatefulSet or DaemonSet"},
		{[]string{"--block-on-prometheus-query=up"}, "--prometheus-url: is empty, and a query has no address of its own"},
		{[]string{"--prometheus-url=p:9090"}, `--prometheus-url: is "p:9090"`},
		{[]string{"--config="}, "--config is empty"},
		{[]string{"--require-authorization", "--pprof-bind-address=:6060"}, "pprof on :6060 asks nobody for authorization"},
		{[]string{"--require-authorization", "--pprof-bind-address=10.0.0.1:6060"}, "bind it to 127.0.0.1"},
		{[]string{"--require-authorization", "--pprof-bind-address=6060"}, "bind it to 127.0.0.1"},
	} {
		if _, err := configured(t, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v; want %s", tt.args, err, tt.want)
		}
	}
}

func TestPprofIsOffOrWhereItIsPut(t *testing.T) {
	for _, args := range [][]string{
		{}, {"--pprof-bind-address=:6060"}, {"--require-authorization"},
		{"--require-authorization", "--pprof-bind-address=127.0.0.1:6060"},
		{"--require-authorization", "--pprof-bind-address=localhost:0"},
		{"--require-authorization", "--pprof-bind-address=[::1]:6060"},
	} {
		if _, err := configured(t, args...); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	if address := newServeOptions(streams).service.PprofBindAddress; address != "0" {
		t.Errorf("by default on %s", address)
	}
}
