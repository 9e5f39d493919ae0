package rollout

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

func TestParseWaveBy(t *testing.T) {
	for text, want := range map[string]string{
		"env=staging":                       "env=staging",
		"env=staging,env=production":        "env=staging,env=production",
		"ring=0,1,2":                        "ring=0,ring=1,ring=2",
		" ring = 0 , 1 ":                    "ring=0,ring=1",
		"env=dev,example.com/tier=canary,b": "env=dev,example.com/tier=canary,example.com/tier=b",
		"":                                  "error: \"\" is no label and value: give LABEL=VALUE,…, as env=staging,env=production or ring=0,1,2",
		"staging":                           `error: "staging" is no label and value`,
		"=staging":                          `error: "=staging" is no label and value`,
		"env=":                              `error: "env=" is no label and value`,
		"env=a,,b":                          `error: "" is no label and value`,
		"env=a,":                            `error: "" is no label and value`,
		"env==a":                            `error: "=a" cannot be a label's value`,
		"env in (a":                         `error: "env in (a" is no label and value`,
		"e n v=a":                           `error: "e n v" cannot be a label's name`,
		"env=" + strings.Repeat("x", 64):    "error: ",
		"env=a,b,env=a":                     "error: env=a is given twice",
	} {
		by, err := ParseWaveBy(text)
		switch {
		case err != nil && !strings.HasPrefix("error: "+err.Error(), want):
			t.Errorf("%q: %v, want %s", text, err, want)
		case err != nil && strings.HasPrefix(want, "error: "):
		case by.String() != want:
			t.Errorf("%q: %s, want %s", text, by, want)
		default:
			if again, err := ParseWaveBy(by.String()); err != nil || again.String() != want {
				t.Errorf("%q is read as %s again (%v)", want, again, err)
			}
		}
	}
}

// A tenant's own label counts only where the namespace says nothing.
func TestWaveOf(t *testing.T) {
	by, err := ParseWaveBy("env=staging,production,ring=0")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		namespace, template labels.Set
		want                string
	}{
		"nothing":                   {nil, nil, "the rest"},
		"the namespace's":           {labels.Set{"env": "production"}, nil, "env=production"},
		"the template's":            {nil, labels.Set{"env": "staging"}, "env=staging"},
		"the namespace's goes on":   {labels.Set{"env": "production"}, labels.Set{"env": "staging"}, "env=production"},
		"whatever its value":        {labels.Set{"env": "x"}, labels.Set{"env": "staging"}, "the rest"},
		"another key":               {labels.Set{"env": "x", "ring": "0"}, nil, "ring=0"},
		"another key's template":    {labels.Set{"env": "x"}, labels.Set{"ring": "0"}, "ring=0"},
		"the first of several":      {labels.Set{"env": "production", "ring": "0"}, nil, "env=production"},
		"one of no wave":            {labels.Set{"env": "x"}, labels.Set{"env": "y"}, "the rest"},
		"an empty value is a value": {labels.Set{"env": ""}, labels.Set{"env": "staging"}, "the rest"},
	} {
		if got := by.name(by.waveOf(test.namespace, test.template)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// A wave begins when nothing of those before it drifts any more that the run is for.
func TestWaveBegins(t *testing.T) {
	item := func(name string, state verdict.State) report.Item {
		return report.Item{Kind: "Deployment", Namespace: "shop", Name: name, State: state}
	}
	job := item("job", verdict.Drifted)
	job.Kind = "Job"
	step := func(item report.Item, result report.Result) Step {
		return Step{Item: item, Result: result, Wave: "ring=0"}
	}
	for name, test := range map[string]struct {
		step   Step
		result report.Result // after its turn
		now    *report.Item
		err    error
		want   string
	}{
		"rolled out":                        {step(item("web", verdict.Drifted), report.Planned), report.RolledOut, nil, nil, ""},
		"resized":                           {step(item("web", verdict.Drifted), report.Planned), report.Resized, nil, nil, ""},
		"failed":                            {step(item("web", verdict.Drifted), report.Planned), report.Failed, nil, nil, "wave ring=0 has not ended well: Deployment shop/web is Failed"},
		"did not converge":                  {step(item("web", verdict.Drifted), report.Planned), report.NotConverging, nil, nil, "wave ring=0 has not ended well: Deployment shop/web is NotConverging"},
		"took too long":                     {step(item("web", verdict.Drifted), report.Planned), report.Interrupted, nil, nil, "wave ring=0 has not ended well: Deployment shop/web is Interrupted"},
		"gone":                              {step(item("web", verdict.Drifted), report.Planned), report.Skipped, nil, nil, ""},
		"replaced meanwhile":                {step(item("web", verdict.Drifted), report.Planned), report.Skipped, new(item("web", verdict.InSync)), nil, ""},
		"paused meanwhile":                  {step(item("web", verdict.Drifted), report.Planned), report.Skipped, new(item("web", verdict.Drifted)), nil, "wave ring=0 has not ended well: Deployment shop/web is Skipped and still drifts"},
		"not known":                         {step(item("web", verdict.Drifted), report.Planned), report.Skipped, nil, errors.New("no answer"), "wave ring=0 has not ended well: Deployment shop/web could not be audited: no answer"},
		"left alone by a guard":             {step(item("web", verdict.Drifted), report.Skipped), report.Skipped, nil, nil, "wave ring=0 has not ended well: Deployment shop/web is left out and not as it would be injected"},
		"not judged":                        {step(item("web", verdict.Unknown), report.Skipped), report.Skipped, nil, nil, "wave ring=0 has not ended well: Deployment shop/web is left out and not as it would be injected"},
		"of a kind that the run is not for": {step(job, report.Skipped), report.Skipped, nil, nil, ""},
		"would lose its sidecar":            {step(item("web", verdict.Orphaned), report.Skipped), report.Skipped, nil, nil, "wave ring=0 has not ended well: Deployment shop/web is left out and not as it would be injected"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run{
				opts:  Options{WaveBy: WaveBy{{"ring", "0"}, {"ring", "1"}}},
				plan:  &Plan{Steps: []Step{test.step, {Item: item("next", verdict.Drifted), Result: report.Planned, Wave: "ring=1", wave: 1}}},
				audit: func(context.Context, inventory.WorkloadRef, []byte) (*report.Item, error) { return test.now, test.err },
			}
			if test.step.Result != report.Planned {
				r.plan.Steps[0], r.plan.Steps[1] = r.plan.Steps[1], r.plan.Steps[0]
			}
			for _, s := range r.plan.Steps {
				done := s.Item
				done.Rollout.Result = report.Planned
				if s.wave == 0 {
					done.Rollout.Result = test.result
				}
				r.items = append(r.items, done)
			}
			if got := r.before(t.Context(), 1); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			if got := r.before(t.Context(), 0); got != "" {
				t.Errorf("the first wave: %q", got)
			}
		})
	}
}

// What is read is written as it is read again, and is labels that can be.
func FuzzParseWaveBy(f *testing.F) {
	for _, text := range []string{"env=staging,production", "ring=0,1,2", "a/b=c,d=e", "=", ",", "a==b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		by, err := ParseWaveBy(text)
		if err != nil {
			return
		}
		again, err := ParseWaveBy(by.String())
		if err != nil || again.String() != by.String() || len(by) == 0 {
			t.Errorf("%q is %s, and then %s (%v)", text, by, again, err)
		}
		for i, label := range by {
			if got := by.waveOf(labels.Set{label.Key: label.Value}, nil); got != i {
				t.Errorf("%q: %s is wave %d, want %d", text, label, got, i)
			}
		}
	})
}

// Workloads that the plan leaves out have a wave, too, and take none of the others'.
func TestWavesOfWhatIsLeftOut(t *testing.T) {
	var deployments []string
	var steps []Step
	for i := range 6 {
		name := fmt.Sprint("web-", i)
		deployments = append(deployments, fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"namespace":"shop","name":%q},"spec":{"template":{"metadata":{"labels":{"ring":"0"}}}}}`, name))
		step := Step{Item: report.Item{Kind: "Deployment", Namespace: "shop", Name: name}, Result: report.Planned}
		if i < 2 {
			step.Result = report.Skipped
		}
		steps = append(steps, step)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		items, kind := `{"metadata":{"name":"shop"}}`, "NamespaceList"
		if strings.HasSuffix(r.URL.Path, "/deployments") {
			items, kind = strings.Join(deployments, ","), "DeploymentList"
		}
		fmt.Fprintf(w, `{"kind":%q,"apiVersion":"v1","metadata":{},"items":[%s]}`, kind, items)
	}))
	defer server.Close()
	cfg := &rest.Config{Host: server.URL}
	c, err := connect(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (WaveBy{{"ring", "0"}}).inWaves(t.Context(), cfg, c, steps); err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if s.Wave != "ring=0" {
			t.Errorf("%s (%s) is in %q", s.Item.Name, s.Result, s.Wave)
		}
	}
}
