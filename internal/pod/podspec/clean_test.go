package podspec_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sidecar-drift/sidecar-drift/internal/pod/jsontree"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec"
	"github.com/sidecar-drift/sidecar-drift/internal/pod/podspec/podtest"
)

func clean(t *testing.T, pod []byte) []byte {
	t.Helper()
	root, err := jsontree.Parse(pod)
	if err != nil {
		t.Fatal(err)
	}
	return podspec.NewView(root).AppendClean(nil)
}

func TestAppendClean(t *testing.T) {
	got := clean(t, []byte(`{"metadata":{"name":"web-0"},"spec":{
		"nodeName":"n1","dnsPolicy":"ClusterFirst","hostname":"web-0","securityContext":{},
		"volumes":[{"name":"kube-api-access-x1"},{"name":"z","emptyDir":{}},{"name":"a","secret":{"secretName":"web-0-cert","defaultMode":420}}],
		"containers":[{"name":"b","image":"b:1","imagePullPolicy":"IfNotPresent","terminationMessagePath":"/dev/termination-log",
			"env":[{"name":"Z","value":"host web-0"},{"name":"F","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}}],
			"volumeMounts":[{"name":"kube-api-access-x1","mountPath":"/t"}],"ports":[{"containerPort":80,"protocol":"TCP"}]},
			{"name":"a"}]}}`))
	want := `{"volumes":[{"name":"z","emptyDir":{}},{"name":"a","secret":{"secretName":"<pod>-cert"}}],` +
		`"containers":[{"name":"b","image":"b:1","env":[{"name":"Z","value":"host <pod>"},` +
		`{"name":"F","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],"ports":[{"containerPort":80}]},{"name":"a"}]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What a verdict calls equal looks the same: the two real Pods differ in what
// changed alone: image and CPU request of istio-proxy and istio-init.
func TestAppendCleanOfRealPods(t *testing.T) {
	live, fresh := strings.Split(indented(t, clean(t, podtest.Live)), "\n"), strings.Split(indented(t, clean(t, podtest.Fresh)), "\n")
	if len(live) != len(fresh) {
		t.Fatalf("%d and %d lines", len(live), len(fresh))
	}
	var differ []string
	for i := range live {
		if live[i] != fresh[i] {
			differ = append(differ, strings.TrimSpace(live[i]))
		}
	}
	want := []string{
		`"image": "docker.io/istio/proxyv2:1.27.0",`, `"cpu": "100m",`,
		`"image": "docker.io/istio/proxyv2:1.27.0",`, `"cpu": "100m",`,
	}
	if diff := cmp.Diff(want, differ); diff != "" {
		t.Errorf("lines that differ (-want +got):\n%s", diff)
	}
}

func indented(t *testing.T, document []byte) string {
	t.Helper()
	var value any
	if err := json.Unmarshal(document, &value); err != nil {
		t.Fatalf("%v: %s", err, document)
	}
	text, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
