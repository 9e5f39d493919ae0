package cover

import (
	"slices"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

const pod = `{
  "metadata": {
    "labels": {"app": "web", "sidecar.istio.io/inject": "true", "app.kubernetes.io/version": "1.2"},
    "annotations": {"dapr.io/app-id": "web", "checksum/config": "123", "kubectl.kubernetes.io/restartedAt": "now"},
    "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5d4"}]
  },
  "spec": {
    "serviceAccountName": "web",
    "terminationGracePeriodSeconds": 30,
    "volumes": [{"name": "config", "configMap": {"name": "web"}}],
    "containers": [{
      "name": "web", "image": "web:1", "env": [{"name": "A", "value": "1"}],
      "ports": [{"containerPort": 8080, "protocol": "TCP"}],
      "resources": {"requests": {"cpu": "100m"}},
      "livenessProbe": {"httpGet": {"path": "/live", "port": 8080}}
    }]
  }
}`

const answer = `{"spec": {
    "serviceAccountName": "web",
    "volumes": [{"name": "config", "configMap": {"name": "web"}}, {"name": "kube-api-access-x1y2z", "projected": {}}],
    "containers": [
      {"name": "web", "image": "web:1", "ports": [{"containerPort": 8080, "protocol": "TCP"}]},
      {"name": "proxy", "image": "proxy:1", "args": ["--workload", "web"], "env": [{"name": "PORTS", "value": "8080,15021"}],
       "volumeMounts": [{"name": "kube-api-access-x1y2z", "mountPath": "/var/run/secrets"}]}]
  }}`

func features(t *testing.T, pod, answer string, change func(*Subject)) []Feature {
	t.Helper()
	parse := func(text string) jsontree.Node {
		node, err := jsontree.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return node
	}
	s := Subject{
		Steps:                []string{"MutatingWebhook istio/rev"},
		NamespaceLabels:      map[string]string{"team": "a", "istio.io/rev": "stable", "kubernetes.io/metadata.name": "shop"},
		NamespaceAnnotations: map[string]string{"linkerd.io/inject": "enabled", "note": "x"},
		Kind:                 "Deployment",
		Pod:                  parse(pod), Answer: parse(answer),
		Names: []string{"web", "web-5d4", "shop"},
	}
	change(&s)
	return FeaturesOf(s)
}

func same(*Subject) {}

func TestWhatIsTheWorkloadsOwn(t *testing.T) {
	want := features(t, pod, answer, same)
	for name, change := range map[string]struct{ old, new string }{
		"another label":             {`"app": "web"`, `"app": "api", "tier": "back"`},
		"another version":           {`"1.2"`, `"1.3"`},
		"another checksum":          {`"123"`, `"124"`},
		"another restart":           {`"now"`, `"later"`},
		"another image":             {`web:1`, `web:2`},
		"another variable":          {`{"name": "A", "value": "1"}`, `{"name": "B"}, {"name": "C"}`},
		"another quantity":          {`100m`, `200m`},
		"another path":              {`/live`, `/healthz`},
		"another volume's name":     {`"name": "config"`, `"name": "settings"`},
		"another ConfigMap":         {`"configMap": {"name": "web"}`, `"configMap": {"name": "other"}`},
		"another owner of the kind": {`web-5d4`, `web-7f8`},
		"another order of fields":   {`"name": "web", "image": "web:1"`, `"image": "web:1", "name": "web"`},
	} {
		t.Run(name, func(t *testing.T) {
			// What is the application's own comes back as it was submitted.
			old, back := replaced(t, pod, change.old, change.new), answer
			if strings.Contains(answer, change.old) {
				back = replaced(t, answer, change.old, change.new)
			}
			if !slices.Equal(features(t, old, back, same), want) {
				t.Error("other features")
			}
		})
	}
	t.Run("another port, wherever it is", func(t *testing.T) {
		ported := func(s string) string { return strings.ReplaceAll(s, "8080", "9090") }
		if !slices.Equal(features(t, ported(pod), ported(answer), same), want) {
			t.Error("other features")
		}
	})
	t.Run("the same workload by another name", func(t *testing.T) {
		named := func(s string) string { return strings.ReplaceAll(s, "web", "api") }
		if !slices.Equal(features(t, named(pod), named(answer), func(s *Subject) { s.Names = []string{"api", "api-5d4"} }), want) {
			t.Error("other features")
		}
	})
	t.Run("a token of another name", func(t *testing.T) {
		if !slices.Equal(features(t, pod, strings.ReplaceAll(answer, "x1y2z", "a1b2c"), same), want) {
			t.Error("other features")
		}
	})
	t.Run("what is no injector's in the namespace", func(t *testing.T) {
		if !slices.Equal(features(t, pod, answer, func(s *Subject) { s.NamespaceLabels["team"], s.NamespaceAnnotations["note"] = "b", "y" }), want) {
			t.Error("other features")
		}
	})
}

func TestWhatMakesAFeature(t *testing.T) {
	not := features(t, pod, answer, same)
	for name, change := range map[string]struct{ old, new string }{
		"an injector's label":        {`"sidecar.istio.io/inject": "true"`, `"sidecar.istio.io/inject": "false"`},
		"an injector's annotation":   {`"dapr.io/app-id"`, `"dapr.io/app-port": "80", "dapr.io/app-id"`},
		"another name in it":         {`"dapr.io/app-id": "web"`, `"dapr.io/app-id": "special"`},
		"one more port":              {`"ports": [`, `"ports": [{"containerPort": 1},`},
		"another protocol":           {`TCP`, `UDP`},
		"another kind of volume":     {`"configMap": {"name": "web"}`, `"emptyDir": {}`},
		"another kind of probe":      {`"httpGet": {"path": "/live", "port": 8080}`, `"tcpSocket": {"port": 8080}`},
		"another probe":              {`"livenessProbe"`, `"readinessProbe"`},
		"another resource":           {`"cpu"`, `"memory"`},
		"limits":                     {`"requests"`, `"limits"`},
		"a container's name":         {`"name": "web", "image"`, `"name": "istio-proxy", "image"`},
		"an image for the injector":  {`web:1`, `auto`},
		"a security context":         {`"image"`, `"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}, "image"`},
		"the host's network":         {`"serviceAccountName"`, `"hostNetwork": true, "serviceAccountName"`},
		"another kind of owner":      {`ReplicaSet`, `StatefulSet`},
		"no account":                 {`"serviceAccountName": "web",`, ``},
		"no variables":               {`"env": [{"name": "A", "value": "1"}],`, ``},
		"containers that come first": {`"containers"`, `"initContainers": [{"name": "a", "image": "b"}], "containers"`},
	} {
		t.Run(name, func(t *testing.T) {
			if slices.Equal(features(t, replaced(t, pod, change.old, change.new), answer, same), not) {
				t.Error("the same features")
			}
		})
	}
	for name, change := range map[string]struct{ old, new string }{
		"another image of the proxy": {`proxy:1`, `proxy:2`},
		"another port of the proxy":  {`15021`, `15022`},
		"another argument":           {`"--workload"`, `"--service"`},
		"one more volume":            {`"volumes": [`, `"volumes": [{"name": "socket", "emptyDir": {}}, `},
	} {
		t.Run(name, func(t *testing.T) {
			if slices.Equal(features(t, pod, replaced(t, answer, change.old, change.new), same), not) {
				t.Error("the same features")
			}
		})
	}
	for name, change := range map[string]func(*Subject){
		"another webhook":             func(s *Subject) { s.Steps = append(s.Steps, "MutatingWebhook b/b") },
		"the namespace's labels":      func(s *Subject) { s.NamespaceLabels["istio.io/rev"] = "canary" },
		"the namespace's annotations": func(s *Subject) { s.NamespaceAnnotations["linkerd.io/inject"] = "disabled" },
		"another kind of workload":    func(s *Subject) { s.Kind = "Rollout" },
		"a refusal":                   func(s *Subject) { s.Answer = jsontree.Node{} },
	} {
		t.Run(name, func(t *testing.T) {
			if slices.Equal(features(t, pod, answer, change), not) {
				t.Error("the same features")
			}
		})
	}
}

func replaced(t *testing.T, text, before, after string) string {
	t.Helper()
	if !strings.Contains(text, before) {
		t.Fatalf("the Pod holds no %s", before)
	}
	return strings.Replace(text, before, after, 1)
}

func FuzzFeaturesOf(f *testing.F) {
	f.Add([]byte(pod), []byte(answer))
	f.Fuzz(func(t *testing.T, submitted, answer []byte) {
		one, err := jsontree.Parse(submitted)
		if err != nil {
			return
		}
		two, err := jsontree.Parse(answer)
		if err != nil {
			return
		}
		s := Subject{Pod: one, Answer: two, Names: []string{"web"}}
		found := FeaturesOf(s)
		if !slices.IsSortedFunc(found, compareFeatures) || !slices.Equal(found, FeaturesOf(s)) {
			t.Error("features are not sorted, or others the second time")
		}
	})
}

func BenchmarkFeaturesOf(b *testing.B) {
	one, err := jsontree.Parse([]byte(pod))
	if err != nil {
		b.Fatal(err)
	}
	two, err := jsontree.Parse([]byte(answer))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		FeaturesOf(Subject{Pod: one, Answer: two, Names: []string{"web", "web-5d4"}})
	}
}
