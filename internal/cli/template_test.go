package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"
)

// Pods that real injectors made were stored without managedFields: their workload tells
// what is a sidecar, as the names of the sidecars do.
func TestCompareRealInjectorsByTemplate(t *testing.T) {
	sidecars := []string{"linkerd-proxy", "linkerd-init", "linkerd-debug", "daprd", "istio-proxy", "istio-init"}
	folders, err := filepath.Glob("../../auditor/verdict/testdata/real/*")
	if err != nil || len(folders) == 0 {
		t.Fatal("no recorded Pods: ", err)
	}
	for _, folder := range folders {
		fresh, err := os.ReadFile(filepath.Join(folder, "fresh.json"))
		if err != nil {
			t.Fatal(err)
		}
		var pod struct {
			Spec struct {
				Containers []struct {
					Name string `json:"name"`
				} `json:"containers"`
			} `json:"spec"`
		}
		if err := json.Unmarshal(fresh, &pod); err != nil {
			t.Fatal(err)
		}
		var declared strings.Builder
		for _, c := range pod.Spec.Containers {
			if !slices.Contains(sidecars, c.Name) {
				fmt.Fprintf(&declared, "      - {name: %s, image: any}\n", c.Name)
			}
		}
		template := filepath.Join(t.TempDir(), "web.yaml")
		text := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers:\n" + declared.String()
		if err := os.WriteFile(template, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		files := []string{"sidecar-drift", "compare", filepath.Join(folder, "live.json"), filepath.Join(folder, "fresh.json"), "-o", "json"}
		by := func(flags ...string) string {
			streams, _, out, errOut := genericiooptions.NewTestIOStreams()
			if code := Main(slices.Concat(files, flags), streams); code != 1 {
				t.Errorf("%s %v: exit code %d: %s", folder, flags, code, errOut)
			}
			return out.String()
		}
		if diff := cmp.Diff(by("--sidecar-container-name", strings.Join(sidecars, ",")), by("--template", template)); diff != "" {
			t.Errorf("%s (-by name +by template):\n%s", folder, diff)
		}
	}
}

// TestShaped: what a controller adds to its Pods is not injected either.
func TestShaped(t *testing.T) {
	const template = `{metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: "app:1"}]}}`
	for name, test := range map[string]struct {
		object string
		has    string // in the Pod; or
		refuse string // in the error
	}{
		"a Deployment":          {object: "{apiVersion: apps/v1, kind: Deployment, spec: {template: " + template + "}}", has: `"pod-template-hash"`},
		"an Argo Rollout":       {object: "{apiVersion: argoproj.io/v1alpha1, kind: Rollout, spec: {template: " + template + "}}", has: `"rollouts-pod-template-hash"`},
		"a ReplicaSet":          {object: "{apiVersion: apps/v1, kind: ReplicaSet, spec: {template: " + template + "}}", has: `"name":"app"`},
		"a DaemonSet":           {object: "{apiVersion: apps/v1, kind: DaemonSet, spec: {template: " + template + "}}", has: `"controller-revision-hash"`},
		"a StatefulSet's claim": {object: "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db}, spec: {volumeClaimTemplates: [{metadata: {name: data}}], template: " + template + "}}", has: `"claimName":"data-db-0"`},
		"an Indexed Job":        {object: "{apiVersion: batch/v1, kind: Job, spec: {completionMode: Indexed, template: " + template + "}}", has: `"JOB_COMPLETION_INDEX"`},
		"a CronJob":             {object: "{apiVersion: batch/v1, kind: CronJob, spec: {jobTemplate: {spec: {completionMode: Indexed, template: " + template + "}}}}", has: `"JOB_COMPLETION_INDEX"`},
		"a PodTemplate":         {object: "{apiVersion: v1, kind: PodTemplate, template: " + template + "}", has: `"name":"app"`},
		"a bare template":       {object: template, has: `"name":"app"`},
		"a Pod":                 {object: "{apiVersion: v1, kind: Pod, spec: {containers: [{name: app}]}}", refuse: "v1 Pod is no workload whose Pod template is known"},
		"another's Deployment":  {object: "{apiVersion: example.com/v1, kind: Deployment, spec: {template: " + template + "}}", refuse: "example.com/v1 Deployment is no workload"},
		"no containers":         {object: "{apiVersion: apps/v1, kind: Deployment, spec: {template: {}}}", refuse: "holds no Pod template with containers"},
		"something else":        {object: "{a: b}", refuse: "holds no Pod template with containers"},
		"a scalar":              {object: "1", refuse: "holds something else than an object"},
		"malformed labels":      {object: "{apiVersion: apps/v1, kind: Deployment, spec: {template: {metadata: {labels: 1}, spec: {containers: [{}]}}}}", refuse: "metadata.labels"},
	} {
		document, err := yaml.YAMLToJSON([]byte(test.object))
		if err != nil {
			t.Fatal(err)
		}
		switch pod, err := shaped(document); {
		case test.refuse == "" && (err != nil || !strings.Contains(string(pod.Raw()), test.has)):
			t.Errorf("%s: %s, %v; want %s in it", name, pod.Raw(), err, test.has)
		case test.refuse != "" && (err == nil || !strings.Contains(err.Error(), test.refuse)):
			t.Errorf("%s: error %v, want %s", name, err, test.refuse)
		}
	}
}
