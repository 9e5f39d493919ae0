package cli

import (
	"strings"
	"testing"
)

func TestParseWave(t *testing.T) {
	for text, want := range map[string]string{
		"staging; namespaceSelector=env=staging; soak=24h; maxDriftPercent=5%; maxUnavailablePercent=1; maxRisk=version": "",
		"prod; namespaceSelector=env in (prod,live); selector=tier!=canary;":                                             "",
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
