package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/wave"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

// waveTick is how exactly it is kept when something last drifted, rounded up: the
// ConfigMap is written no more often for it.
const waveTick = 5 * time.Minute

// mostLost is how many lost nodes of a workload are kept. One more keeps its wave from its end.
const mostLost = 50

// waveMemory is what waves know beyond an auditor's life.
type waveMemory struct {
	ledger   wave.Ledger
	failing  map[inventory.WorkloadRef]failing
	progress []report.Progress
}

// failing is a workload whose rollout failed, and which nodes of it were not ready before.
type failing struct {
	Member wave.Member
	Lost   []string
}

// waved takes down how far changes are, and returns how many there is no room for.
func (m *memory) waved(plan []wave.Wave, members []wave.Member, now time.Time) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	left := m.waves.ledger.Update(plan, members, now)
	m.waves.progress = report.MaskProgress(mask.Constant(), m.waves.ledger.Status(plan, now))
	return left
}

func (m *memory) noWaves() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waves = waveMemory{}
}

// reached reports whether a workload's changes have reached its wave.
func (m *memory) reached(plan []wave.Wave, member wave.Member, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waves.ledger.Open(plan, member, now)
}

// failed takes down that the rollout of workloads failed, for whatever changes they had.
func (m *memory) failed(workloads map[inventory.WorkloadRef]failing) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waves.failing == nil {
		m.waves.failing = map[inventory.WorkloadRef]failing{}
	}
	maps.Copy(m.waves.failing, workloads)
}

// well takes down that a workload is well again.
func (m *memory) well(ref inventory.WorkloadRef) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.waves.failing, ref)
}

func (m *memory) failingWorkloads() map[inventory.WorkloadRef]failing {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.waves.failing)
}

// waveProgress is how far changes are.
func (m *memory) waveProgress() []report.Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.waves.progress)
}

// keptWave is how a ConfigMap has one thing that waves know: how far a change is, or that
// a workload's rollout failed.
type keptWave struct {
	ID      string                 `json:"id,omitempty"`
	Record  *wave.Record           `json:"record,omitempty"`
	Failing *inventory.WorkloadRef `json:"failing,omitempty"`
	Member  *wave.Member           `json:"member,omitempty"`
	Lost    []string               `json:"lost,omitempty"`
}

// entries lists what waves know: what failed, then the changes that most workloads have.
func (w waveMemory) entries() []keptWave {
	entries := []keptWave{}
	for _, ref := range slices.SortedFunc(maps.Keys(w.failing), compareRefs) {
		entries = append(entries, keptWave{Failing: &ref, Member: new(w.failing[ref].Member), Lost: w.failing[ref].Lost})
	}
	ids := slices.SortedFunc(maps.Keys(w.ledger.Records), func(a, b string) int {
		return cmp.Or(cmp.Compare(w.ledger.Records[b].Most(), w.ledger.Records[a].Most()), cmp.Compare(a, b))
	})
	for _, id := range ids {
		kept := *w.ledger.Records[id]
		kept.Seen, kept.Waves = roundedUp(kept.Seen), maps.Clone(kept.Waves)
		for name, reach := range kept.Waves {
			reach.Last = roundedUp(reach.Last)
			kept.Waves[name] = reach
		}
		entries = append(entries, keptWave{ID: id, Record: &kept})
	}
	return entries
}

func roundedUp(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(waveTick).Add(waveTick)
}

func waveMemoryOf(entries []keptWave) waveMemory {
	w := waveMemory{ledger: wave.Ledger{Records: map[string]*wave.Record{}}, failing: map[inventory.WorkloadRef]failing{}}
	for _, e := range entries {
		switch {
		case e.Record != nil:
			w.ledger.Records[e.ID] = e.Record
		case e.Failing != nil && e.Member != nil && kept(*e.Failing):
			w.failing[*e.Failing] = failing{*e.Member, e.Lost}
		}
	}
	return w
}

// ReadProgress returns how far changes are in their waves, by what the auditor that is
// installed in a namespace keeps. The error says what to do.
func ReadProgress(ctx context.Context, client kubernetes.Interface, namespace string) ([]report.Progress, error) {
	object, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, DefaultName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("the auditor has not kept anything in namespace %s: check that it runs (sidecar-drift doctor), or give --installation-namespace: %w", namespace, err)
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("read what the auditor keeps: %w; it takes the right to get that one ConfigMap", err)
	case err != nil:
		return nil, fmt.Errorf("read what the auditor keeps: %w", err)
	}
	changes := []report.Progress{}
	text, ok := object.BinaryData[progressKey]
	if !ok {
		return changes, nil
	}
	if err := decode(text, &changes); err != nil {
		return nil, errors.Join(fmt.Errorf("ConfigMap %s/%s holds no waves that can be read", namespace, DefaultName), err)
	}
	return changes, nil
}
