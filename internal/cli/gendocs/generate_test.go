package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
)

const (
	docs     = "../../../docs"
	reports  = "../../../auditor/report/testdata"
	examined = "../../doctor/testdata"
)

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	files, err := generate(docs)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(docs, name))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is not up to date; run make generate (-want +got):\n%s", name, diff)
		}
	}
}

// validate checks JSON or YAML against a schema of the documentation.
func validate(t *testing.T, schema string, text []byte) error {
	t.Helper()
	compiled, err := jsonschema.NewCompiler().Compile(filepath.Join(docs, "schema", schema+".schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	inJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(inJSON))
	if err != nil {
		t.Fatal(err)
	}
	return compiled.Validate(value)
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestReportsAreAsTheirSchemasSay(t *testing.T) {
	audit, rollout := read(t, reports, "audit.report.json"), read(t, reports, "rollout.report.json")
	for _, tt := range []struct {
		name, schema string
		text         []byte
		valid        bool
	}{
		{"an audit", "driftreport", audit, true},
		{"an empty audit", "driftreport", read(t, reports, "empty.report.json"), true},
		{"an audit as YAML", "driftreport", read(t, reports, "audit.report.yaml"), true},
		{"a rollout", "rolloutreport", rollout, true},
		{"an examination", "doctorreport", read(t, examined, "report.json"), true},
		{"an empty examination", "doctorreport", read(t, examined, "empty.json"), true},
		{"a state of the future", "driftreport", bytes.ReplaceAll(audit, []byte(`"Blocked"`), []byte(`"Cursed"`)), true},
		{"a field of the future", "driftreport", bytes.Replace(audit, []byte(`"items"`), []byte(`"more": 1, "items"`), 1), true},

		{"a rollout for an audit", "driftreport", rollout, false},
		{"an audit for a rollout", "rolloutreport", audit, false},
		{"an item without its state", "driftreport", bytes.ReplaceAll(audit, []byte(`"state"`), []byte(`"mood"`)), false},
		{"a number for a name", "driftreport", bytes.ReplaceAll(audit, []byte(`"name": "web"`), []byte(`"name": 1`)), false},
		{"no items", "driftreport", bytes.ReplaceAll(audit, []byte(`"items"`), []byte(`"things"`)), false},
		{"an audit for an examination", "doctorreport", audit, false},
		{"null for the findings", "doctorreport", []byte(strings.Replace(string(read(t, examined, "empty.json")), "[]", "null", 1)), false},
		{"null for a list", "driftreport", []byte(strings.Replace(string(read(t, reports, "empty.report.json")), "[]", "null", 1)), false},
	} {
		if err := validate(t, tt.schema, tt.text); (err == nil) != tt.valid {
			t.Errorf("%s: valid %v, want %v: %v", tt.name, err == nil, tt.valid, err)
		}
	}
}

// TestTheSchemaAndTheProgramAgree holds for what a schema can say at all.
func TestTheSchemaAndTheProgramAgree(t *testing.T) {
	const head = "apiVersion: sidecar-drift.io/v1alpha1\nkind: Configuration\n"
	for _, tt := range []struct {
		text  string
		valid bool
	}{
		{string(read(t, docs, "examples", "configuration.yaml")), true},
		{head, true},
		{head + "interval: 1h30m\nselection: {includeNamespaces: []}\nautoRollout: {canary: 0, maxUnavailablePercent: 100}\n", true},
		{head + "autoRollout: {windows: [{start: \"00:00\", end: \"24:00\", days: [Mon]}], kinds: [DaemonSet], orderBy: age}\n", true},
		{"kind: Configuration\n", false},
		{"apiVersion: sidecar-drift.io/v1\nkind: Configuration\n", false},
		{"apiVersion: sidecar-drift.io/v1alpha1\nkind: ConfigMap\n", false},
		{head + "surprise: 1\n", false},
		{head + "autoRollout: {windows: [{start: \"22:00\", end: \"23:00\", zone: UTC}]}\n", false},
		{head + "interval: 600\n", false},
		{head + "interval: 10 minutes\n", false},
		{head + "interval: 1d\n", false},
		{head + "concurrency: 0\n", false},
		{head + "concurrency: \"8\"\n", false},
		{head + "includeAutoscaled: null\n", false},
		{head + "watch: [{kind: ConfigMap, apiVersion: v1}]\n", false},
		{head + "ignorePaths: [{reason: none}]\n", false},
		{head + "autoRollout: {strategy: delete}\n", false},
		{head + "autoRollout: {orderBy: size}\n", false},
		{head + "autoRollout: {kinds: [Job]}\n", false},
		{head + "autoRollout: {canary: -1}\n", false},
		{head + "autoRollout: {maxUnavailablePercent: 101}\n", false},
		{head + "autoRollout: {soak: -1m}\n", false},
		{head + "autoRollout: {windows: [{start: \"22:00\"}]}\n", false},
		{head + "autoRollout: {windows: [{start: \"9:00\", end: \"10:00\"}]}\n", false},
		{head + "autoRollout: {windows: [{start: \"09:00\", end: \"10:00\", days: [monday]}]}\n", false},
	} {
		if err := validate(t, "configuration", []byte(tt.text)); (err == nil) != tt.valid {
			t.Errorf("%s: the schema says %v, want valid: %v", tt.text, err, tt.valid)
		}
		if _, err := config.Load([]byte(tt.text)); (err == nil) != tt.valid {
			t.Errorf("%s: the program says %v, want valid: %v", tt.text, err, tt.valid)
		}
	}
}

func TestTheExampleNamesEveryKey(t *testing.T) {
	var example map[string]any
	if err := yaml.Unmarshal(read(t, docs, "examples", "configuration.yaml"), &example); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(keyTable(reflect.ValueOf(config.Default()), comments{})) {
		row, ok := strings.CutPrefix(line, "| `")
		if key, _, _ := strings.Cut(row, "`"); ok && !has(example, strings.Split(key, ".")) {
			t.Errorf("%s is not in the example", key)
		}
	}
}

// has reports whether the path leads to a key; NAME[] is any item of a list.
func has(object any, path []string) bool {
	if len(path) == 0 {
		return true
	}
	name, list := strings.CutSuffix(path[0], "[]")
	fields, _ := object.(map[string]any)
	value, ok := fields[name]
	if !list {
		return ok && has(value, path[1:])
	}
	items, _ := value.([]any)
	return slices.ContainsFunc(items, func(item any) bool { return has(item, path[1:]) })
}
