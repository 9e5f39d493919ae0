package cli

import (
	"strings"
	"testing"
)

func TestAuditGroups(t *testing.T) {
	for by, want := range map[string][]string{
		"change":    {"#1  p cpu 1 → 2 ", "\n    shop: Deployment api, db, web\n", "#2  p ports[80] added", "\n    shop: Deployment db\n"},
		"namespace": {"NAMESPACE  WORKLOADS  PODS  DRIFT   STATES               CHANGES", "shop       4          4     75.0 %  3 Drifted, 1 InSync  #1 and 1 of their own"},
		"workload":  {"NAMESPACE  KIND        NAME", "db    Drifted  1     #1; p: ports[80] added"},
	} {
		out, err := runAuditOf(t, twoChanges(), "--group-by", by)
		if err != nil {
			t.Fatalf("--group-by %s: %v", by, err)
		}
		for _, text := range want {
			if !strings.Contains(out, text) {
				t.Errorf("--group-by %s: no %q in\n%s", by, text, out)
			}
		}
	}
}

// What is given is checked before any cluster is asked.
func TestViewsAreChecked(t *testing.T) {
	for args, want := range map[string]string{
		"--group-by team":                 "choose change, namespace, workload or label=KEY",
		"--group-by label=a/b/c":          `"a/b/c" is no label's key`,
		"--group-by label=":               `"" is no label's key`,
		"--group-by change -o json":       "--group-by change is about tables: leave --output json out",
		"--group-by namespace --diff":     "--group-by namespace and --diff contradict each other",
		"--group-by namespace -L team":    "--group-by namespace and --label-columns (-L) contradict each other",
		"--label-columns team,-x":         `--label-columns "-x": `,
		"--group-by workload -L team/a/b": `--label-columns "team/a/b": `,
	} {
		if _, err := runAuditOf(t, nil, strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("audit %s: %v, want %s", args, err, want)
		}
	}
}
