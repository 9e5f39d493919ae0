package dashboard

import (
	"bytes"
	"fmt"
	"strings"
)

const ruleHeader = `# Generated from rules.yaml (go generate ./internal/dashboard). Do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: sidecar-drift
  namespace: sidecar-drift
  labels:
    app.kubernetes.io/component: alerts
spec:
`

// PrometheusRule returns the object that holds the groups of a rules file, whose
// comments before the groups it leaves out.
func PrometheusRule(rules []byte) ([]byte, error) {
	start := bytes.Index(rules, []byte("\ngroups:\n"))
	if start < 0 {
		return nil, fmt.Errorf("the rules file has no line %q", "groups:")
	}
	var b strings.Builder
	b.WriteString(ruleHeader)
	for line := range strings.Lines(string(rules[start+1:])) {
		if line != "\n" {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return []byte(b.String()), nil
}
