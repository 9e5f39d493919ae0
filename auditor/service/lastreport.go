package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

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
	// mostWorkloads, mostUnfolded and mostObjects bound what is kept, and what a ConfigMap of
	// somebody's making can take of memory: some tens of megabytes.
	mostWorkloads = 20_000
	mostUnfolded  = 12 << 20
	mostObjects   = 150_000
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
	kept, err := unfolded(object.BinaryData[lastReportKey])
	if err != nil {
		return nil, fmt.Errorf("read the last report: ConfigMap %s: %s: %w", l.name, lastReportKey, err)
	}
	found := report.New(report.DriftReport, kept.GeneratedAt, kept.Items, 0)
	if kept.Summary.Workloads != nil && kept.Summary.Pods != nil {
		found.Summary = kept.Summary // of all, of which only some are kept
	}
	found.DryRunAs, found.Outages, found.Waves = kept.DryRunAs, kept.Outages, kept.Waves
	found.Notes, found.IgnoredPaths = kept.Notes, kept.IgnoredPaths
	return found, nil
}

func unfolded(gzipped []byte) (*report.Report, error) {
	var kept report.Report
	return &kept, unfold(gzipped, mostUnfolded, mostObjects, &kept)
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
	if err := keep(ctx, l.objects, l.name, map[string][]byte{lastReportKey: text}); err != nil {
		return fmt.Errorf("keep the last report: %w", err)
	}
	l.at, l.says = now, says
	return nil
}

// keptReport is a report whose workloads are JSON already.
type keptReport struct {
	*report.Report
	Items []json.RawMessage `json:"items"`
}

// encode is the report as JSON, gzipped, and a hash of all that it says but its time. Where it
// is too large, workloads that come last in it, which are those in sync, are left out.
func (l *lastReport) encode(found *report.Report) (text []byte, says [sha256.Size]byte, err error) {
	hash, masker := sha256.New(), l.masker()
	items := []json.RawMessage{}
	room, objects := mostUnfolded*2/3, mostObjects*2/3 // the rest is for what stands before them
	for _, item := range found.Items {
		shown, err := shownItem(item, masker)
		if err != nil {
			return nil, says, err
		}
		room, objects = room-len(shown)-1, objects-bytes.Count(shown, []byte("{"))
		if room < 0 || objects < 0 || len(items) == mostWorkloads {
			break
		}
		items = append(items, shown)
		untimed, err := shownItem(item, mask.Constant())
		if err != nil {
			return nil, says, err
		}
		hash.Write(untimed)
	}
	summary, err := json.Marshal(found.Summary)
	if err != nil {
		return nil, says, err
	}
	hash.Write(summary)
	for {
		kept := keptReport{Report: l.about(found, masker, len(items)), Items: items}
		if text, err = gzipped(func(w io.Writer) error { return json.NewEncoder(w).Encode(kept) }); err != nil {
			return nil, says, err
		}
		if len(text) <= mostLastReport || len(items) == 0 {
			return text, [sha256.Size]byte(hash.Sum(nil)), nil
		}
		items = items[:len(items)*mostLastReport/len(text)*9/10]
	}
}

// shownItem is a workload as outputs show it.
func shownItem(item report.Item, m *mask.Masker) (json.RawMessage, error) {
	return json.Marshal((&report.Report{Changes: []report.ChangeSummary{}, Items: []report.Item{item}}).Masked(m).Items()[0])
}

// about is what the report says besides its workloads, of which so many are kept.
func (l *lastReport) about(found *report.Report, m *mask.Masker, kept int) *report.Report {
	about := &report.Report{
		APIVersion: found.APIVersion, Kind: found.Kind, GeneratedAt: found.GeneratedAt, DryRunAs: found.DryRunAs, Summary: found.Summary,
		Waves: found.Waves, IgnoredPaths: found.IgnoredPaths,
	}
	for _, outage := range found.Outages {
		about.Outages = append(about.Outages, report.Outage{Webhook: outage.Webhook, Reason: m.Prose(outage.Reason)})
	}
	for _, note := range found.Notes {
		about.Notes = append(about.Notes, m.Prose(note))
	}
	if kept < len(found.Items) {
		about.Notes = append(about.Notes, fmt.Sprintf("Workloads that are not listed: %d, of %d", len(found.Items)-kept, len(found.Items)))
	}
	return about
}
