package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
	"github.com/sidecar-drift/sidecar-drift/auditor/wave"
	"github.com/sidecar-drift/sidecar-drift/internal/kind"
)

// Label of namespaces, or of Pod templates.
type Label struct{ Key, Value string }

func (l Label) String() string { return l.Key + "=" + l.Value }

// WaveBy are the labels by which a run goes in waves: what has the first one goes first, and
// what has none of them last, as a wave of its own. Nil: all at once.
type WaveBy []Label

// theRest is how the wave is called of what has none of the labels.
const theRest = "the rest"

// ParseWaveBy reads LABEL=VALUE,…; a value without a label has the one before. The error
// says what to give.
func ParseWaveBy(text string) (WaveBy, error) {
	var by WaveBy
	key := ""
	for item := range strings.SplitSeq(text, ",") {
		value := strings.TrimSpace(item)
		if before, after, ok := strings.Cut(value, "="); ok {
			key, value = strings.TrimSpace(before), strings.TrimSpace(after)
		}
		label := Label{key, value}
		switch {
		case key == "", value == "":
			return nil, fmt.Errorf("%.100q is no label and value: give LABEL=VALUE,…, as env=staging,env=production or ring=0,1,2", item)
		case len(validation.IsQualifiedName(key)) > 0:
			return nil, fmt.Errorf("%.100q cannot be a label's name", key)
		case len(validation.IsValidLabelValue(value)) > 0:
			return nil, fmt.Errorf("%.100q cannot be a label's value", value)
		case slices.Contains(by, label):
			return nil, fmt.Errorf("%s is given twice", label)
		}
		by = append(by, label)
	}
	return by, nil
}

// String is as ParseWaveBy reads it.
func (by WaveBy) String() string {
	texts := make([]string, len(by))
	for i, label := range by {
		texts[i] = label.String()
	}
	return strings.Join(texts, ",")
}

// waveOf is the number of a workload's wave, len(by) for the rest. A label of its namespace,
// whatever its value, is believed before one of its Pod template: that is the tenant's.
func (by WaveBy) waveOf(namespace, template labels.Set) int {
	at := slices.IndexFunc(by, func(label Label) bool {
		value, ok := namespace[label.Key]
		if !ok {
			value = template[label.Key]
		}
		return value == label.Value
	})
	if at < 0 {
		return len(by)
	}
	return at
}

func (by WaveBy) name(number int) string {
	if number < len(by) {
		return by[number].String()
	}
	return theRest
}

// inWaves gives each step of a plan its wave, and returns the labels that neither a
// namespace nor a workload of the plan has.
func (by WaveBy) inWaves(ctx context.Context, cfg *rest.Config, c *cluster, steps []Step) ([]string, error) {
	if len(by) == 0 {
		return nil, nil
	}
	known, err := ReadLabels(ctx, cfg, nil)
	if err != nil {
		return nil, fmt.Errorf("waves: %w", err)
	}
	all := slices.Clone(steps) // what is skipped is asked about, too
	for i := range all {
		all[i].Result = report.Planned
	}
	objects := newObjects(c, all)
	used := make([]bool, len(by)+1)
	for _, ns := range known.Namespaces {
		used[by.waveOf(ns, nil)] = true
	}
	for i := range steps {
		s := &steps[i]
		ns := known.Namespaces[s.Item.Namespace]
		template, err := by.templateOf(ctx, objects, ns, s.Item)
		if err != nil {
			return nil, fmt.Errorf("waves: %w", err)
		}
		s.wave = by.waveOf(ns, template)
		s.Wave, used[s.wave] = by.name(s.wave), true
	}
	var unused []string
	for i, label := range by {
		if !used[i] {
			unused = append(unused, label.String())
		}
	}
	return unused, nil
}

// templateOf are the labels of a workload's Pod template, where its namespace does not say it
// all; none of one that cannot be read, which then goes last.
func (by WaveBy) templateOf(ctx context.Context, objects *objects, ns labels.Set, item report.Item) (labels.Set, error) {
	ref := refOf(item)
	of, _ := kind.Of(ref.Kind)
	if !of.Recreated || impossible(ref) != "" || !slices.ContainsFunc(by, func(label Label) bool { return !ns.Has(label.Key) }) {
		return nil, nil
	}
	object, err := objects.get(ctx, ref)
	if err != nil && ends(ctx, err) {
		return nil, err
	}
	if err != nil {
		return nil, nil //nolint:nilerr // it goes last
	}
	set, _, _ := unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "labels")
	return set, nil
}

// rollOutInWaves carries the plan out wave by wave: a wave begins when the one before has
// ended well, and has stayed healthy for Pace.Soak.
func (r *run) rollOutInWaves(ctx context.Context, queue []int) {
	for len(queue) > 0 {
		number := r.plan.Steps[queue[0]].wave
		end := slices.IndexFunc(queue, func(i int) bool { return r.plan.Steps[i].wave != number })
		if end < 0 {
			end = len(queue)
		}
		mine, rest := queue[:end], queue[end:]
		r.queue = mine
		if why := r.before(ctx, number); why != "" {
			r.halt(why)
		}
		r.carryOut(ctx)
		if !r.stoppedNow(ctx) && len(rest) > 0 {
			r.soak(ctx, mine)
		}
		queue = append(slices.Clone(r.queue), rest...)
		if r.stoppedNow(ctx) {
			break
		}
	}
	r.queue = queue
}

// before says why a wave may not begin: something of an earlier one still drifts, or cannot
// be judged, so that it may. Empty if it may begin.
func (r *run) before(ctx context.Context, number int) string {
	var first string
	names := map[string]bool{}
	count := 0
	for i, s := range r.plan.Steps {
		if s.wave >= number {
			continue
		}
		why := r.holdsUp(ctx, i)
		if why == "" {
			continue
		}
		names[s.Wave] = true
		if count++; first == "" {
			first = fmt.Sprintf("%s %s", refOf(s.Item), why)
		}
	}
	if count == 0 {
		return ""
	}
	var waves []string
	for _, label := range r.opts.WaveBy {
		if names[label.String()] {
			waves = append(waves, label.String())
		}
	}
	text := fmt.Sprintf("wave %s has not ended well: %s", strings.Join(waves, ", "), first)
	if count > 1 {
		text += fmt.Sprintf(" (and %d more)", count-1)
	}
	return text
}

// holdsUp says what is wrong with a workload for the waves after its own; empty if it is
// well: it does not drift any more, or is none of what the run is for.
func (r *run) holdsUp(ctx context.Context, i int) string {
	item := r.items[i]
	switch {
	case item.Rollout.Result.Success():
		return ""
	case i >= r.plan.Planned():
		if drifts(r.plan.Steps[i].Item, r.opts) {
			return "is left out and not as it would be injected"
		}
		return ""
	case item.Rollout.Result != report.Skipped:
		return "is " + string(item.Rollout.Result)
	}
	now, err := r.audit(ctx, refOf(item), nil)
	switch {
	case err != nil:
		return fmt.Sprintf("could not be audited: %v", err)
	case now != nil && drifts(*now, r.opts):
		return "is " + string(item.Rollout.Result) + " and still drifts"
	}
	return ""
}

// drifts reports whether a workload is one of those that the run is for, and drifts by what
// it is for, or may: as what keeps an automatic rollout's waves from their end.
func drifts(item report.Item, opts Options) bool {
	switch {
	case opts.Select.excludesKind(item.Kind) != "",
		len(opts.Select.States) > 0 && !slices.Contains(opts.Select.States, item.State):
		return false
	case item.State == verdict.Blocked || item.State == verdict.Unknown:
		return true
	}
	return item.State.Drift() && len(wave.Changes(item, Reasons(item, opts))) > 0
}
