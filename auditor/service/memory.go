package service

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
)

const (
	// agesKey is the ConfigMap's key: gzipped JSON, workload → Unix time.
	agesKey = "drifting-since.json.gz"
	// windowKey is what was rolled out in the last window that was used.
	windowKey = "rollout-window.json"
	// maxAges bounds what is kept, a third of a ConfigMap's limit of 1 MiB in
	// the worst case; the oldest remain.
	maxAges = 10_000
)

// memory is all that an auditor keeps beyond its life: since when workloads have
// drifted, by "KIND NAMESPACE/NAME", and how much of a window's budget is spent.
// Losing it loses ages, which then begin anew, and at most grants one window's
// budget twice. It may be used concurrently.
type memory struct {
	objects corev1client.ConfigMapInterface
	name    string

	mu     sync.Mutex
	since  map[string]time.Time
	window spent
	saved  []byte // both, as the ConfigMap has them
}

// spent is how many workloads were rolled out while a window was open once.
type spent struct {
	Window    string `json:"window"`
	Workloads int    `json:"workloads"`
}

func newMemory(objects corev1client.ConfigMapInterface, name string) *memory {
	return &memory{since: map[string]time.Time{}, objects: objects, name: name}
}

func key(item report.Item) string { return item.Kind + " " + item.Namespace + "/" + item.Name }

// update takes down what has begun to drift, and forgets what no longer does.
// What is older than an age that was kept for something else is not known.
func (a *memory) update(found *report.Report, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	since := map[string]time.Time{}
	for _, item := range found.Items {
		if !item.State.Drift() {
			continue
		}
		k := key(item)
		if known, ok := a.since[k]; ok {
			since[k] = known
		} else {
			since[k] = now.UTC().Truncate(time.Second)
		}
	}
	a.since = since
}

// oldest returns the age of the oldest drift of each namespace that has one.
func (a *memory) oldest() map[string]time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	oldest := map[string]time.Time{}
	for k, since := range a.since {
		_, workload, _ := strings.Cut(k, " ")
		namespace, _, _ := strings.Cut(workload, "/")
		if first, ok := oldest[namespace]; !ok || since.Before(first) {
			oldest[namespace] = since
		}
	}
	return oldest
}

// age is for how long the workload has drifted.
func (a *memory) age(item report.Item, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	since, ok := a.since[key(item)]
	if !ok {
		return 0
	}
	return now.Sub(since)
}

// spentIn returns how many workloads were rolled out in the window's occurrence.
func (a *memory) spentIn(occurrence string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.window.Window != occurrence {
		return 0
	}
	return a.window.Workloads
}

// spend takes down how many it will be, and keeps that.
func (a *memory) spend(ctx context.Context, occurrence string, workloads int) error {
	a.mu.Lock()
	a.window = spent{occurrence, workloads}
	a.mu.Unlock()
	return a.save(ctx)
}

// load reads what an earlier leader kept; nothing if there is none.
func (a *memory) load(ctx context.Context) error {
	object, err := a.objects.Get(ctx, a.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read since when workloads have drifted: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	window := object.BinaryData[windowKey]
	if len(window) > 0 {
		if err := json.Unmarshal(window, &a.window); err != nil {
			return fmt.Errorf("ConfigMap %s: %s: %w; it begins anew", a.name, windowKey, err)
		}
	}
	since, err := decodeAges(object.BinaryData[agesKey])
	if err != nil {
		return fmt.Errorf("ConfigMap %s: %s: %w; ages begin anew", a.name, agesKey, err)
	}
	a.since, a.saved = since, slices.Concat(object.BinaryData[agesKey], window)
	return nil
}

// save keeps it for the next leader, if it changed.
func (a *memory) save(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	ages, err := encodeAges(a.since)
	if err != nil {
		return err
	}
	window, err := json.Marshal(a.window)
	if err != nil {
		return err
	}
	both := slices.Concat(ages, window)
	if bytes.Equal(both, a.saved) {
		return nil
	}
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: a.name, Labels: map[string]string{"app.kubernetes.io/component": "auditor"}},
		BinaryData: map[string][]byte{agesKey: ages, windowKey: window},
	}
	_, err = a.objects.Update(ctx, object, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = a.objects.Create(ctx, object, metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("keep since when workloads have drifted: %w", err)
	}
	a.saved = both
	return nil
}

func encodeAges(since map[string]time.Time) ([]byte, error) {
	keys := slices.SortedFunc(maps.Keys(since), func(a, b string) int {
		return cmp.Or(since[a].Compare(since[b]), strings.Compare(a, b))
	})
	unix := map[string]int64{}
	for _, k := range keys[:min(len(keys), maxAges)] {
		unix[k] = since[k].Unix()
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if err := json.NewEncoder(w).Encode(unix); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

// maxDecoded bounds what a ConfigMap of somebody's making can unfold to.
const maxDecoded = 16 << 20

func decodeAges(encoded []byte) (map[string]time.Time, error) {
	r, err := gzip.NewReader(bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	var unix map[string]int64
	if err := json.NewDecoder(io.LimitReader(r, maxDecoded)).Decode(&unix); err != nil {
		return nil, err
	}
	since := map[string]time.Time{}
	for k, seconds := range unix {
		since[k] = time.Unix(seconds, 0).UTC()
	}
	return since, nil
}
