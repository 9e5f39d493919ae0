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
	// maxAges bounds what is kept, a third of a ConfigMap's limit of 1 MiB in
	// the worst case; the oldest remain.
	maxAges = 10_000
)

// ages are since when workloads have drifted, by "KIND NAMESPACE/NAME": all that
// an auditor keeps beyond its life. Losing them loses ages and nothing else.
type ages struct {
	since   map[string]time.Time
	saved   []byte
	objects corev1client.ConfigMapInterface
	name    string
}

func newAges(objects corev1client.ConfigMapInterface, name string) *ages {
	return &ages{since: map[string]time.Time{}, objects: objects, name: name}
}

func key(item report.Item) string { return item.Kind + " " + item.Namespace + "/" + item.Name }

// update takes down what has begun to drift, and forgets what no longer does.
// What is older than an age that was kept for something else is not known.
func (a *ages) update(found *report.Report, now time.Time) {
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
func (a *ages) oldest() map[string]time.Time {
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

// load reads what an earlier leader kept; nothing if there is none.
func (a *ages) load(ctx context.Context) error {
	object, err := a.objects.Get(ctx, a.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read since when workloads have drifted: %w", err)
	}
	since, err := decodeAges(object.BinaryData[agesKey])
	if err != nil {
		return fmt.Errorf("ConfigMap %s: %w; ages begin anew", a.name, err)
	}
	a.since, a.saved = since, object.BinaryData[agesKey]
	return nil
}

// save keeps them for the next leader, if they changed.
func (a *ages) save(ctx context.Context) error {
	encoded, err := encodeAges(a.since)
	if err != nil || bytes.Equal(encoded, a.saved) {
		return err
	}
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: a.name, Labels: map[string]string{"app.kubernetes.io/component": "auditor"}},
		BinaryData: map[string][]byte{agesKey: encoded},
	}
	_, err = a.objects.Update(ctx, object, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = a.objects.Create(ctx, object, metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("keep since when workloads have drifted: %w", err)
	}
	a.saved = encoded
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
