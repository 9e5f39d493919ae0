package config

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sidecar-drift/sidecar-drift/auditor/change"
	"github.com/sidecar-drift/sidecar-drift/auditor/wave"
	"github.com/sidecar-drift/sidecar-drift/auditor/window"
)

// mostWaves is more than anybody can oversee.
const mostWaves = 20

// Wave is a share of the workloads. A workload is in the first one that selects it.
type Wave struct {
	// What people call it: dev, staging, production.
	Name string `json:"name"`
	// Workloads in namespaces with these labels, as in env=staging or
	// 'env in (dev,test)'; of all namespaces if empty.
	NamespaceSelector string `json:"namespaceSelector,omitempty"`
	// Workloads whose Pod template has these labels; all if empty.
	Selector string `json:"selector,omitempty"`
	// When its rollouts may start, besides the policy's own windows; no further bound
	// if there are none.
	Windows []Window `json:"windows,omitempty"`
	// How long it must have been rolled out before the next wave begins.
	Soak metav1.Duration `json:"soak,omitzero"`
	// How many percent of its workloads that a change has reached may be left when the
	// next wave begins, such as those that a guard leaves alone.
	MaxDriftPercent int `json:"maxDriftPercent,omitempty" schema:"minimum=0,maximum=100"`
	// Takes the place of the policy's own where it is not 0.
	MaxUnavailablePercent int `json:"maxUnavailablePercent,omitempty" schema:"minimum=0,maximum=100"`
	// Takes the place of the policy's own where it is given: cosmetic, tuning, version,
	// behaviour or loss. What is riskier waits in this wave, and keeps its change from the next
	// one.
	MaxRisk change.Risk `json:"maxRisk,omitempty"`
}

// Schedule returns the windows of a valid wave; none if it may be rolled out whenever
// the policy's are open.
func (w Wave) Schedule() window.Windows { return scheduleOf(w.Windows) }

// Selects reports whether a valid wave selects a workload by the labels of its namespace
// and its Pod template.
func (w Wave) Selects(namespace, template labels.Set) bool {
	return matches(w.NamespaceSelector, namespace) && matches(w.Selector, template)
}

func matches(text string, set labels.Set) bool {
	selector, err := labels.Parse(text)
	return err == nil && selector.Matches(set)
}

// leastRounds is how many rounds a wave soaks at least: a change may be seen in it later
// than elsewhere.
const leastRounds = 2

// Waves returns the waves of a valid configuration as the package wave has them.
func (c Configuration) Waves() []wave.Wave {
	waves := make([]wave.Wave, len(c.AutoRollout.Waves))
	for i, w := range c.AutoRollout.Waves {
		waves[i] = wave.Wave{Name: w.Name, Soak: max(w.Soak.Duration, leastRounds*c.Interval.Duration), MaxDrift: w.MaxDriftPercent}
	}
	return waves
}

func (p *problems) waves(path string, waves []Wave) {
	if len(waves) > mostWaves {
		p.add(path, "are %d: give %d at most", len(waves), mostWaves)
	}
	named := map[string]bool{}
	for i, w := range waves {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case len(validation.IsDNS1123Label(w.Name)) > 0:
			p.add(at+".name", "is %q: give lower-case letters, digits and -, as in staging", w.Name)
		case named[w.Name]:
			p.add(at+".name", "is %q, as is another wave's", w.Name)
		}
		named[w.Name] = true
		p.selector(at+".namespaceSelector", w.NamespaceSelector)
		p.selector(at+".selector", w.Selector)
		for n, opened := range w.Windows {
			p.window(fmt.Sprintf("%s.windows[%d]", at, n), opened)
		}
		p.notNegative(at+".soak", w.Soak.Duration)
		p.percent(at+".maxDriftPercent", w.MaxDriftPercent)
		p.percent(at+".maxUnavailablePercent", w.MaxUnavailablePercent)
		if w.MaxRisk != "" {
			choose(p, at+".maxRisk", w.MaxRisk, change.Risks())
		}
	}
}

func (p *problems) selector(path, text string) {
	if _, err := labels.Parse(text); err != nil {
		p.add(path, "is %q: %v", text, err)
	}
}

func (p *problems) percent(path string, n int) {
	if n < 0 || n > 100 {
		p.add(path, "is %d: give a percentage, 1 to 100, or 0 for none", n)
	}
}
