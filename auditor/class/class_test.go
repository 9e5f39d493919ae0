package class

import (
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/internal/jsontree"
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

func of(t *testing.T, pod string, change func(*Subject)) ID {
	t.Helper()
	root, err := jsontree.Parse([]byte(pod))
	if err != nil {
		t.Fatal(err)
	}
	s := Subject{
		Steps:           []string{"MutatingWebhook istio/rev"},
		NamespaceLabels: map[string]string{"team": "a", "istio.io/rev": "stable", "kubernetes.io/metadata.name": "shop"},
		Pod:             root,
		Names:           []string{"web", "web-5d4"},
	}
	change(&s)
	return Of(s)
}

func same(*Subject) {}

func TestWhatIsOfOneClass(t *testing.T) {
	want := of(t, pod, same)
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
		"another ConfigMap":         {`{"name": "web"}}]`, `{"name": "other"}}]`},
		"another service account":   {`"serviceAccountName": "web"`, `"serviceAccountName": "robot"`},
		"another owner of the kind": {`web-5d4`, `web-7f8`},
		"another order of fields":   {`"name": "web", "image": "web:1"`, `"image": "web:1", "name": "web"`},
	} {
		t.Run(name, func(t *testing.T) {
			if of(t, replaced(t, change.old, change.new), same) != want {
				t.Error("another class")
			}
		})
	}
	if got := of(t, strings.ReplaceAll(pod, "web", "api"), func(s *Subject) { s.Names = []string{"api", "api-5d4"} }); got != want {
		t.Error("the same workload by another name is of another class")
	}
	if got := of(t, pod, func(s *Subject) {
		s.NamespaceLabels["team"] = "b"
		s.NamespaceLabels["kubernetes.io/metadata.name"] = "x"
	}); got != want {
		t.Error("a namespace of another team is of another class")
	}
}

func TestWhatIsOfAnotherClass(t *testing.T) {
	not := of(t, pod, same)
	for name, change := range map[string]struct{ old, new string }{
		"an injector's label":        {`"sidecar.istio.io/inject": "true"`, `"sidecar.istio.io/inject": "false"`},
		"an injector's annotation":   {`"dapr.io/app-id"`, `"dapr.io/app-port": "80", "dapr.io/app-id"`},
		"another name in it":         {`"dapr.io/app-id": "web"`, `"dapr.io/app-id": "special"`},
		"another port":               {`"containerPort": 8080`, `"containerPort": 9090`},
		"another protocol":           {`TCP`, `UDP`},
		"another kind of volume":     {`"configMap": {"name": "web"}`, `"emptyDir": {}`},
		"one more volume":            {`"volumes": [`, `"volumes": [{"name": "x", "emptyDir": {}}, `},
		"another kind of probe":      {`"httpGet": {"path": "/live", "port": 8080}`, `"tcpSocket": {"port": 8080}`},
		"a probe's port":             {`"path": "/live", "port": 8080`, `"path": "/live", "port": 8081`},
		"no probe":                   {`"livenessProbe"`, `"readinessProbe"`},
		"another resource":           {`"cpu"`, `"memory"`},
		"limits":                     {`"requests"`, `"limits"`},
		"a container's name":         {`"name": "web", "image"`, `"name": "istio-proxy", "image"`},
		"an image for the injector":  {`web:1`, `auto`},
		"a security context":         {`"image"`, `"securityContext": {"privileged": true}, "image"`},
		"the host's network":         {`"serviceAccountName"`, `"hostNetwork": true, "serviceAccountName"`},
		"another kind of owner":      {`ReplicaSet`, `StatefulSet`},
		"another grace period":       {`30`, `60`},
		"no variables":               {`"env": [{"name": "A", "value": "1"}],`, ``},
		"containers that come first": {`"containers"`, `"initContainers": [{"name": "a", "image": "b"}], "containers"`},
	} {
		t.Run(name, func(t *testing.T) {
			if of(t, replaced(t, change.old, change.new), same) == not {
				t.Error("the same class")
			}
		})
	}
	for name, change := range map[string]func(*Subject){
		"another webhook":        func(s *Subject) { s.Steps = append(s.Steps, "MutatingWebhook b/b") },
		"the namespace's labels": func(s *Subject) { s.NamespaceLabels["istio.io/rev"] = "canary" },
	} {
		t.Run(name, func(t *testing.T) {
			if of(t, pod, change) == not {
				t.Error("the same class")
			}
		})
	}
}

func replaced(t *testing.T, before, after string) string {
	t.Helper()
	if !strings.Contains(pod, before) {
		t.Fatalf("the Pod holds no %s", before)
	}
	return strings.Replace(pod, before, after, 1)
}

// Values cannot be shifted from one field to the next.
func TestFieldsAreApart(t *testing.T) {
	a := of(t, pod, func(s *Subject) { s.Steps = []string{"ab", "c"} })
	b := of(t, pod, func(s *Subject) { s.Steps = []string{"a", "bc"} })
	if a == b || a.Moved(1) == a.Moved(2) || a.Moved(1) == a {
		t.Error("two classes are one")
	}
}

func BenchmarkOf(b *testing.B) {
	root, err := jsontree.Parse([]byte(pod))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		Of(Subject{Pod: root, Names: []string{"web", "web-5d4"}})
	}
}
