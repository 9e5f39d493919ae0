package service

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/sidecar-drift/sidecar-drift/auditor/report"
	"github.com/sidecar-drift/sidecar-drift/internal/mask"
)

const (
	// lastReportSuffix follows the auditor's name in the name of the ConfigMap.
	lastReportSuffix = "-report"
	lastReportKey    = "report.json.gz"
	// mostLastReport bounds it: a ConfigMap may have 1 MiB.
	mostLastReport = 900 << 10
	// mostUnfolded bounds what a ConfigMap of somebody's making can unfold to.
	mostUnfolded = 64 << 20
	// A report is kept no more often than every lastReportPause, and one that says the same
	// as the one before no more often than every lastReportConfirm: etcd keeps each for a while.
	lastReportPause   = 10 * time.Minute
	lastReportConfirm = time.Hour
)

// lastReport keeps the last report for the page of the next leader, who may need minutes for
// an audit of its own: masked, and the worst workloads of it where it is too large. Nothing
// is decided by it.
type lastReport struct {
	objects corev1client.ConfigMapInterface
	name    string
	masker  func() *mask.Masker

	mu     sync.Mutex
	looked time.Time // when it was tried to keep one
	at     time.Time // when that succeeded
	says   [sha256.Size]byte
}

// load returns what an earlier leader kept; nil if there is none.
func (l *lastReport) load(ctx context.Context) (*report.Report, error) {
	object, err := l.objects.Get(ctx, l.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the last report: %w", err)
	}
	r, err := gzip.NewReader(bytes.NewReader(object.BinaryData[lastReportKey]))
	if err != nil {
		return nil, fmt.Errorf("read the last report: ConfigMap %s: %s: %w", l.name, lastReportKey, err)
	}
	var kept report.Report
	if err := json.NewDecoder(io.LimitReader(r, mostUnfolded)).Decode(&kept); err != nil {
		return nil, fmt.Errorf("read the last report: ConfigMap %s: %s: %w", l.name, lastReportKey, err)
	}
	// Whoever may write the ConfigMap could have written anything.
	found := report.New(report.DriftReport, kept.GeneratedAt, kept.Items, 0)
	found.DryRunAs, found.Summary, found.Outages, found.Waves, found.Notes = kept.DryRunAs, kept.Summary, kept.Outages, kept.Waves, kept.Notes
	return found, nil
}

// save keeps a report, unless it is too soon.
func (l *lastReport) save(ctx context.Context, found *report.Report, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.looked) < lastReportPause {
		return nil
	}
	l.looked = now
	text, says, err := l.encode(found)
	if err != nil {
		return fmt.Errorf("keep the last report: %w", err)
	}
	if says == l.says && now.Sub(l.at) < lastReportConfirm {
		return nil
	}
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: l.name, Labels: map[string]string{"app.kubernetes.io/component": "auditor"}},
		BinaryData: map[string][]byte{lastReportKey: text},
	}
	_, err = l.objects.Update(ctx, object, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = l.objects.Create(ctx, object, metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("keep the last report: %w", err)
	}
	l.at, l.says = now, says
	return nil
}

// encode is the report as JSON, gzipped, and a hash of all that it says but its time. Where it
// is too large, workloads that come last in it, which are those in sync, are left out.
func (l *lastReport) encode(found *report.Report) (text []byte, says [sha256.Size]byte, err error) {
	kept := *found
	for {
		hash := sha256.New()
		untimed := kept
		untimed.GeneratedAt, untimed.Probes = time.Time{}, 0
		if err := untimed.Masked(mask.Constant()).Write(hash, report.JSON, report.TextOptions{}); err != nil {
			return nil, says, err
		}
		if text, err = gzipped(func(w io.Writer) error { return kept.Masked(l.masker()).Write(w, report.JSON, report.TextOptions{}) }); err != nil {
			return nil, says, err
		}
		if len(text) <= mostLastReport || len(kept.Items) == 0 {
			return text, [sha256.Size]byte(hash.Sum(nil)), nil
		}
		kept.Items = kept.Items[:len(kept.Items)*mostLastReport/len(text)*9/10]
		kept.Notes = append(append([]string{}, found.Notes...), fmt.Sprintf("Workloads that are not listed: %d, of %d", len(found.Items)-len(kept.Items), len(found.Items)))
	}
}
