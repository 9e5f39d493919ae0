package injection

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
)

// rewritten is a Pod as Istio's injector leaves it: what its creator submitted is owned, and
// what it rewrote is kept by the proxy and in an annotation.
const rewritten = `{
	"metadata": {
		"name": "web", "namespace": "shop",
		"annotations": {
			"prometheus.io/path": "/stats/prometheus", "prometheus.io/port": "15020", "prometheus.io/scrape": "true",
			"proxy.istio.io/overrides": "{\"containers\":[{\"name\":\"istio-proxy\",\"resources\":{\"requests\":{\"cpu\":\"300m\"}},\"volumeMounts\":[{\"name\":\"kube-api-access-abcde\",\"mountPath\":\"/var/run\"}],\"imagePullPolicy\":\"Always\"}]}"
		},
		"managedFields": [{"manager": "me", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {
			"f:metadata": {"f:annotations": {".": {}, "f:prometheus.io/port": {}}},
			"f:spec": {"f:containers": {
				"k:{\"name\":\"app\"}": {".": {}, "f:image": {}, "f:name": {},
					"f:livenessProbe": {".": {}, "f:tcpSocket": {".": {}, "f:port": {}}, "f:periodSeconds": {}},
					"f:readinessProbe": {".": {}, "f:httpGet": {".": {}, "f:path": {}, "f:port": {}}},
					"f:lifecycle": {".": {}, "f:preStop": {".": {}, "f:httpGet": {".": {}, "f:path": {}, "f:port": {}}}}},
				"k:{\"name\":\"istio-proxy\"}": {".": {}, "f:image": {}, "f:name": {}, "f:imagePullPolicy": {}}
			}}}}]
	},
	"spec": {"containers": [
		{"name": "istio-proxy", "image": "proxy:1", "imagePullPolicy": "IfNotPresent", "env": [
			{"name": "ISTIO_KUBE_APP_PROBERS", "value": "{\"/app-health/app/livez\":{\"tcpSocket\":{\"port\":8080}},\"/app-health/app/readyz\":{\"httpGet\":{\"path\":\"/ready\",\"port\":80}}}"},
			{"name": "ISTIO_PROMETHEUS_ANNOTATIONS", "value": "{\"scrape\":\"\",\"path\":\"\",\"port\":\"9090\"}"}]},
		{"name": "app", "image": "app:1",
			"livenessProbe": {"httpGet": {"path": "/app-health/app/livez", "port": 15020}, "periodSeconds": 7},
			"readinessProbe": {"httpGet": {"path": "/app-health/app/readyz", "port": 15020}},
			"lifecycle": {"preStop": {"httpGet": {"path": "/bye", "port": 80}}}}]}
}`

func TestWhatIstioRewroteIsRestored(t *testing.T) {
	raw, err := Reconstruct(parsed(t, rewritten), inventory.Owner{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": {"name": "web-fresh-0", "namespace": "shop", "annotations": {"prometheus.io/port": "9090"}},
		"spec": {"containers": [
			{"name": "istio-proxy", "image": "auto", "imagePullPolicy": "Always", "resources": {"requests": {"cpu": "300m"}}, "volumeMounts": []},
			{"name": "app", "image": "app:1",
				"livenessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 7},
				"readinessProbe": {"httpGet": {"path": "/ready", "port": 80}},
				"lifecycle": {"preStop": {"httpGet": {"path": "/bye", "port": 80}}}}]}
	}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reconstructed (-want +got):\n%s", diff)
	}
}

// A field that was submitted and is there no more is found, and no other.
func TestLost(t *testing.T) {
	for pod, want := range map[string]string{
		rewritten: `spec.containers[name="app"].livenessProbe.tcpSocket.port`,
		`{"metadata": {"managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {".": {}, "f:name": {}, "f:image": {},
			"f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}}]},
			"spec": {"containers": [{"name": "app", "image": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}`: "",
		`{"metadata": {"managedFields": [{"manager": "kubelet", "subresource": "status", "fieldsV1": {"f:spec": {"f:gone": {}}}}]}, "spec": {}}`: "",
		`{"metadata": {}, "spec": {}}`: "",
		`{"metadata": {"managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {"f:containers": {"k:{\"name\":\"gone\"}": {".": {}, "f:name": {}}}}}}]}, "spec": {"containers": []}}`: `spec.containers[name="gone"]`,
	} {
		if got := Lost(parsed(t, pod)); got != want && got != want+".name" {
			t.Errorf("lost is %q, want %q of\n%s", got, want, pod)
		}
	}
}

// Whoever creates a Pod writes what he likes where the injector keeps what it rewrote.
func FuzzRestore(f *testing.F) {
	for _, seed := range []string{`{"/app-health/app/livez":{"tcpSocket":{"port":1}}}`, `{"/app-health/app/livez":null}`, `[]`, `{"containers":[{"name":"app"}]}`, `{"containers":[1,{"name":2,"image":3,"volumeMounts":[null]}]}`, `{"port":"9090"}`} {
		f.Add(seed, seed, seed)
	}
	f.Fuzz(func(t *testing.T, probers, scrape, overrides string) {
		live, err := json.Marshal(tree{
			"metadata": tree{"name": "p", "annotations": tree{overrideRecord: overrides}, "managedFields": []any{tree{"manager": "m", "operation": "Update", "fieldsType": "FieldsV1",
				"fieldsV1": json.RawMessage(`{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:name":{},"f:livenessProbe":{".":{}, "f:tcpSocket":{}}}}}}`)}}},
			"spec": tree{"containers": []any{tree{
				"name": "app", "livenessProbe": tree{"httpGet": tree{"path": "/app-health/app/livez"}},
				"env": []any{tree{"name": proberRecord, "value": probers}, tree{"name": scrapeRecord, "value": scrape}},
			}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		pod, err := jsontree.Parse(live)
		if err != nil {
			t.Fatal(err)
		}
		first, err := Reconstruct(pod, inventory.Owner{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Reconstruct(pod, inventory.Owner{}, 0); err != nil || string(again) != string(first) {
			t.Errorf("once\n%s\nand then\n%s, %v", first, again, err)
		}
		if !json.Valid(first) {
			t.Errorf("no JSON: %s", first)
		}
	})
}
