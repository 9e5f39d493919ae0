package service

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/auditor/verdict"
)

// Keys of the ConfigMap, each with its share of the 1 MiB that one may have: what
// does not fit is left out, one workload after the other, and nothing else with it.
const (
	agesKey      = "drifting.json.gz" // a list of age
	mostAges     = 600 << 10
	attemptsKey  = "rollout-attempts.json.gz" // a list of keptAttempt
	mostAttempts = 200 << 10
	windowKey    = "rollout-window.json" // spent, which is small
	// biasedKey is for doctor, which reads no report: a report.BiasedSummary.
	biasedKey = "biased.json"
	// How far changes are, wave by wave: a list of keptWave, and of report.Progress for
	// ReadProgress.
	wavesKey     = "rollout-waves.json.gz"
	mostWaves    = 70 << 10
	progressKey  = "rollout-progress.json.gz"
	mostProgress = 30 << 10
	// What people were told of and still is: as agesKey, and a list of webhooks.
	blockedKey  = "blocked.json.gz"
	mostBlocked = 60 << 10 // so that all fit, downKey too
	downKey     = "injectors-down.json"
	// formerAgesKey is what releases up to 0.4 wrote: a map from "KIND
	// NAMESPACE/NAME" to a Unix time.
	formerAgesKey = "drifting-since.json.gz"
	// mostDecoded bounds what a ConfigMap of somebody's making can unfold to.
	mostDecoded = 4 << 20
)

// memory is all that an auditor keeps beyond its life: since when workloads have
// drifted, what came of their rollouts, and what of a window's budget is spent.
// Losing it loses ages, which then begin anew, and at most grants one window's
// budget twice. It may be used concurrently.
type memory struct {
	objects corev1client.ConfigMapInterface
	name    string

	mu       sync.Mutex
	since    ages
	attempts attempts
	window   spent
	spending bool // a run has a copy of the window, and puts it back at its end
	biased   report.BiasedSummary
	waves    waveMemory
	known    known
	saved    map[string][]byte // as the ConfigMap has it
}

func newMemory(objects corev1client.ConfigMapInterface, name string) *memory {
	return &memory{since: ages{}, attempts: newAttempts(), objects: objects, name: name}
}

// update takes down what has begun to drift, forgets what no longer does, and returns what
// of all that people should know is new.
func (m *memory) update(found *report.Report, now time.Time) news {
	m.mu.Lock()
	defer m.mu.Unlock()
	var fresh news
	m.known, fresh = m.known.update(found, m.since, now)
	m.since = m.since.update(found, now)
	m.biased = found.Biased()
	if !m.spending {
		for ref, window := range m.attempts.forget(m.since, statesOf(found), now) {
			m.forgive(ref, window)
		}
	}
	return fresh
}

// oldest returns when the oldest drift of each namespace that has one began.
func (m *memory) oldest() map[string]time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.since.oldest()
}

// due reports whether the workload has drifted for that long, and is not left
// alone for what came of its last rollouts.
func (m *memory) due(ref inventory.WorkloadRef, age time.Duration, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	since, ok := m.since[ref]
	return ok && now.Sub(since) >= age && m.attempts.due(ref, now)
}

// rank is that of attempts, as of now.
func (m *memory) rank(now time.Time) func(inventory.WorkloadRef) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	copied := m.attempts.clone()
	return func(ref inventory.WorkloadRef) int { return copied.rank(ref, now) }
}

// spentIn returns what was spent in the window's occurrence.
func (m *memory) spentIn(occurrence string) spent {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.window.in(occurrence)
}

// spend returns what was spent in the window's occurrence, to a run that adds to it; nothing
// else changes it until release.
func (m *memory) spend(occurrence string) (window spent, release func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spending = true
	return m.window.in(occurrence), func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.spending = false
	}
}

// forgive takes back that a window counts a workload as failed. Hold mu.
func (m *memory) forgive(ref inventory.WorkloadRef, window string) {
	if m.window = m.window.in(m.window.Window); window == m.window.Window {
		m.window.forgive(ref.Namespace, report.CauseOther)
	}
}

// statesOf are the workloads' in a report.
func statesOf(found *report.Report) map[inventory.WorkloadRef]verdict.State {
	states := make(map[inventory.WorkloadRef]verdict.State, len(found.Items))
	for _, item := range found.Items {
		states[refOf(item)] = item.State
	}
	return states
}

// leftOut takes down that a plan leaves these workloads out, and what that means.
func (m *memory) leftOut(refs []inventory.WorkloadRef, o outcome, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ref := range refs {
		m.attempts.ended(ref, o, now)
	}
}

// begin takes down what a run has planned, and keeps that: all of it was spent. What became of
// it the next leader finds out, should this one not live to say so.
func (m *memory) begin(ctx context.Context, window spent, planned []inventory.WorkloadRef, now time.Time) (former attempts, err error) {
	m.mu.Lock()
	former = m.attempts.clone()
	before := m.window
	m.attempts.plan(planned, now)
	m.window = window.in(window.Window)
	m.window.Workloads += len(planned)
	m.mu.Unlock()
	if err = m.save(ctx); err != nil {
		m.mu.Lock()
		m.attempts, m.window = former, before
		m.mu.Unlock()
	}
	return former, err
}

// end takes down what did come of it.
func (m *memory) end(ctx context.Context, window spent, former attempts, outcomes map[inventory.WorkloadRef]outcome, now time.Time) error {
	m.mu.Lock()
	m.attempts, m.window = former, window
	for ref, o := range outcomes {
		if unseen := m.attempts.of[ref].Unseen; unseen != nil && o == done {
			m.forgive(ref, *unseen)
		}
		m.attempts.ended(ref, o, now)
	}
	m.mu.Unlock()
	return m.save(ctx)
}

// load reads what an earlier leader kept; nothing if there is none. What cannot be
// read begins anew, and the error says so; the rest is taken.
func (m *memory) load(ctx context.Context) error {
	object, err := m.objects.Get(ctx, m.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read since when workloads have drifted: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	var since, blocked []age
	var tried []keptAttempt
	var inWaves []keptWave
	err = errors.Join(
		m.read(object, windowKey, func(text []byte) error { return json.Unmarshal(text, &m.window) }),
		m.read(object, attemptsKey, func(text []byte) error { return decode(text, &tried) }),
		m.read(object, wavesKey, func(text []byte) error { return decode(text, &inWaves) }),
		m.read(object, blockedKey, func(text []byte) error { return decode(text, &blocked) }),
		m.read(object, downKey, func(text []byte) error { return json.Unmarshal(text, &m.known.down) }),
		m.read(object, formerAgesKey, func(text []byte) (err error) { since, err = formerAges(text); return err }),
		m.read(object, agesKey, func(text []byte) error { return decode(text, &since) }),
	)
	m.waves = waveMemoryOf(inWaves)
	m.known.blocked = agesOf(blocked, now)
	m.since, m.attempts, m.saved = agesOf(since, now), attemptsOf(tried, now), object.BinaryData
	return err
}

func (m *memory) read(object *corev1.ConfigMap, key string, parse func([]byte) error) error {
	text, ok := object.BinaryData[key]
	if !ok {
		return nil
	}
	if err := parse(text); err != nil {
		return fmt.Errorf("ConfigMap %s: %s: %w; it begins anew", m.name, key, err)
	}
	return nil
}

// save keeps it for the next leader, if it changed.
func (m *memory) save(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var now map[string][]byte
	since, err1 := encode(m.since.entries(), mostAges)
	tried, err2 := encode(m.attempts.entries(), mostAttempts)
	window, err3 := json.Marshal(m.window)
	biased, err4 := json.Marshal(m.biased)
	inWaves, err5 := encode(m.waves.entries(), mostWaves)
	progress, err6 := encode(m.waves.progress, mostProgress)
	blocked, err7 := encode(m.known.blocked.entries(), mostBlocked)
	down, err8 := json.Marshal(m.known.down)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8); err != nil {
		return err
	}
	now = map[string][]byte{
		agesKey: since, attemptsKey: tried, windowKey: window, biasedKey: biased,
		wavesKey: inWaves, progressKey: progress, blockedKey: blocked, downKey: down,
	}
	if same(now, m.saved) {
		return nil
	}
	if err := keep(ctx, m.objects, m.name, now); err != nil {
		return fmt.Errorf("keep since when workloads have drifted: %w", err)
	}
	m.saved = now
	return nil
}

func same(a, b map[string][]byte) bool {
	for key, text := range a {
		if !bytes.Equal(text, b[key]) {
			return false
		}
	}
	return len(a) == len(b)
}

// writers are those of encode: each has a megabyte of its own, and every round needs some.
var writers = sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}

// encode is the gzipped JSON list of the entries, the first of them first, that have
// room in so many bytes before they are compressed: random names can hardly be.
func encode[T any](entries []T, most int) ([]byte, error) {
	var list [][]byte
	room := most - len("[]\n")
	for _, e := range entries {
		text, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		if need := len(text) + len(","); need <= room {
			room -= need
			list = append(list, text)
		}
	}
	var b bytes.Buffer
	w := writers.Get().(*gzip.Writer)
	defer writers.Put(w)
	w.Reset(&b)
	if _, err := w.Write(slices.Concat([]byte("["), bytes.Join(list, []byte(",")), []byte("]\n"))); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

func decode(encoded []byte, into any) error {
	r, err := gzip.NewReader(bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	return json.NewDecoder(io.LimitReader(r, mostDecoded)).Decode(into)
}

// formerAges reads what an earlier release kept. A key that could be read in more
// than one way is left out.
func formerAges(encoded []byte) ([]age, error) {
	var unix map[string]int64
	if err := decode(encoded, &unix); err != nil {
		return nil, err
	}
	var entries []age
	for key, seconds := range unix {
		kind, workload, _ := strings.Cut(key, " ")
		namespace, name, _ := strings.Cut(workload, "/")
		if !strings.ContainsAny(workload, " ") && !strings.ContainsAny(name, "/") {
			entries = append(entries, age{kind, namespace, name, seconds})
		}
	}
	return entries, nil
}
