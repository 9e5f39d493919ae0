package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/audit"
	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

// For a change, that workload is shown which has the least besides.
func TestDiffChoosesByChange(t *testing.T) {
	parse := func(text string) change.ID {
		id, err := change.ParseID(text)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	cpu, port := parse(idOf(t, newCPU, twoChanges()...)), parse(idOf(t, newPort, twoChanges()...))
	for name, test := range map[string]struct {
		ids  []change.ID
		want string
		said string
	}{
		"what three have":   {[]change.ID{cpu}, "api", "3 workloads differ so; of these, Deployment shop/api differs"},
		"what one has":      {[]change.ID{port}, "db", "1 workload differs so; of these, Deployment shop/db differs"},
		"both":              {[]change.ID{port, cpu}, "db", "1 workload differs so"},
		"what nobody has":   {[]change.ID{1}, "", ""},
		"one that none has": {[]change.ID{1, cpu}, "", ""},
	} {
		kubeconfig(t)
		streams, _, _, stderr := genericiooptions.NewTestIOStreams()
		o := &diffOptions{inspection: newInspection(streams), changes: test.ids, find: func(_ context.Context, _ *rest.Config, options audit.Options) (*report.Report, error) {
			if options.Selection.Namespace != "" {
				t.Errorf("%s: looked in %s alone", name, options.Selection.Namespace)
			}
			return report.New(report.DriftReport, time.Unix(0, 0), twoChanges(), 0), nil
		}}
		err := o.choose(t.Context())
		chosen := ""
		if len(o.selection.workloads) > 0 {
			chosen = o.selection.workloads[0].Name
		}
		if chosen != test.want || (err == nil) != (test.want != "") || !strings.Contains(stderr.String(), test.said) {
			t.Errorf("%s: %q, %v: %s", name, chosen, err, stderr)
		}
		if test.want != "" && *o.selection.namespace != "shop" {
			t.Errorf("%s: namespace %q", name, *o.selection.namespace)
		}
	}
}

func TestDiffTakesWorkloadsOrChanges(t *testing.T) {
	for args, want := range map[string]string{
		"":                               "name what to compare, as in deployment/web, or a change, by --change",
		"deploy/web --change 0123456789": "KIND/NAME and --change contradict each other",
		"--change 1":                     `"1" is no change's ID`,
	} {
		streams, _, _, _ := genericiooptions.NewTestIOStreams()
		cmd := newDiffCommand("sidecar-drift", streams)
		cmd.SetArgs(strings.Fields(args))
		if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("diff %s: %v, want %s", args, err, want)
		}
	}
}
