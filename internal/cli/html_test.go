package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func TestAuditWritesAPage(t *testing.T) {
	kubeconfig(t)
	const secret = "swordfish-7"
	token := verdict.Change{Part: "container/agent", Path: "env[API_TOKEN].value", From: json.RawMessage(`"` + secret + `"`), To: json.RawMessage(`"b"`)}
	var asked audit.Options
	got := runAudit(t, foundBy(&asked,
		workload("Deployment", "web", verdict.Drifted, newImage, token),
		workload("Pod", "debug", verdict.NotInjected),
	), "-o", "html", "--exit-code")
	if got.errOut != "" || got.code != 1 {
		t.Errorf("stderr %q, exit code %d, want none and 1", got.errOut, got.code)
	}
	for _, want := range []string{"<!DOCTYPE html>\n", `"name":"web"`, `"name":"debug"`, "istio/proxyv2:1.28.0", "***", "</html>\n"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	if strings.Contains(got.out, secret) {
		t.Error("a value that looks like a secret stands in the page")
	}
}
