package cli

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// What the daemon keeps is read, and nothing that somebody else put there is believed.
func TestProgressIn(t *testing.T) {
	zipped := func(text string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for name, test := range map[string]struct {
		data    map[string][]byte
		changes int
		problem string
	}{
		"nothing is on its way":   {map[string][]byte{report.ProgressKey: zipped("[]")}, 0, ""},
		"one change":              {map[string][]byte{report.ProgressKey: zipped(`[{"places":["container/proxy:image"],"waves":[{"name":"dev","phase":"RollingOut"}]}]`)}, 1, ""},
		"an auditor without any":  {nil, 0, ""},
		"not compressed":          {map[string][]byte{report.ProgressKey: []byte("[]")}, 0, "holds no waves that can be read"},
		"no JSON":                 {map[string][]byte{report.ProgressKey: zipped("{")}, 0, "holds no waves that can be read"},
		"more than can be kept":   {map[string][]byte{report.ProgressKey: zipped("[" + strings.Repeat(" ", mostProgress) + "]")}, 0, "holds no waves that can be read"},
		"an auditor that is away": {nil, 0, "give --installation-namespace"},
	} {
		kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ops", Name: "sidecar-drift-auditor"}, BinaryData: test.data}
		client := fake.NewClientset(kept)
		if name == "an auditor that is away" {
			client = fake.NewClientset()
		}
		changes, err := progressIn(t.Context(), client, "ops")
		switch {
		case test.problem == "" && (err != nil || len(changes) != test.changes):
			t.Errorf("%s: %d changes, %v", name, len(changes), err)
		case test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)):
			t.Errorf("%s: %v, want %q", name, err, test.problem)
		}
	}
}

func TestParseWave(t *testing.T) {
	for text, want := range map[string]string{
		"staging; namespaceSelector=env=staging; soak=24h; maxDriftPercent=5%; maxUnavailablePercent=1": "",
		"prod; namespaceSelector=env in (prod,live); selector=tier!=canary;":                            "",
		"prod":                    "",
		"prod; env=prod":          "give NAME; KEY=VALUE; …",
		"prod; soak":              "give NAME; KEY=VALUE; …",
		"prod; soak=long":         "soak is \"long\"",
		"prod; maxDriftPercent=x": "maxDriftPercent is \"x\"",
	} {
		w, err := parseWave(text)
		switch {
		case want == "" && (err != nil || w.Name != strings.SplitN(text, ";", 2)[0]):
			t.Errorf("%q: %+v, %v", text, w, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if w, err := parseWave("staging; namespaceSelector=env=staging; soak=24h; maxDriftPercent=5%"); err != nil || w.NamespaceSelector != "env=staging" || w.Soak.Hours() != 24 || w.MaxDriftPercent != 5 {
		t.Errorf("%+v, %v", w, err)
	}
}
